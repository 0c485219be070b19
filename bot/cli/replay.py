"""`python -m bot replay FILE.jsonl`: parses recorded answers as the bot does, without a chat model or rendering.

For operators who try a new model, and for tests.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bot.conversation.source_picture import resolve_source
from bot.domain import Failed, ImageRequest, Operation, Retracted, Text
from bot.errors import BotError
from bot.parsing.fallback import is_image_missing
from bot.parsing.intent import ParserContext
from bot.parsing.stream_parser import Event, StreamParser


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as a model wrote it.

    `user` is the message that it answers, `pictures_in_thread` the number of images in the thread, #1 to #n.
    """

    id: str
    output: str
    user: str = ""
    pictures_in_thread: int = 0
    finish_reason: str = "stop"
    thinks_first: bool = False


@dataclass(frozen=True, slots=True)
class ReplayedJob:
    """An image that would be rendered.

    `of` is the number of its source image in the thread, 0 for an image of the same answer, None for the current image.
    """

    operation: Operation
    prompt: str
    of: int | None


@dataclass(slots=True)
class ReplayResult:
    """The result of an answer: in `visible`, `[[k]]` stands for the image of the job with index k.

    `repair` says whether the bot would remind the model of a forgotten image.
    """

    id: str
    jobs: list[ReplayedJob] = field(default_factory=list)
    visible: str = ""
    repair: bool = False


def replay_file(path: Path) -> Iterator[str]:
    """Yield a line of JSON for each line of the file. Raises BotError, which names the first invalid line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BotError(f"{path} cannot be read as UTF-8 text: {type(error).__name__}.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                recorded = _RAW_ANSWER.validate_json(line)
            except ValidationError as error:
                fault = error.errors()[0]
                where = ".".join(map(str, fault["loc"]))
                raise BotError(f"{path}, line {number}: {where} {fault['msg']}".strip() + ".") from None
            yield json.dumps(asdict(replay_answer(recorded)), ensure_ascii=False)


def replay_answer(recorded: RawAnswer) -> ReplayResult:
    """Parse one answer as the bot does."""
    context = ParserContext(recorded.user, recorded.pictures_in_thread, thinks_first=recorded.thinks_first)
    parser = StreamParser(context)
    return build_result(recorded.id, context, [*parser.feed(recorded.output), *parser.end()])


def build_result(name: str, context: ParserContext, events: Iterable[Event]) -> ReplayResult:
    """Collect the jobs and the visible text from the events of a parser."""
    asked, told = False, ReplayResult(name)
    known, made = set(range(1, context.last_picture_number + 1)), 0
    for event in events:
        match event:
            case Text(markdown):
                told.visible += markdown
            case Retracted():
                asked, told = False, ReplayResult(name)
                known, made = set(range(1, context.last_picture_number + 1)), 0
            case ImageRequest():
                asked = True
                routed = resolve_source(event, known, max(known, default=None), context.text)
                if isinstance(routed, Failed):
                    told.visible += f" {routed.reason} "
                    continue
                of = 0 if (routed.source_number or 0) > context.last_picture_number else routed.request.source
                space = " " if told.visible.endswith("]]") else ""
                told.visible += f"{space}[[{len(told.jobs)}]]"
                told.jobs.append(ReplayedJob(routed.request.operation, routed.request.prompt, of))
                if routed.request.operation is not Operation.SELECT:
                    made += 1
                    known.add(context.last_picture_number + made)
    told.visible = told.visible.strip()
    told.repair = not asked and is_image_missing(context, told.visible)
    return told


_RAW_ANSWER = TypeAdapter(RawAnswer)
