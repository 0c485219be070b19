"""A conversation as data, and its result on a platform. `platforms.py` beside it has the platforms."""

import io
import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from PIL import Image

from bot.commands.contact_sheet import draw_contact_sheet
from bot.domain import Action, Button, Entry, Failed, Part, PicturePart, Rendered, TextPart, ThreadKey
from bot.formatting import replace_time_markers
from bot.notices import LANGUAGES, UserText, notice, text
from bot.settings.values import Scope
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.support.doubles import ScriptedModel
from tests.support.images import PaintingRenderer

WHEN = "⟦when⟧"
BREAKS = {"what breaks": "It broke."}  # prompts of which no picture comes


@dataclass(frozen=True, slots=True)
class Say:
    """Words, perhaps with pictures of these colours, what the chat model answers, and what it sees in each picture."""

    who: str
    words: str
    answer: tuple[str, ...]
    uploads: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()


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
class Overhear:
    """Words that are not for the bot, where there can be such."""

    who: str
    words: str


@dataclass(frozen=True, slots=True)
class Choose:
    """A setting; `{Cid}` in the value is Cid's id, `{here}` the channel's. An empty value takes a choice back."""

    who: str
    key: str
    value: str
    scope: str = "server"


@dataclass(frozen=True, slots=True)
class Show:
    """What a setting is in a scope, and where that comes from."""

    who: str
    key: str
    scope: str


@dataclass(frozen=True, slots=True)
class Look:
    """A command in the thread whose answer is a text."""

    who: str
    name: str


@dataclass(frozen=True, slots=True)
class Take:
    """A command in the thread that brings a file: `pictures` or `export`."""

    who: str
    name: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The command that clears the thread."""

    who: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What must not come through, and is answered with a sentence; `of_rank` where a manager may."""

    step: Say | Press | Choose
    of_rank: bool = False


