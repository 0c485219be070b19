"""A team's own styles: read from a folder, put into prompts, and worn by the model for one picture."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.capabilities import RefineMode
from bot.conversation.image_orders import ImageOrders
from bot.conversation.model_answer import Turn
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.turn import answer
from bot.domain import ImageRequest, Operation, RenderJob
from bot.errors import ConfigError
from bot.settings.styles import BUILT_IN_STYLES, Style, apply_style, find_lora_style, load_styles
from bot.settings.values import Settings
from bot.storage.store import Store
from tests.support.conversation import Glances
from tests.support.doubles import THREAD, InstantRenderer, ScriptedModel, claimed, message, picture

HOUSE = Style("$prompt, in the house style", "house.safetensors", 0.7)


def test_a_folder_adds_styles_to_those_that_ship(tmp_path: Path) -> None:
    """Each file is a style by its name; one of a name that ships takes its place."""
    (tmp_path / "House.toml").write_text('prompt = "$prompt, in the house style"\nlora = "house.safetensors"\n')
    (tmp_path / "ink.toml").write_text('prompt = "our ink"\nlora_scale = 0.5\n')
    styles = load_styles(tmp_path)
    assert styles["house"] == Style("$prompt, in the house style", "house.safetensors")
    assert styles["ink"] == Style("our ink", "", 0.5) and set(BUILT_IN_STYLES) < set(styles)
    assert load_styles(None) is BUILT_IN_STYLES


def test_the_words_of_a_style_go_behind_the_prompt_or_where_it_says() -> None:
    """`$prompt` is the place of the wish; a style that the wish names already adds nothing."""
    assert apply_style("a cat", "ink", Style("black lines")) == "a cat, black lines"
    assert apply_style("a cat in ink", "ink", Style("black lines")) == "a cat in ink"
    assert apply_style("a cat", "house", Style("poster of $prompt, bold")) == "poster of a cat, bold"
    assert apply_style("a cat", "bare", Style(lora="x.safetensors")) == "a cat"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt = 7", "style.toml: prompt"),
        ("lora = '../../etc/passwd'", "style.toml: lora"),
        ("lora = 'weights.bin'", "style.toml: lora"),
        ("lora_scale = 40.0", "style.toml: lora_scale"),
        ("colour = 'red'", "style.toml: colour"),
        ("prompt = ", "style.toml cannot be read"),
    ],
)
def test_a_wrong_style_is_named_with_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """The bot does not start with a style that cannot be what was meant."""
    (tmp_path / "style.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_styles(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelled folder is no empty one."""
    with pytest.raises(ConfigError, match="STYLES"):
        load_styles(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("words", "style"),
    [
        ("a cat, in the house style", HOUSE),
        ("A CAT, IN THE HOUSE STYLE", HOUSE),
        ("a cat like a house", HOUSE),
        ("a cat", Style()),
        ("a cat, black lines, white paper", Style()),
        ("", Style()),
    ],
)
def test_a_style_is_known_by_the_words_that_it_left(words: str, style: Style) -> None:
    """Its name or its own words; a style without a file is worn by nothing."""
    assert find_lora_style({"ink": Style("black lines, white paper"), "house": HOUSE}, words) == style


async def test_what_is_made_of_a_picture_wears_its_style(store: Store) -> None:
    """An edit keeps the file of the style in which the picture was drawn, whatever is set by then."""
    drawn = await refined(store, "m1", Operation.GENERATE, None, "house")
    assert (drawn.refined_prompt, drawn.request.sampling.lora, drawn.request.sampling.lora_scale) == (
        "a cat, in the house style",
        "house.safetensors",
        0.7,
    )
    assert store.jobs.mark_rendered(
        claimed(store, drawn), replace(picture(1, "a cat"), refined_prompt=drawn.refined_prompt)
    )
    edited = await refined(store, "m2", Operation.EDIT, 1, "")
    assert (edited.request.sampling.lora, edited.request.sampling.lora_scale) == ("house.safetensors", 0.7)
    plain = await refined(store, "m3", Operation.GENERATE, None, "")
    assert (plain.refined_prompt, plain.request.sampling.lora) == ("", "")
    assert store.jobs.mark_rendered(claimed(store, plain), replace(picture(3, "a cat")))
    assert (await refined(store, "m4", Operation.EDIT, plain.number, "house")).request.sampling.lora == ""


async def refined(store: Store, message_id: str, operation: Operation, start: int | None, style: str) -> RenderJob:
    """The job for a cat that somebody asks for while this style is set."""
    store.accept(message(message_id, "draw"))
    entry = store.entry(message_id)
    assert entry
    refiner = PromptRefiner(ScriptedModel([]), store.jobs, RefineMode.OFF)
    turn = Turn((), tuple(store.pictures(THREAD)), fixed_requests=(ImageRequest(0, operation, "a cat", source=start),))
    renderer, settings = InstantRenderer(), Settings(style=style)
    orders = ImageOrders(
        turn, entry, settings, print,
        store=store, renderer=renderer, refiner=refiner, picture_folder=Glances(), styles={"house": HOUSE},
    )  # fmt: skip
    await answer(turn, refiner.model, orders, print)
    return renderer.jobs[0]
