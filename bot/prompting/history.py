"""Builds the history of a thread for the chat model, within its context window. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from bot.domain import Entry, ImageRequest, Operation, Person, Picture, PicturePart, Rendered, Retracted, Text, TextPart
from bot.llm.messages import ChatMessage, ModelProfile, Role
from bot.llm.token_budget import (
    IMAGE_TOKENS,
    estimate_message_tokens,
    estimate_tokens,
    input_budget,
    keep_newest,
    list_pictures,
    shorten,
    truncate_middle,
)
from bot.parsing.image_request import as_tag
from bot.parsing.stream_parser import ParserContext, StreamParser
from bot.prompting.sanitize import display_names, escape_control_tokens, sanitize, sanitize_line

MAX_IMAGES = 3  # images that a model with vision gets with one message
LONGEST_SUMMARY, LONGEST_LISTING = 1024, 4096  # tokens, independent of the context window
LONGEST_QUOTE = 80  # characters of a message in the summary
MAX_EARLIER_MESSAGES = 3_000  # characters of all messages from before the bot was mentioned
MAX_EARLIER_MESSAGE = 600  # characters of one of them
EARLIER_SEPARATOR = " · "

_NO_IMAGES: Mapping[int, bytes] = {}
_NUMBER = re.compile(r"#(\d{1,6})(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _ThreadFacts:
    """Facts about the thread: display names by user id, names of uploaders by picture number, numbers of pictures."""

    names: Mapping[str, str]
    uploaders: Mapping[int, str]
    numbers: tuple[int, ...]
    profile: ModelProfile


def build_history(
    system: str,
    earlier: Sequence[Entry],
    current: Entry,
    pictures: Sequence[Picture],
    profile: ModelProfile,
    images: Mapping[int, bytes] = _NO_IMAGES,
    reserved: int = 0,
) -> list[ChatMessage]:
    """Return the system prompt, the part of the thread that fits into the context window, and the current message.

    Answers of the model contain its images as canonical tags, so that the model continues to write these tags. Text of
    users never contains a tag. Old messages that do not fit are summarized; of the current message at least the
    beginning and the end stay. `images` are JPEGs by picture number, see `wanted_images`; `reserved` is the number of
    tokens of other content of the request, such as tools.
    """
    names = display_names(entry.author for entry in (*earlier, current))
    uploaders = {upload.number: names[entry.author.id] for entry in (*earlier, current) for upload in entry.uploads}
    thread = _ThreadFacts(names, uploaders, tuple(picture.number for picture in pictures), profile)
    system_message = ChatMessage(Role.SYSTEM, system)
    free = input_budget(profile) - estimate_message_tokens(system_message) - reserved
    longest = free // 4  # of one text in the history
    newest = _newest_message(
        thread, current, pictures, _attached_images(current, pictures, profile, images, free), free
    )
    free -= estimate_message_tokens(newest)
    turns = _recent_messages(thread, earlier, free, longest)
    if len(turns) < len(earlier):
        turns = _recent_messages(thread, earlier, free - min(free // 4, LONGEST_SUMMARY), longest)
        free -= sum(estimate_message_tokens(message) for exchange in turns for message in exchange) + 1
        left_out = [_summarize(thread, entry) for entry in earlier[: len(earlier) - len(turns)]]
        summary = f"[earlier: {keep_newest(left_out, min(free, LONGEST_SUMMARY) - estimate_tokens('[earlier: ]'))}]"
        if estimate_tokens(summary) <= free:
            turns, newest = _with_summary(summary, turns, newest)
    return _merge_same_roles([system_message, *(message for exchange in turns for message in exchange), newest])


def join_earlier_messages(messages: Sequence[tuple[Person, str]]) -> str:
    """Join the messages from before the bot was mentioned on one line; only the newest that fit are included."""
    names, free = display_names(person for person, _ in messages), MAX_EARLIER_MESSAGES
    kept: list[str] = []
    for person, raw_text in reversed(messages):
        text = sanitize_line(raw_text)
        short = text if len(text) <= MAX_EARLIER_MESSAGE else text[: MAX_EARLIER_MESSAGE - 1] + "…"
        line = f'{names[person.id]}: "{short}"'
        if not text:
            continue
        if len(line) >= free:
            break
        kept.insert(0, line)
        free -= len(line) + len(EARLIER_SEPARATOR)
    return EARLIER_SEPARATOR.join(kept)


def wanted_images(current: Entry, pictures: Sequence[Picture], profile: ModelProfile) -> list[int]:
    """Return the numbers of the pictures that a model with vision gets with this message, at most three.

    The first rule that finds a picture decides: pictures that the message is about or uploads, pictures that its text
    names, the newest picture.
    """
    most = min(MAX_IMAGES, profile.context_window // 3 // IMAGE_TOKENS) if profile.has_vision else 0
    known = [picture.number for picture in pictures]
    for numbers in (_referenced_numbers(current), _mentioned_numbers(current.text), known[-1:]):
        if wanted := [number for number in dict.fromkeys(numbers) if number in known]:
            return wanted[:most]
    return []


# The newest message


def _attached_images(
    now: Entry, pictures: Sequence[Picture], profile: ModelProfile, images: Mapping[int, bytes], free: int
) -> dict[int, bytes]:
    """Return the images that fit, by number, in the order in which they are attached."""
    wanted = [number for number in wanted_images(now, pictures, profile) if number in images]
    return {number: images[number] for number in wanted[: max(free // 2 // IMAGE_TOKENS, 0)]}


def _newest_message(
    thread: _ThreadFacts, now: Entry, pictures: Sequence[Picture], shown: Mapping[int, bytes], free: int
) -> ChatMessage:
    notes = _message_notes(now) + ([f"[shown: {_format_numbers(shown)}]"] if shown else [])
    bare = ChatMessage(Role.USER, "\n".join([*notes, f"{thread.names[now.author.id]}: ", ""]), tuple(shown.values()))
    free -= estimate_message_tokens(bare)
    if pictures:
        described = [(picture.number, _describe_line(picture, thread)) for picture in pictures]
        needed = {*_referenced_numbers(now), *_mentioned_numbers(now.text)}
        listed = list_pictures(described, needed, min(free // 4, LONGEST_LISTING) - estimate_tokens("[pictures: ]\n"))
        notes.insert(0, f"[pictures: {listed}]")
    return ChatMessage(Role.USER, "\n".join([*notes, _message_line(thread, now, free * 3 // 4)]), bare.images)


def _message_notes(entry: Entry) -> list[str]:
    before = [f"[earlier: {entry.earlier_messages}]"] if entry.earlier_messages else []
    about = [] if entry.about is None else [f"[about: #{entry.about}]"]
    about += [f"[marked: a part of #{entry.about}; nothing else of it will change]"] if entry.region else []
    return (
        before
        + about
        + ([f"[uploaded: {_format_numbers(upload.number for upload in entry.uploads)}]"] if entry.uploads else [])
    )


def _referenced_numbers(entry: Entry) -> list[int]:
    return [*([] if entry.about is None else [entry.about]), *(upload.number for upload in entry.uploads)]


def _mentioned_numbers(text: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(text)]


def _describe_line(picture: Picture, thread: _ThreadFacts) -> str:
    return sanitize_line(describe_picture(picture, thread.uploaders.get(picture.number, "")))


def describe_picture(picture: Picture, uploader: str = "") -> str:
    """Return the description of a picture that the chat model gets."""
    if picture.request.operation is Operation.UPLOAD:
        brought = f"uploaded by {uploader}" if uploader else "uploaded picture"
        return f"{brought}: {picture.request.prompt}" if picture.request.prompt else brought
    return picture.request.prompt or picture.alt


# The messages before it


def _recent_messages(
    thread: _ThreadFacts, earlier: Sequence[Entry], free: int, longest: int
) -> list[list[ChatMessage]]:
    """Return the newest messages with their answers, as many as fit."""
    turns: list[list[ChatMessage]] = []
    for entry in reversed(earlier):
        exchange = [ChatMessage(Role.USER, "\n".join([*_message_notes(entry), _message_line(thread, entry, longest)]))]
        if answer := _answer_text(thread, entry, longest):
            exchange.append(ChatMessage(Role.ASSISTANT, answer))
        free -= sum(map(estimate_message_tokens, exchange))
        if free < 0:
            break
        turns.insert(0, exchange)
    return turns


def _answer_text(thread: _ThreadFacts, entry: Entry, longest: int) -> str:
    """Return the answer of the model with canonical tags, without the bot's own sentences in the reply."""
    parts = _parse_unfinished_answer(thread, entry) if entry.view is None else entry.view.parts
    written: list[str] = []
    for part in parts:
        match part:
            case TextPart(markdown) | Text(markdown):
                written.append(truncate_middle(escape_control_tokens(markdown).strip(), longest))
            case ImageRequest():
                written.append(as_tag(part))
            case PicturePart():
                of = part.number if part.operation is Operation.SELECT else part.source
                written.append(as_tag(ImageRequest(part.key, part.operation, part.prompt, source=of or None)))
            case _:
                assert_never(part)
    return "\n".join(filter(None, written))  # on a line of its own, a tag is not part of a quotation or a block of code


