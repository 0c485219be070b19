"""Builds the history of a thread for the chat model, within its context window. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from bot.domain import Entry, ImageRequest, Operation, Picture, PicturePart, Recanted, Rendered, Text, TextPart
from bot.llm.messages import Manners, Role, Said
from bot.llm.token_budget import IMAGE, cost, cut, listing, newest_within, room, shortened, tokens
from bot.parsing.image_request import as_tag
from bot.parsing.stream_parser import Context, TagParser
from bot.prompting.sanitize import harmless, names_of, one_line, without_tokens

MOST_IMAGES = 3  # images that a model with vision gets with one message
LONGEST_SUMMARY, LONGEST_LISTING = 1024, 4096  # tokens, independent of the context window
LONGEST_QUOTE = 80  # characters of a message in the summary

_NO_IMAGES: Mapping[int, bytes] = {}
_NUMBER = re.compile(r"#(\d{1,6})(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Thread:
    """Facts about the thread: display names by user id, names of uploaders by picture number, numbers of pictures."""

    names: Mapping[str, str]
    uploaders: Mapping[int, str]
    numbers: tuple[int, ...]
    manners: Manners


def transcript(
    system: str,
    earlier: Sequence[Entry],
    now: Entry,
    pictures: Sequence[Picture],
    manners: Manners,
    images: Mapping[int, bytes] = _NO_IMAGES,
    reserved: int = 0,
) -> list[Said]:
    """Return the system prompt, the part of the thread that fits into the context window, and the current message.

    Answers of the model contain its images as canonical tags, so that the model continues to write these tags. Text of
    users never contains a tag. Old messages that do not fit are summarized; of the current message at least the
    beginning and the end stay. `images` are JPEGs by picture number, see `wanted_images`; `reserved` is the number of
    tokens of other content of the request, such as tools.
    """
    names = names_of(entry.author for entry in (*earlier, now))
    uploaders = {upload.number: names[entry.author.id] for entry in (*earlier, now) for upload in entry.uploads}
    thread = _Thread(names, uploaders, tuple(picture.number for picture in pictures), manners)
    told = Said(Role.SYSTEM, system)
    free = room(manners) - cost(told) - reserved
    longest = free // 4  # of one text in the history
    newest = _newest(thread, now, pictures, _shown(now, pictures, manners, images, free), free)
    free -= cost(newest)
    turns = _recent(thread, earlier, free, longest)
    if len(turns) < len(earlier):
        turns = _recent(thread, earlier, free - min(free // 4, LONGEST_SUMMARY), longest)
        free -= sum(cost(said) for exchange in turns for said in exchange) + 1
        left_out = [_summed_up(thread, entry) for entry in earlier[: len(earlier) - len(turns)]]
        summary = f"[earlier: {newest_within(left_out, min(free, LONGEST_SUMMARY) - tokens('[earlier: ]'))}]"
        if tokens(summary) <= free:
            turns, newest = _with_summary(summary, turns, newest)
    return _alternating([told, *(said for exchange in turns for said in exchange), newest])


def wanted_images(now: Entry, pictures: Sequence[Picture], manners: Manners) -> list[int]:
    """Return the numbers of the pictures that a model with vision gets with this message, at most three.

    The first rule that finds a picture decides: pictures that the message is about or uploads, pictures that its text
    names, the newest picture.
    """
    most = min(MOST_IMAGES, manners.context // 3 // IMAGE) if manners.sees else 0
    known = [picture.number for picture in pictures]
    for numbers in (_pointed_at(now), _named(now.text), known[-1:]):
        if wanted := [number for number in dict.fromkeys(numbers) if number in known]:
            return wanted[:most]
    return []


# The newest message


def _shown(
    now: Entry, pictures: Sequence[Picture], manners: Manners, images: Mapping[int, bytes], free: int
) -> dict[int, bytes]:
    """Return the images that fit, by number, in the order in which they are attached."""
    wanted = [number for number in wanted_images(now, pictures, manners) if number in images]
    return {number: images[number] for number in wanted[: max(free // 2 // IMAGE, 0)]}


def _newest(thread: _Thread, now: Entry, pictures: Sequence[Picture], shown: Mapping[int, bytes], free: int) -> Said:
    notes = _notes(now) + ([f"[shown: {_listed(shown)}]"] if shown else [])
    bare = Said(Role.USER, "\n".join([*notes, f"{thread.names[now.author.id]}: ", ""]), tuple(shown.values()))
    free -= cost(bare)
    if pictures:
        described = [(picture.number, _described(picture, thread)) for picture in pictures]
        needed = {*_pointed_at(now), *_named(now.text)}
        listed = listing(described, needed, min(free // 4, LONGEST_LISTING) - tokens("[pictures: ]\n"))
        notes.insert(0, f"[pictures: {listed}]")
    return Said(Role.USER, "\n".join([*notes, _line(thread, now, free * 3 // 4)]), bare.images)


def _notes(entry: Entry) -> list[str]:
    before = [f"[earlier: {entry.before}]"] if entry.before else []
    about = [] if entry.about is None else [f"[about: #{entry.about}]"]
    about += [f"[marked: a part of #{entry.about}; nothing else of it will change]"] if entry.part else []
    return (
        before
        + about
        + ([f"[uploaded: {_listed(upload.number for upload in entry.uploads)}]"] if entry.uploads else [])
    )


def _pointed_at(entry: Entry) -> list[int]:
    return [*([] if entry.about is None else [entry.about]), *(upload.number for upload in entry.uploads)]


def _named(text: str) -> list[int]:
    return [int(number) for number in _NUMBER.findall(text)]


def _described(picture: Picture, thread: _Thread) -> str:
    return one_line(describe(picture, thread.uploaders.get(picture.number, "")))


def describe(picture: Picture, uploader: str = "") -> str:
    """Return the description of a picture that the chat model gets."""
    if picture.operation is Operation.UPLOAD:
        brought = f"uploaded by {uploader}" if uploader else "uploaded picture"
        return f"{brought}: {picture.prompt}" if picture.prompt else brought
    return picture.prompt or picture.alt


# The messages before it


def _recent(thread: _Thread, earlier: Sequence[Entry], free: int, longest: int) -> list[list[Said]]:
    """Return the newest messages with their answers, as many as fit."""
    turns: list[list[Said]] = []
    for entry in reversed(earlier):
        exchange = [Said(Role.USER, "\n".join([*_notes(entry), _line(thread, entry, longest)]))]
        if answer := _answer(thread, entry, longest):
            exchange.append(Said(Role.ASSISTANT, answer))
        free -= sum(map(cost, exchange))
        if free < 0:
            break
        turns.insert(0, exchange)
    return turns


def _answer(thread: _Thread, entry: Entry, longest: int) -> str:
    """Return the answer of the model with canonical tags, without the bot's own sentences in the reply."""
    parts = _heard(thread, entry) if entry.view is None else entry.view.parts
    written: list[str] = []
    for part in parts:
        match part:
            case TextPart(markdown) | Text(markdown):
                written.append(cut(without_tokens(markdown).strip(), longest))
            case ImageRequest():
                written.append(as_tag(part))
            case PicturePart():
                of = part.number if part.operation is Operation.SELECT else part.parent
                written.append(as_tag(ImageRequest(part.key, part.operation, part.prompt, of or None)))
            case _:
                assert_never(part)
    return "\n".join(filter(None, written))  # on a line of its own, a tag is not part of a quotation or a block of code