Step = Say | Change | Press | Begin | LetGo | Imagine | Overhear | Choose | Show | Look | Take | Forget | Refused


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with an answer."""

    name: str
    data: bytes


@dataclass
class Outcome:
    """What came of a conversation, without what only its platform has."""

    replies: list[Any] = field(default_factory=list)
    pictures: list[Any] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)  # what the chat model was told
    reasons: list[str] = field(default_factory=list)  # why pictures did not come
    output: list[str] = field(default_factory=list)  # sentences to one person
    ranked: list[str] = field(default_factory=list)  # those to people of too low a rank
    held: list[Any] = field(default_factory=list)  # what settings are, and where that comes from
    attachments: list[Any] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)  # pictures on the screen
    alts: list[str] = field(default_factory=list)  # what is said of them to whoever cannot see them
    button_texts: list[str] = field(default_factory=list)  # of the buttons that vary an image, by language
    forgotten: bool = False


class Place(Protocol):
    """A thread on a platform. What is told to one person alone comes back as a sentence."""

    when: str  # a pattern of how it says a point in time
    ranks: bool  # whether some may less than others
    overhears: bool  # whether there are words that are not for the bot
    files: PictureFiles
    model: ScriptedModel
    renderer: PaintingRenderer

    @property
    def store(self) -> Store: ...  # noqa: D102
    @property
    def key(self) -> ThreadKey: ...  # noqa: D102
    async def say(self, who: str, words: str, uploads: Sequence[str] = ()) -> None: ...  # noqa: D102
    async def say_in_vain(self, who: str, words: str) -> str: ...  # noqa: D102
    async def change(self, who: str, number: int, words: str) -> None: ...  # noqa: D102
    async def press(self, who: str, label: str, number: int, *, refused: bool = False) -> str: ...  # noqa: D102
    async def begin(self, who: str, words: str, label: str) -> None: ...  # noqa: D102
    async def labels(self) -> list[str]: ...  # noqa: D102
    async def answered(self, count: int) -> None: ...  # noqa: D102
    async def gone(self, number: int) -> None: ...  # noqa: D102
    async def imagine(self, who: str, prompt: str) -> None: ...  # noqa: D102
    def named(self, name: str) -> str: ...  # noqa: D102
    async def choose(self, who: str, key: str, value: str, scope: str) -> str: ...  # noqa: D102
    async def show(self, who: str, key: str, scope: str) -> tuple[str, str]: ...  # noqa: D102
    async def look(self, who: str, name: str) -> str: ...  # noqa: D102
    async def take(self, who: str, name: str) -> tuple[str, Attachment]: ...  # noqa: D102
    async def forget(self, who: str) -> str: ...  # noqa: D102
    async def screen(self) -> tuple[list[tuple[int, str]], str]: ...  # noqa: D102


def plain(words: str) -> str:
    """An answer without the marks of Markdown, which platforms write differently."""
    return re.sub(r"[*`]", "", words)


async def had(place: Place, steps: Sequence[Step]) -> Outcome:
    """What comes of a conversation there."""
    outcome = Outcome()
    place.renderer.refused = BREAKS
    count = 0
    for step in steps:
        if isinstance(step, Say | Change | Begin):
            place.model.scripts.append(step.answer)
        match step:
            case Say(who, words, _, uploads, seen):
                if seen:
                    place.model.profile = replace(place.model.profile, has_vision=True)
                    place.model.scripts += [(each,) for each in seen]
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
            case Overhear(who, words):
                if place.overhears:
                    await place.say(who, words)
            case Forget(who):
                outcome, thread = await _looked_at(place, outcome), place.key
                outcome.output.append(await place.forget(who))
                outcome.forgotten = not place.store.entries(thread) and not place.store.pictures(thread)
                return outcome
            case Refused(refused, of_rank):
                if place.ranks or not of_rank:
                    (outcome.ranked if of_rank else outcome.output).append(await _refusal(place, refused))
            case _:
                await _commanded(place, step, outcome)
        count += isinstance(step, Say | Change | Imagine | LetGo) or _asks(step)
        await place.answered(count)
    return await _looked_at(place, outcome)


async def _commanded(place: Place, step: Choose | Show | Look | Take, outcome: Outcome) -> None:
    """What a command comes to."""
    match step:
        case Choose():
            await _choose(place, step)
        case Show(who, key, scope):
            outcome.held.append((key, *await place.show(who, key, scope)))
        case Look(who, name):
            outcome.output.append(re.sub(place.when, WHEN, await place.look(who, name)))
        case Take(who, name):
            output, attachment = await place.take(who, name)
            outcome.output.append(output)
            outcome.attachments.append(
                (attachment.name, _sheet(place, attachment) if name == "images" else _packed(place, attachment))
            )


async def _choose(place: Place, step: Choose) -> str:
    value = re.sub(r"\{(\w+)\}", lambda match: place.named(match[1]), step.value)
    return await place.choose(step.who, step.key, value, step.scope)


def _sheet(place: Place, attachment: Attachment) -> tuple[int, int]:
    """The size of a contact sheet, which arrived as it was drawn of this very thread."""
    assert attachment.data == draw_contact_sheet(place.store.pictures(place.key), place.files.read)
    with Image.open(io.BytesIO(attachment.data)) as sheet:
        return sheet.size


def _packed(place: Place, attachment: Attachment) -> list[Any]:
    """What lies in the ZIP, without seeds; the files are the originals."""
    with zipfile.ZipFile(io.BytesIO(attachment.data)) as folder:
        output = json.loads(folder.read("pictures.json"))["pictures"]
        page = re.sub(r"<code>\d+</code>", "<code>seed</code>", folder.read("index.html").decode())
        for each in output:
            assert folder.read(each["file"]) == place.files.read(each.pop("sha256"))
            assert (each.pop("seed") is None) == (each["operation"] == "upload")
        return [sorted(folder.namelist()), output, page]


def _asks(step: Step) -> bool:
    return isinstance(step, Press) and step.action in (Action.VARY, Action.UPSCALE, Action.REDO)


async def _refusal(place: Place, step: Say | Press | Choose) -> str:
    match step:
        case Say(who, words):
            output = await place.say_in_vain(who, words)
        case Press(who, action, number):
            output = await place.press(who, action.capitalize(), number, refused=True)
        case Choose():
            output = await _choose(place, step)
    return re.sub(place.when, WHEN, output)


async def _looked_at(place: Place, outcome: Outcome) -> Outcome:
    """Everything on record, and on the screen every sentence of it that says why a picture did not come."""
    entries = place.store.entries(place.key)
    shown, words = await place.screen()
    outcome.shown, outcome.alts = [number for number, _ in shown], [alt for _, alt in shown]
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
                reason = _shown_reason(part.state.reason, place, words)
                outcome.reasons.append(reason)
    labels = [label.partition(" #")[0] for label in await place.labels()]
    vary = (text(notice("button-vary"), language) for language in LANGUAGES)
    outcome.button_texts = [each for each in vary if each in labels]
    outcome.pictures = [
        (
            each.number, (request := each.request).source, request.operation, request.prompt, each.refined_prompt,
            each.alt, each.model, (each.width, each.height),
        )
        for each in place.store.pictures(place.key)
    ]  # fmt: skip
    outcome.jobs = sorted(
        (
            job.number,
            job.request.operation,
            job.request.prompt,
            job.refined_prompt,
            job.request.source or 0,
            job.request.change,
            job.request.sampling.aspect_ratio,
            job.request.sampling.negative_prompt,
            job.embeds_metadata,
        )
        for job in place.renderer.jobs
    )
    outcome.received = [[(said.role, said.text) for said in history] for history in place.model.received]
    return outcome


def _part(part: Part) -> object:
    match part:
        case TextPart(markdown):
            return markdown
        case PicturePart(key, number, operation, prompt, Rendered(made), parent):
            return (
                key,
                number,
                operation,
                prompt,
                parent,
                (made.number, made.request.source, made.request.operation, made.request.prompt),
            )
        case PicturePart(key, number, operation, prompt, Failed(reason, again), parent):
            return key, number, operation, prompt, parent, replace_time_markers(str(reason), lambda at: WHEN), again
    raise AssertionError(part)


def source_of(shown: str) -> str:
    """The scope that a list of settings names by this text."""
    sources = {str(notice(f"source-{scope}")): str(scope) for scope in (*Scope, "default")}
    return sources[shown]


def _shown_reason(reason: UserText, place: Place, words: str) -> str:
    """The reason in the language in which the platform shows it."""
    texts = [replace_time_markers(text(reason, language), lambda at: WHEN) for language in LANGUAGES]
    patterns = {each: re.escape(each).replace(re.escape(WHEN), place.when) for each in texts}
    shown = next((each for each, pattern in patterns.items() if re.search(pattern, words)), None)
    assert shown, (texts, words)
    return shown


def _button(button: Button, entry: Entry) -> tuple[Action, str, str]:
    return button.action, str(button.label), button.target.replace(entry.id, "reply")