def _parse_unfinished_answer(thread: _ThreadFacts, entry: Entry) -> list[Text | ImageRequest]:
    """Parse an answer that was never finished, without its thoughts and its broken markup."""
    thinks_first = thread.profile.thinks_first
    parser = StreamParser(ParserContext(entry.text, max(thread.numbers, default=0), thinks_first=thinks_first))
    events: list[Text | ImageRequest] = []
    for event in (*parser.feed(entry.raw_answer), *parser.end()):
        if isinstance(event, Retracted):
            events.clear()
        else:
            events.append(event)
    return events


def _summarize(thread: _ThreadFacts, entry: Entry) -> str:
    """Summarize a message that does not fit: author, short quote and numbers of the resulting pictures."""
    parts = entry.view.parts if entry.view else ()
    made = [part.number for part in parts if isinstance(part, PicturePart) and isinstance(part.state, Rendered)]
    sent = f" sent {_format_numbers(upload.number for upload in entry.uploads)}" if entry.uploads else ""
    said = (
        f' {"asked" if made else "said"} "{shorten(sanitize_line(entry.text[: 4 * LONGEST_QUOTE]), LONGEST_QUOTE)}"'
        if entry.text
        else ""
    )
    outcome = f" -> {_format_numbers(made)}" if made else ""
    return thread.names[entry.author.id] + " and".join(filter(None, (sent, said))) + outcome