def _heard(thread: _Thread, entry: Entry) -> list[Text | ImageRequest]:
    """Parse an answer that was never finished, without its thoughts and its broken markup."""
    thinks_first = thread.manners.thinks_first
    parser = TagParser(Context(entry.text, max(thread.numbers, default=0), thinks_first=thinks_first))
    heard: list[Text | ImageRequest] = []
    for event in (*parser.feed(entry.words), *parser.end()):
        if isinstance(event, Recanted):
            heard.clear()
        else:
            heard.append(event)
    return heard


def _summed_up(thread: _Thread, entry: Entry) -> str:
    """Summarize a message that does not fit: author, short quote and numbers of the resulting pictures."""
    parts = entry.view.parts if entry.view else ()
    made = [part.number for part in parts if isinstance(part, PicturePart) and isinstance(part.state, Rendered)]
    sent = f" sent {_listed(upload.number for upload in entry.uploads)}" if entry.uploads else ""
    said = (
        f' {"asked" if made else "said"} "{shortened(one_line(entry.text[: 4 * LONGEST_QUOTE]), LONGEST_QUOTE)}"'
        if entry.text
        else ""
    )
    outcome = f" -> {_listed(made)}" if made else ""
    return thread.names[entry.author.id] + " and".join(filter(None, (sent, said))) + outcome


def _with_summary(summary: str, turns: Sequence[list[Said]], newest: Said) -> tuple[list[list[Said]], Said]:
    """Put the summary before the first message, or after the notes of the current message if there is no other."""
    if turns:
        first, *answer = turns[0]
        return [[Said(Role.USER, f"{summary}\n{first.text}"), *answer], *turns[1:]], newest
    lines = newest.text.split("\n")
    notes = next(n for n, line in enumerate(lines) if not line.startswith("["))
    return [], Said(Role.USER, "\n".join([*lines[:notes], summary, *lines[notes:]]), newest.images)


def _alternating(turns: Sequence[Said]) -> list[Said]:
    """Join neighbours of the same role: the chat templates of many models refuse two user messages in a row."""
    joined: list[Said] = []
    for said in turns:
        if joined and joined[-1].role is said.role:
            joined[-1] = Said(said.role, f"{joined[-1].text}\n\n{said.text}", joined[-1].images + said.images)
        else:
            joined.append(said)
    return joined


def _line(thread: _Thread, entry: Entry, most: int) -> str:
    return f"{thread.names[entry.author.id]}: {cut(harmless(entry.text), most)}"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(f"#{number}" for number in numbers)
