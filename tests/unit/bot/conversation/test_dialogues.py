"""Whole dialogues with a chat server on a real socket: tags and tool calls, and every kind of failure."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.conversation.dispatcher import Dispatcher
from bot.domain import Action, ButtonPress, PicturePart, Rendered, TextPart, View
from bot.llm.client import OpenAICompatible
from bot.llm.messages import ModelProfile, RequestProtocol
from bot.storage.store import Store
from tests.support.conversation import running
from tests.support.doubles import ANN, THREAD, InstantRenderer, Screen, message
from tests.support.openai_server import (
    CUT,
    DONE,
    Answer,
    Calls,
    Clever,
    OpenAIDouble,
    Stream,
    chunk,
    openai_server,
    refusal,
    said,
    usage,
)

TAGS, TOOLS = (
    ModelProfile(request_protocol=RequestProtocol.TAGS, has_vision=True),
    ModelProfile(request_protocol=RequestProtocol.TOOLS, has_vision=True),
)
DIALOGUE = (
    ("draw a lighthouse", "Here: <image>a white lighthouse</image>"),
    ("make it red", 'Red: <edit of="1" change="small">a red lighthouse</edit>'),
    ("more like the first", 'Another: <vary of="1"/>'),
    ("I like the second", 'Fine: <select of="2"/>'),
    ("refine it for a story book", 'With care: <refine of="2">a red lighthouse, storybook</refine>'),
    ("why are lighthouses striped?", "So that ships know them by day."),
    ("two boats please", "One <image>a boat</image><image>a boat</image>"),
)  # fmt: skip
CALLED: dict[str, tuple[str, Calls]] = {
    "draw a lighthouse": ("Here: ", [("generate_image", '{"prompt": "a white lighthouse"}')]),
    "make it red": ("Red: ", [("edit_image", '{"prompt": "a red lighthouse", "of": 1, "change": "small"}')]),
    "more like the first": ("Another: ", [("vary_image", '{"of": 1}')]),
    "I like the second": ("Fine: ", [("select_image", '{"of": 2}')]),
    "refine it for a story book": (
        "With care: ",
        [("refine_image", '{"of": 2, "prompt": "a red lighthouse, storybook"}')],
    ),
    "why are lighthouses striped?": ("So that ships know them by day.", []),
    "two boats please": ("One ", [("generate_image", '{"prompt": "a boat"}')] * 2),
}


@dataclass
class Stage:
    """A running bot with a chat server."""

    inbox: Dispatcher
    screen: Screen
    renderer: InstantRenderer
    server: OpenAIDouble
    store: Store

    async def say(self, message_id: str, text: str, about: int | None = None) -> View:
        """Say something, and wait for the whole reply."""
        await self.inbox.accept(message(message_id, text, about))
        return await self.screen.final(message_id)

    async def retry(self, message_id: str) -> View:
        """Press Retry, and wait for the whole reply."""
        await self.inbox.accept(ButtonPress("retry", THREAD, ANN, Action.RETRY, message_id))
        return await self.screen.final(message_id, count=2)


@asynccontextmanager
async def stage(
    folder: Path, answers: Sequence[Answer | Stream | Clever], profile: ModelProfile = TAGS
) -> AsyncIterator[Stage]:
    """A bot whose chat server gives these answers."""
    store = Store(folder / "test.sqlite")
    async with openai_server(*answers) as server:
        model = OpenAICompatible("m", server.url, "key", model_profile=profile)
        async with running(store, model) as (inbox, screen, renderer):
            yield Stage(inbox, screen, renderer, server, store)
        await model.close()
    store.close()


def outline(view: View) -> list[str]:
    """The reply as text and images."""
    shown = []
    for part in view.parts:
        match part:
            case TextPart(markdown):
                shown.append(markdown)
            case PicturePart(state=Rendered(made)):
                shown.append(f"#{made.number} {part.operation} of {part.source}: {made.request.prompt}")
            case PicturePart():
                shown.append("?")
    return [*shown, str(view.status)]


async def run_dialogue(
    folder: Path, answers: Sequence[Answer | Stream], profile: ModelProfile
) -> tuple[list[list[str]], list[str]]:
    """The whole dialogue: every reply, and the messages of the last request."""
    async with stage(folder, answers, profile) as bot:
        replies = [outline(await bot.say(f"m{n}", text)) for n, (text, _) in enumerate(DIALOGUE)]
        return replies, bot.server.asked[-1].words[1:]


async def test_a_dialogue_is_the_same_with_tags_and_with_tools(tmp_path: Path) -> None:
    """Replies, images, sources and history do not depend on the request protocol; a model may also mix both."""
    (tmp_path / "tags").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "mixed").mkdir()
    tags = [said(answer) for _, answer in DIALOGUE]
    tools = [said(*CALLED[text]) for text, _ in DIALOGUE]
    mixed = [(tags, tools)[n % 2][n] for n in range(len(DIALOGUE))]
    by_tags = await run_dialogue(tmp_path / "tags", tags, TAGS)
    assert by_tags[0][1] == ["Red:", "#2 edit of 1: a red lighthouse", ""]
    assert by_tags[0][3] == ["Fine:", "#2 select of None: a red lighthouse", ""]
    assert by_tags[0][5] == ["So that ships know them by day.", ""]
    assert await run_dialogue(tmp_path / "tools", tools, TOOLS) == by_tags
    assert await run_dialogue(tmp_path / "mixed", mixed, TOOLS) == by_tags


FAULTS: dict[str, tuple[list[Answer | Stream], str]] = {
    "an error in the stream": (
        [Stream([chunk("Well "), json.dumps({"error": {"message": "boom"}})])],
        "stopped with an error",
    ),
    "a cut connection": ([Stream([chunk("Well "), CUT])], "lost"),
    "a silent end": ([Stream([chunk("Well, ")])], "cut off"),
    "broken JSON": ([Stream([chunk("Well "), "{broken"])], "not a chat completion"),
    "nothing but null choices": ([Stream([usage(None), DONE])], "cut off"),
    "429 with a long wait": ([refusal(429, "slow down", **{"Retry-After": "120"})], "in 2 minutes"),
    "an overflow": ([refusal(400, "maximum context length is 4096 tokens")], "Press Retry to send it shortened"),
    "a server error": ([refusal(500, "oops"), refusal(500, "oops")], "HTTP 500"),
}


@pytest.mark.parametrize("profile", [TAGS, TOOLS], ids=["tags", "tools"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_failure_ends_in_a_sentence_and_retry(tmp_path: Path, fault: str, profile: ModelProfile) -> None:
    """Retry then answers, and the history of the next turn has everything once."""
    answers, sentence = FAULTS[fault]
    after = said("Here: <image>a sun</image>")
    async with stage(tmp_path, [said("Good morning!"), *answers, after, said("Bye.")], profile) as bot:
        await bot.say("m0", "hello there")
        broken = await bot.say("m1", "what about the sun?")
        assert sentence in str(broken.status)
        assert [button.label for button in broken.buttons] == ["Retry"]
        assert outline(await bot.retry("m1")) == ["Here:", "#1 generate of None: a sun", ""]
        await bot.say("m2", "thank you")
        assert (
            bot.server.asked[-1].words[1:]
            == [
                "Ann: hello there",
                "Good morning!",
                "Ann: what about the sun?",
                "Here:\n<image>a sun</image>",
                '[pictures: #1 "a sun"]\nAnn: thank you',
            ]
            or profile.has_vision
        )


async def test_tags_in_messages_of_users_stay_text(tmp_path: Path) -> None:
    """Neither the parser nor the history takes them for a request."""
    echo = "You wrote <image>a cat</image>."
    async with stage(tmp_path, [said(echo), said("Yes.")], ModelProfile()) as bot:
        assert (await bot.say("m1", "what does <image>a cat</image> mean?")).parts == (TextPart(echo),)
        await bot.say("m2", "is that all?")
        assert not bot.renderer.jobs
        asked = [words for words in bot.server.asked[-1].words[1:] if words.startswith("Ann: ")]
        assert len(asked) == 2 and not any("<image>" in words for words in asked)


async def test_a_model_with_vision_gets_the_image(tmp_path: Path) -> None:
    """A question about an image is answered from the image itself, as long as the server accepts it."""
    answers: list[Stream | Clever] = [said("<image>a sun</image>"), Clever(images=1, otherwise="It is yellow.")]
    async with stage(tmp_path, answers, TAGS) as bot:
        await bot.say("m1", "draw a sun")
        await bot.say("m2", "which colour does it have?", about=1)
        assert len(bot.server.asked[-1].images) == 1
        assert bot.server.asked[-1].images[0].startswith("data:image/jpeg;base64,")


async def test_a_server_that_refuses_every_feature_still_works(tmp_path: Path) -> None:
    """Without tools, system messages and images the same request is fulfilled, and the next one at once."""
    clever = Clever(
        tags={"draw a moon": "<image>a moon</image>"}, takes_tools=False, takes_system=False, otherwise="Well."
    )
    async with stage(tmp_path, [said("<image>a sun</image>"), clever], TOOLS) as bot:
        await bot.say("m1", "draw a sun")
        assert outline(await bot.say("m2", "draw a moon")) == ["#2 generate of None: a moon", ""]
        requests = len(bot.server.asked)
        await bot.say("m3", "how far away is it?")
        assert len(bot.server.asked) == requests + 1
