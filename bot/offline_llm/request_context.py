"""Reads the last request and the images it can be about from the history. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.llm.messages import ChatMessage, Role
from bot.offline_llm.scene import Description
from bot.offline_llm.scene_parser import parse
from bot.offline_llm.tokenizer import LONGEST_TEXT


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The last message, with the pictures that it can be about: their numbers and prompts.

    `turn` counts the messages so far; `row` is how many pictures the last answer asked for. `chosen` is the picture
    that was chosen since the newest was made, `marked` the one of which somebody marked a part.
    """

    text: str
    pictures: dict[int, str]
    about: int | None
    turn: int
    row: int
    chosen: int | None = None
    marked: int | None = None

    def newest(self) -> int | None:
        """The number of the newest picture."""
        return max(self.pictures, default=None)

    def focus(self) -> int | None:
        """The number of the picture that is talked about."""
        return self.about or self.chosen or self.newest()


PICTURES_LINE = re.compile(r"\A\[pictures: (.*)\](?:\n|\Z)")
ABOUT_LINE = re.compile(r"\A\[about: #(\d{1,6})\](?:\n|\Z)")
PICTURE = re.compile(r'#(\d{1,6}) "(.*?)"(?=; #|\Z)')
OTHER_LINES = re.compile(r"\A(?:\[(?:marked|uploaded|shown|earlier): .*\](?:\n|\Z))+")
NEWEST = re.compile(r"\A.*\n\n(?=\[pictures: )", re.DOTALL)  # messages that nobody answered stand before it
SPEAKER = re.compile(r"\A[^:\n]{1,80}: ?")
NEW_PICTURE = re.compile(r"<(?:image|edit|vary|refine)\b")
TAG = re.compile(r'<(?:image|edit|vary|refine|select of="(\d{1,6})")')


def read_request(history: Sequence[ChatMessage]) -> RequestContext:
    """Parse the last message of a user."""
    said = [turn.text for turn in history if turn.role is Role.USER]
    answers = [turn.text for turn in history if turn.role is Role.ASSISTANT]
    text, pictures, about = said[-1] if said else "", {}, None
    text = NEWEST.sub("", text, count=1)
    if found := PICTURES_LINE.match(text):
        pictures = {int(number): prompt for number, prompt in PICTURE.findall(found[1])}
        text = text[found.end() :]
    if found := ABOUT_LINE.match(text):
        about = int(found[1]) if int(found[1]) in pictures else None
        text = text[found.end() :]
    marked = about if text.startswith("[marked: ") else None
    text = OTHER_LINES.sub("", text)
    row = len(NEW_PICTURE.findall(answers[-1])) if answers else 0
    tags = TAG.findall("\n".join(answers))
    chosen = int(tags[-1]) if tags and tags[-1] and int(tags[-1]) in pictures else None
    return RequestContext(SPEAKER.sub("", text)[:LONGEST_TEXT], pictures, about, len(said), row, chosen, marked)


def known_picture(prompt: str) -> Description:
    """The description that a prompt of our own tells."""
    description = parse(prompt)
    assert description is not None, prompt
    return description