def _with_summary(
    summary: str, turns: Sequence[list[ChatMessage]], newest: ChatMessage
) -> tuple[list[list[ChatMessage]], ChatMessage]:
    """Put the summary before the first message, or after the notes of the current message if there is no other."""
    if turns:
        first, *answer = turns[0]
        return [[ChatMessage(Role.USER, f"{summary}\n{first.text}"), *answer], *turns[1:]], newest
    lines = newest.text.split("\n")
    notes = next(n for n, line in enumerate(lines) if not line.startswith("["))
    return [], ChatMessage(Role.USER, "\n".join([*lines[:notes], summary, *lines[notes:]]), newest.images)


def _merge_same_roles(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Join neighbours of the same role: the chat templates of many models refuse two user messages in a row."""
    joined: list[ChatMessage] = []
    for message in turns:
        if joined and joined[-1].role is message.role:
            joined[-1] = ChatMessage(
                message.role, f"{joined[-1].text}\n\n{message.text}", joined[-1].images + message.images
            )
        else:
            joined.append(message)
    return joined


def _message_line(thread: _ThreadFacts, entry: Entry, max_tokens: int) -> str:
    return f"{thread.names[entry.author.id]}: {truncate_middle(sanitize(entry.text), max_tokens)}"


def _format_numbers(numbers: Iterable[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers)
