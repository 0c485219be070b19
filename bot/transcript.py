"""What was said in a thread -> what the chat model is told, within its context. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from bot.budget import IMAGE, cost, cut, listing, newest_within, room, shortened, tokens
from bot.domain import Entry, ImageRequest, Operation, Picture, PicturePart, Recanted, Rendered, Text, TextPart
from bot.harmless import harmless, names_of, one_line, without_tokens
from bot.speech import Manners, Role, Said
from bot.tags import Context, TagParser
from bot.wishes import as_tag

MOST_IMAGES = 3  # that are shown to a model which can see
LONGEST_SUMMARY, LONGEST_LISTING = 1024, 4096  # tokens, however much the model can hold
LONGEST_QUOTE = 80  # characters of a message that is summed up

_NO_IMAGES: Mapping[int, bytes] = {}
_NUMBER = re.compile(r"#(\d{1,6})(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Thread:
    """What holds for every message: people's names by id, the uploaders' by picture number, the pictures' numbers."""

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
    """The system text, as much of the thread as the model's context holds, and the message to be answered.

    The model's own words stand in the history with its pictures as canonical tags, so that it goes on to write these.
    People's words never hold a tag. The oldest messages are summed up where there is no room for them; of the newest
    at least the beginning and the end stay. `images` are JPEGs by picture number, see `wanted_images`;
    `reserved` are the tokens of what is sent beside it, such as tools.
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
    """The numbers of the pictures that a model which can see should be shown with this message, at most three.

    They are those that the message is about or brings along, or else those that it names, or else the newest.
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
    """The images that there is room for, by number, in the order in which they are attached."""
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
    """The picture in the words by which the model knows it."""
    if picture.operation is Operation.UPLOAD:
        brought = f"uploaded by {uploader}" if uploader else "uploaded picture"
        return f"{brought}: {picture.prompt}" if picture.prompt else brought
    return picture.prompt or picture.alt


# The messages before it


def _recent(thread: _Thread, earlier: Sequence[Entry], free: int, longest: int) -> list[list[Said]]:
    """The newest messages with their answers, as many as there is room for."""
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
    """The model's words with canonical tags. What the bot itself remarked in the reply is not among them."""
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
    return "\n".join(filter(None, written))  # a tag on a line of its own stands in no quotation and no block of code


def _heard(thread: _Thread, entry: Entry) -> list[Text | ImageRequest]:
    """An answer that was never finished, without its thoughts and its broken markup."""
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
    """A message for which there is no room: who said what, and which pictures came of it."""
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
    """The summary in front of the first message; behind the notes of the newest, if that is the only one."""
    if turns:
        first, *answer = turns[0]
        return [[Said(Role.USER, f"{summary}\n{first.text}"), *answer], *turns[1:]], newest
    lines = newest.text.split("\n")
    notes = next(n for n, line in enumerate(lines) if not line.startswith("["))
    return [], Said(Role.USER, "\n".join([*lines[:notes], summary, *lines[notes:]]), newest.images)


def _alternating(turns: Sequence[Said]) -> list[Said]:
    """Neighbours of one role joined: the templates of many models refuse two user turns in a row."""
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
