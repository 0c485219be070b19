"""Escapes text and names of users against prompt injection and tag injection. Pure."""

import re
from collections.abc import Iterable
from functools import lru_cache

from bot.domain import ImageRequest, Person
from bot.parsing.stream_parser import StreamParser

LONGEST_NAME = 40  # characters

_ROLES = {"system", "user", "human", "assistant", "ai", "bot", "you", "tool", "developer", "prompt", "image prompt"}

# Characters and markup in text of users that a chat model or the parser would obey
_INVISIBLE = re.compile(r"[\0-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff]")
_UNFIT = re.compile(
    r"[\0-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff<>＜＞\[\]{}|｜:：\"`#&*\\◁▷]"
)
_LT = r"(?:[<＜]|&lt;)"
_TAG = re.compile(rf"{_LT}(?=\s{{0,9}}[/\\]?\s{{0,9}}(?P<name>[\w-]{{1,60}}))", re.IGNORECASE)
_BRACKET = re.compile(r"\[(?=\s?/?\s?(?P<name>[\w-]{1,60}))")
_OWN_NOTE = re.compile(r"\[(?=(?:pictures|about|marked|uploaded|shown|earlier)\b)", re.IGNORECASE)
_CONTROL = re.compile(  # the special tokens of chat templates, thoughts, and written tool calls
    rf"{_LT}(?=[|｜]|\s{{0,9}}/?\s{{0,9}}(?:s|bos|eos|pad|unk|mask|start_of_turn|end_of_turn|think|thinking|thoughts?"
    r"|reasoning|reflection|scratchpad|tool_\w{1,20}|function_\w{1,20}|function|invoke|parameter|antml:\w{1,20})\s{0,9}"
    r"(?:[>=]|name\b))|<(?=</?SYS>>)|◁(?=/?think▷)|\[(?=/?(?:INST|THINK|TOOL_\w{1,20}|AVAILABLE_TOOLS|SYSTEM_PROMPT)\])",
    re.IGNORECASE,
)
_CALL = re.compile(r"[{\[]\s*[\"']|_(?:image|picture)s?\(", re.IGNORECASE)
_TOOL = re.compile(r"(?:generate|create|draw|make|edit|vary|select|refine)_(?=image|picture)|dall(?=e)", re.IGNORECASE)


def sanitize(text: str) -> str:
    """Escape everything that the parser or the chat template of the model would read as markup."""
    text = escape_control_tokens(text).replace("![", "! [")
    text = _TAG.sub(lambda found: "‹" if _is_request_tag(found["name"].lower()) else found.group(), text)
    text = _BRACKET.sub(lambda found: "［" if _is_request_tag(found["name"].lower()) else found.group(), text)
    text = _OWN_NOTE.sub("［", text)
    return _TOOL.sub(lambda found: found.group().rstrip("_") + "-", text) if _CALL.search(text) else text


def escape_control_tokens(text: str) -> str:
    """Escape the special tokens that mark roles, thoughts and tool calls in a chat template."""
    return _CONTROL.sub("‹", _INVISIBLE.sub("", text))


@lru_cache(maxsize=1024)
def _is_request_tag(name: str) -> bool:
    """Whether the parser reads a tag of this name as an image request, our own or another form that models write."""
    for written in (f"<{name}>a red cat</{name}>", f'<{name} alt="a red cat"/>', f'<{name} of="1"/>'):
        parser = StreamParser()
        if any(isinstance(event, ImageRequest) for event in (*parser.feed(written), *parser.end())):
            return True
    return False


def sanitize_line(text: str) -> str:
    """Sanitize the text and put it on one line without double quotes, so that it can be quoted."""
    return " ".join(sanitize(text).replace('"', "'").split())


def display_names(people: Iterable[Person]) -> dict[str, str]:
    """Return display names by user id: on one line, without markup, and unique."""
    names: dict[str, str] = {}
    for person in people:
        if person.id not in names:
            plain = " ".join(_UNFIT.sub(" ", sanitize(person.name)).split())[:LONGEST_NAME].strip() or "Somebody"
            plain = f"{plain} (person)" if plain.lower() in _ROLES else plain
            taken = {name.lower() for name in names.values()}
            name, count = plain, 2
            while name.lower() in taken:
                name, count = f"{plain} ({count})", count + 1
            names[person.id] = name
    return names
