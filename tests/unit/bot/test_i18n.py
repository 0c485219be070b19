"""The bot's own words in other languages, and what it says of pictures to those who cannot see them."""

import re
import tomllib
from pathlib import Path

import pytest

from bot.commands.slash_commands import SlashCommands
from bot.conversation.permissions import check_limits
from bot.domain import Action, ButtonPress, Failed, PicturePart, Rendered
from bot.errors import Refused
from bot.i18n import FOLDER, LANGUAGES, translate
from bot.llm.messages import ModelProfile
from bot.settings.values import Settings
from bot.storage.store import Store
from bot.storage.usage import DailyUsage
from tests.support.conversation import running
from tests.support.doubles import ANN, CID, THREAD, InstantRenderer, ScriptedModel, message

OTHERS = sorted(set(LANGUAGES) - {"en"})
GAP = re.compile(r"\{(\w+)\}")


def phrases(language: str) -> dict[str, str]:
    """A language's file."""
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", OTHERS)
def test_every_phrase_has_the_same_gaps(language: str) -> None:
    """Nothing that is filled in is lost or invented, and all languages know the same sentences."""
    told = phrases(language)
    assert set(told) == set(phrases(OTHERS[0]))
    for english, other in told.items():
        assert sorted(GAP.findall(english)) == sorted(GAP.findall(other)), english
        assert other.strip()


@pytest.mark.parametrize("language", OTHERS)
def test_every_phrase_is_found_again(language: str) -> None:
    """A sentence with its gaps filled is recognised, by itself and behind another one."""
    for english, other in phrases(language).items():
        filled = GAP.sub("Ann 7", english)
        assert translate(filled, language) == GAP.sub("Ann 7", other)


def test_every_phrase_is_one_of_the_programs_own() -> None:
    """A sentence that the program does not say any more is no use here."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path("bot").rglob("*.py"))
    source += "".join(path.read_text(encoding="utf-8") for path in Path("adapters").rglob("*.py"))
    plain = re.sub(r'"\s*\n\s*f?"', "", source)
    lost = []
    for english in phrases(OTHERS[0]):
        counted = re.sub(r"(\{count\}) (?:pictures?|repl(?:y|ies))", r"\1", english)  # as count_of says it
        longest = max(GAP.sub("\0", counted).split("\0"), key=len).strip(" .:#")
        if longest and longest not in plain:
            lost.append(english)
    assert lost == []


def test_what_is_unknown_stays_english() -> None:
    """A sentence that is missing is said as it is; of several, those that are known are translated."""
    assert translate("Nobody translated this.", "de") == "Nobody translated this."
    assert translate("Picture #3 was deleted. There is nothing to start from.", "de") == (
        "Bild #3 wurde gelöscht. Es gibt nichts, womit begonnen werden könnte."
    )
    assert translate("Thinking…", "xx") == translate("Thinking…", "en") == "Thinking…"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(at_once=2), "Höchstens 2 deiner Bilder dürfen in Arbeit sein."),
        (Settings(daily=2), "Du darfst 2 Bilder am Tag zeichnen lassen."),
    ],
)
def test_each_sentence_of_a_refusal_is_translated(settings: Settings, told: str) -> None:
    """Also where the next one begins with a number."""
    with pytest.raises(Refused) as refused:
        check_limits(settings, DailyUsage(), 4)
    rest = "2 davon können jetzt gezeichnet werden: Bitte um nicht mehr."
    assert translate(str(refused.value), "de") == f"{told} {rest}"


async def test_a_reply_and_its_refusals_speak_the_chosen_language(store: Store) -> None:
    """Status, buttons, reasons and refusals; the record has them so, too."""
    desk = SlashCommands(store, defaults=Settings(language="de"))
    renderer = InstantRenderer(held={"a sun"})
    async with running(store, ScriptedModel([["<image>a sun</image>"]]), renderer, desk=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "male eine Sonne"))
        drawing = await screen.until("m1", lambda view: view.status == "Zeichne …")
        assert [button.label for button in drawing.buttons] == ["Stopp"]
        with pytest.raises(Refused, match="Das können nur Ann"):
            await inbox.accept(ButtonPress("b0", THREAD, CID, Action.STOP, "m1"))
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.STOP, "m1"))
        view = await screen.final("m1")
        assert view.status == "Von Ann gestoppt." and view.language == "de"
        (part,) = view.parts
        assert isinstance(part, PicturePart) and part.state == Failed("Von Ann gestoppt.")
        assert [button.label for button in view.buttons] == ["Nochmal versuchen"]


@pytest.mark.parametrize(("describe", "sees"), [(True, True), (True, False), (False, True)])
async def test_a_model_that_sees_describes_pictures(store: Store, describe: bool, sees: bool) -> None:
    """Where that is chosen, the picture's alternative text is what the model sees, on the screen and on record."""
    desk = SlashCommands(store, defaults=Settings(describe=describe))
    model = ScriptedModel(
        [["<image>a sun</image>"], ["A yellow  sun over\nthe sea."]], profile=ModelProfile(has_vision=sees)
    )
    async with running(store, model, desk=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw a sun"))
        (part,) = (await screen.final("m1")).parts
    assert isinstance(part, PicturePart) and isinstance(part.state, Rendered)
    wanted = "A yellow sun over the sea." if describe and sees else "a sun"
    assert part.state.picture.alt == wanted == store.pictures(THREAD)[0].alt
    assert len(model.heard) == 1 + (describe and sees)
    if describe and sees:
        assert model.heard[1][-1].images and "a sun" in model.heard[1][-1].text


async def test_a_model_that_cannot_describe_spoils_nothing(store: Store) -> None:
    """The picture stays as it is."""
    desk = SlashCommands(store, defaults=Settings(describe=True))
    model = ScriptedModel([["<image>a sun</image>"], []], profile=ModelProfile(has_vision=True))
    async with running(store, model, desk=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw a sun"))
        (part,) = (await screen.final("m1")).parts
    assert isinstance(part, PicturePart) and isinstance(part.state, Rendered)
    assert part.state.picture.alt == "a sun"
