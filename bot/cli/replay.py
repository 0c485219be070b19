"""Recorded answers of chat models -> what the bot makes of them, without a chat model and without painting.

For people who try a new model, and for tests: `python -m bot replay FILE.jsonl`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bot.conversation.source_picture import route
from bot.domain import Failed, ImageRequest, Operation, Recanted, Text
from bot.errors import BotError
from bot.parsing.fallback import forgot
from bot.parsing.intent import Context
from bot.parsing.stream_parser import Event, TagParser


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer as a model wrote it: `user` is what it answers, `pictures_in_thread` how many there were, #1 to #n."""

    id: str
    output: str
    user: str = ""
    pictures_in_thread: int = 0
    finish_reason: str = "stop"
    thinks_first: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """A picture that would be rendered.

    `of` is its source's number in the thread, 0 for one made in the same answer, None for the one that is talked about.
    """

    operation: Operation
    prompt: str
    of: int | None


@dataclass(slots=True)
class Replayed:
    """What comes of an answer: `[[k]]` stands in `visible` where the kth job's picture goes.

    `repair` tells whether the model would be reminded of a picture.
    """

    id: str
    jobs: list[Job] = field(default_factory=list)
    visible: str = ""
    repair: bool = False


def replay(path: Path) -> Iterator[str]:
    """A line of JSON for each line of the file. Raises BotError that names the first line which cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BotError(f"{path} cannot be read as UTF-8 text: {type(error).__name__}.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                recorded = _RECORDED.validate_json(line)
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, fault["loc"]))
                raise BotError(f"{path}, line {number}: {where} {fault['msg']}".strip() + ".") from None
            yield json.dumps(asdict(replayed(recorded)), ensure_ascii=False)


def replayed(recorded: Recorded) -> Replayed:
    """What the bot makes of one answer."""
    context = Context(recorded.user, recorded.pictures_in_thread, thinks_first=recorded.thinks_first)
    parser = TagParser(context)
    return result(recorded.id, context, [*parser.feed(recorded.output), *parser.end()])


def result(name: str, context: Context, events: Iterable[Event]) -> Replayed:
    """What comes of these events of a parser."""
    asked, told = False, Replayed(name)
    known, made = set(range(1, context.pictures + 1)), 0
    for event in events:
        match event:
            case Text(markdown):
                told.visible += markdown
            case Recanted():
                asked, told = False, Replayed(name)
                known, made = set(range(1, context.pictures + 1)), 0
            case ImageRequest():
                asked = True
                routed = route(event, known, max(known, default=None), context.text)
                if isinstance(routed, Failed):
                    told.visible += f" {routed.reason} "
                    continue
                of = 0 if (routed.start or 0) > context.pictures else routed.request.of
                space = " " if told.visible.endswith("]]") else ""
                told.visible += f"{space}[[{len(told.jobs)}]]"
                told.jobs.append(Job(routed.request.operation, routed.request.prompt, of))
                if routed.request.operation is not Operation.SELECT:
                    made += 1
                    known.add(context.pictures + made)
    told.visible = told.visible.strip()
    told.repair = not asked and forgot(context, told.visible)
    return told


_RECORDED = TypeAdapter(Recorded)
