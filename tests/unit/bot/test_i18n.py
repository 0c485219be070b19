"""The bot's own words in other languages, and what it says of pictures to those who cannot see them."""

from dataclasses import replace

import pytest

from bot.commands.slash_commands import SlashCommands
from bot.domain import Action, ButtonPress, Failed, PicturePart, Rendered
from bot.errors import Refused
from bot.llm.messages import ModelProfile
from bot.notices import notice
from bot.settings.values import Command, Settings
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, CID, THREAD, InstantRenderer, ScriptedModel, message


async def test_a_reply_and_its_refusals_speak_the_chosen_language(store: Store) -> None:
    """Status, buttons, reasons and refusals; the record has no language."""
    desk = SlashCommands(store, defaults=Settings(language="de"))
    renderer = InstantRenderer(held={"a sun"})
    async with running(store, ScriptedModel([["<image>a sun</image>"]]), renderer, commands=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "male eine Sonne"))
        drawing = await screen.until("m1", lambda view: view.status == "Erzeuge Bilder …")
        assert [button.label for button in drawing.buttons] == ["Stopp"]
        with pytest.raises(Refused) as refused:
            await inbox.accept(ButtonPress("b0", THREAD, CID, Action.STOP, "m1"))
        assert refused.value.text == "Das können nur Ann und Manager."
        await inbox.accept(ButtonPress("b1", THREAD, ANN, Action.STOP, "m1"))
        view = await screen.final("m1")
        assert view.status == "Von Ann gestoppt." and view.language == "de"
        (part,) = view.parts
        assert isinstance(part, PicturePart) and part.state == Failed("Von Ann gestoppt.")
        assert [button.label for button in view.buttons] == ["Erneut versuchen"]
    entry = store.entry("m1")
    assert entry and entry.view and entry.view.status == notice("stopped-by", name="Ann")


@pytest.mark.parametrize(("describe", "sees"), [(True, True), (True, False), (False, True)])
async def test_a_model_that_sees_describes_pictures(store: Store, describe: bool, sees: bool) -> None:
    """Where that is chosen, the picture's alternative text is what the model sees, on the screen and on record."""
    desk = SlashCommands(store, defaults=Settings(alt_text=describe))
    model = ScriptedModel(
        [["<image>a sun</image>"], ["A yellow  sun over\nthe sea."]], profile=ModelProfile(has_vision=sees)
    )
    async with running(store, model, commands=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw a sun"))
        (part,) = (await screen.final("m1")).parts
    assert isinstance(part, PicturePart) and isinstance(part.state, Rendered)
    wanted = "A yellow sun over the sea." if describe and sees else "a sun"
    assert part.state.picture.alt == wanted == store.pictures(THREAD)[0].alt
    assert len(model.received) == 1 + (describe and sees)
    if describe and sees:
        assert model.received[1][-1].images and "a sun" in model.received[1][-1].text


async def test_a_model_that_cannot_describe_spoils_nothing(store: Store) -> None:
    """The picture stays as it is."""
    desk = SlashCommands(store, defaults=Settings(alt_text=True))
    model = ScriptedModel([["<image>a sun</image>"], []], profile=ModelProfile(has_vision=True))
    async with running(store, model, commands=desk) as (inbox, screen, _):
        await inbox.accept(message("m1", "draw a sun"))
        (part,) = (await screen.final("m1")).parts
    assert isinstance(part, PicturePart) and isinstance(part.state, Rendered)
    assert part.state.picture.alt == "a sun"


def test_the_locale_of_the_platform_is_the_default_language(store: Store) -> None:
    """An explicit choice wins; a locale without a catalog changes nothing."""
    commands = SlashCommands(store)
    german = replace(ANN, locale="de-AT")
    assert commands.resolve_settings(THREAD, german).language == "de"
    assert commands.resolve_settings(THREAD, replace(ANN, locale="ja")).language == "en"
    chosen = {"do": "set", "scope": "me", "key": "language", "value": "es"}
    answer = commands.answer(Command("c", THREAD, german, "settings", chosen))
    assert commands.resolve_settings(THREAD, german).language == "es"
    assert answer.panel and next(f.value_name for f in answer.panel.fields if f.key == "language") == "español"


async def test_a_reply_is_in_the_language_of_the_platform(store: Store) -> None:
    """The locale is recorded with the message, for views that are shown after a restart."""
    german = replace(ANN, locale="de")
    async with running(store, ScriptedModel([[]])) as (inbox, screen, _):
        await inbox.accept(message("m1", "hallo", author=german))
        assert (await screen.final("m1")).status == "Das Chatmodell hat eine leere Antwort geschickt."
    entry = store.entry("m1")
    assert entry and entry.author.locale == "de"
