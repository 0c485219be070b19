"""One conversation told as data, and what came of it on a platform: `tests/three_places.py` has the platforms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.domain import Action, Button, Entry, Failed, Part, PicturePart, Rendered, TextPart, ThreadKey
from bot.store import Store
from bot.words import with_moments
from tests.doubles import ScriptedModel
from tests.painting import PaintingRenderer

WHEN = "⟦when⟧"


@dataclass(frozen=True, slots=True)
class Say:
    """Words, perhaps with pictures of these colours, and what the chat model answers."""

    who: str
    words: str
    answer: tuple[str, ...]
    uploads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Words about one picture: a reply to it, or what is written after Edit is pressed."""

    who: str
    number: int
    words: str
    answer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Press:
    """A button below a picture."""

    who: str
    action: Action
    number: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Words to which these prompts are drawn until `LetGo`."""

    who: str
    words: str
    answer: tuple[str, ...]
    held: frozenset[str]


@dataclass(frozen=True, slots=True)
class LetGo:
    """What was held is drawn, and the reply ends."""


@dataclass(frozen=True, slots=True)
class Imagine:
    """The command that draws past the chat model; it can only open a conversation."""

    who: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Choose:
    """A setting for the whole server."""

    who: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The command that clears the thread."""

    who: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What must not come through, and is answered with a sentence; `of_rank` where a manager may."""

    step: Press | Choose
    of_rank: bool = False


Step = Say | Change | Press | Begin | LetGo | Imagine | Choose | Forget | Refused


@dataclass
class Outcome:
    """What came of a conversation, without what only its platform has."""

    replies: list[Any] = field(default_factory=list)
    pictures: list[Any] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)
    heard: list[Any] = field(default_factory=list)  # what the chat model was told
    reasons: list[str] = field(default_factory=list)  # why pictures did not come
    told: list[str] = field(default_factory=list)  # sentences to one person
    ranked: list[str] = field(default_factory=list)  # those to people of too low a rank
    shown: list[int] = field(default_factory=list)  # pictures on the screen
    forgotten: bool = False


class Place(Protocol):
    """A thread on a platform. What is told to one person alone comes back as a sentence."""

    when: str  # a pattern of how it says a point in time
    ranks: bool  # whether some may less than others
    model: ScriptedModel
    renderer: PaintingRenderer

    @property
    def store(self) -> Store: ...  # noqa: D102
    @property
    def key(self) -> ThreadKey: ...  # noqa: D102
    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None: ...  # noqa: D102
    async def change(self, who: str, number: int, words: str) -> None: ...  # noqa: D102
    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str: ...  # noqa: D102
    async def begin(self, who: str, words: str, label: str) -> None: ...  # noqa: D102
    async def answered(self, count: int) -> None: ...  # noqa: D102
    async def gone(self, number: int) -> None: ...  # noqa: D102
    async def imagine(self, who: str, prompt: str) -> None: ...  # noqa: D102
    async def choose(self, who: str, key: str, value: str) -> str: ...  # noqa: D102
    async def forget(self, who: str) -> str: ...  # noqa: D102
    async def screen(self) -> tuple[list[int], str]: ...  # noqa: D102


async def had(place: Place, steps: Sequence[Step]) -> Outcome:
    """What comes of a conversation there."""
    outcome = Outcome()
    count = 0
    for step in steps:
        if isinstance(step, Say | Change | Begin):
            place.model.scripts.append(step.answer)
        match step:
            case Say(who, words, _, uploads):
                await place.say(who, words, uploads)
            case Change(who, number, words):
                await place.change(who, number, words)
            case Press(who, Action.DELETE | Action.CANCEL as action, number):
                await place.press(who, action.capitalize(), number)
                await place.gone(number)
            case Press(who, action, number):
                await place.press(who, action.capitalize(), number)
            case Begin(who, words, _, held):
                place.renderer.held |= held
                await place.begin(who, words, "Cancel #")
            case LetGo():
                place.renderer.go.set()
            case Imagine(who, prompt):
                await place.imagine(who, prompt)
            case Choose(who, key, value):
                await place.choose(who, key, value)
            case Forget(who):
                outcome, thread = await _looked_at(place, outcome), place.key
                outcome.told.append(await place.forget(who))
                outcome.forgotten = not place.store.entries(thread) and not place.store.pictures(thread)
                return outcome
            case Refused(refused, of_rank):
                if place.ranks or not of_rank:
                    (outcome.ranked if of_rank else outcome.told).append(await _refusal(place, refused))
        count += isinstance(step, Say | Change | Imagine | LetGo) or _asks(step)
        await place.answered(count)
    return await _looked_at(place, outcome)


def _asks(step: Step) -> bool:
    return isinstance(step, Press) and step.action in (Action.VARY, Action.REDO)


async def _refusal(place: Place, step: Press | Choose) -> str:
    match step:
        case Press(who, action, number):
            told = await place.press(who, action.capitalize(), number, refused=True)
        case Choose(who, key, value):
            told = await place.choose(who, key, value)
    return re.sub(place.when, WHEN, told)


async def _looked_at(place: Place, outcome: Outcome) -> Outcome:
    """Everything on record, and on the screen every sentence of it that says why a picture did not come."""
    entries = place.store.entries(place.key)
    outcome.shown, words = await place.screen()
    for entry in entries:
        assert entry.view
        outcome.replies.append(
            (
                entry.author.name, entry.text, entry.about, [upload.number for upload in entry.uploads],
                list(map(_part, entry.view.parts)), entry.view.status,
                [_button(button, entry) for button in entry.view.buttons],
            )
        )  # fmt: skip
        for part in entry.view.parts:
            if isinstance(part, PicturePart) and isinstance(part.state, Failed):
                reason = with_moments(part.state.reason, lambda at: WHEN)
                assert re.search(re.escape(reason).replace(re.escape(WHEN), place.when), words), (reason, words)
                outcome.reasons.append(reason)
    outcome.pictures = [
        (each.number, each.parent, each.operation, each.prompt, each.refined, each.alt, each.model)
        for each in place.store.pictures(place.key)
    ]
    outcome.jobs = sorted(
        (job.number, job.operation, job.prompt, job.refined, job.parent or 0, job.change, job.ratio, job.negative)
        for job in place.renderer.jobs
    )
    outcome.heard = [[(said.role, said.text) for said in transcript] for transcript in place.model.heard]
    return outcome


def _part(part: Part) -> object:
    match part:
        case TextPart(markdown):
            return markdown
        case PicturePart(key, number, operation, prompt, Rendered(made), parent):
            return key, number, operation, prompt, parent, (made.number, made.parent, made.operation, made.prompt)
        case PicturePart(key, number, operation, prompt, Failed(reason, again), parent):
            return key, number, operation, prompt, parent, with_moments(reason, lambda at: WHEN), again
    raise AssertionError(part)


def _button(button: Button, entry: Entry) -> tuple[Action, str, str]:
    return button.action, button.label, button.target.replace(entry.id, "reply")
