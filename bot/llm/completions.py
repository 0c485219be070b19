"""The body of a chat completion request, and the reader of streamed answers. Pure; `bot.llm.client` does the I/O.

Servers differ in how they stream tool calls: the arguments come in pieces or at once, as text or as an object; the
index may be missing, or 0 for all calls; the id and the name may come with the first piece only or with every piece.
"""

import base64
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from bot.llm.messages import Called, Delta, Parameter, Role, Said, Stopped, Tool

MANY = 100  # more images than a request ever holds
ENDS = frozenset({"stop", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence"})

_SHOWN = re.compile(r"^\[shown: [^\]\n]*\]\n", re.MULTILINE)  # the note about images, from `bot.prompting.history`


@dataclass(frozen=True, slots=True)
class Form:
    """The features of a request: tools, the largest number of images, and a system prompt as a message of its own."""

    tools: bool = True
    images: int = MANY
    system: bool = True


def contained(transcript: Sequence[Said], tools: Sequence[Tool], form: Form) -> Form:
    """Return the features that a request with these options really uses."""
    images = sum(len(said.images) for said in transcript)
    system = any(said.role is Role.SYSTEM for said in transcript)
    return Form(form.tools and bool(tools), min(form.images, images), form.system and system)


def request(model: str, transcript: Sequence[Said], tools: Sequence[Tool], form: Form) -> dict[str, object]:
    """Return the JSON body of the request, without the images and features that the options exclude."""
    told = _with_images(transcript if form.system else _folded(transcript), form.images)
    body: dict[str, object] = {"model": model, "messages": [_message(said) for said in told], "stream": True}
    return body | ({"tools": [_function(tool) for tool in tools]} if form.tools and tools else {})


def _folded(transcript: Sequence[Said]) -> list[Said]:
    """Put the system prompt in front of the first user message, for chat templates without a system role."""
    system = "\n\n".join(said.text for said in transcript if said.role is Role.SYSTEM)
    told = [said for said in transcript if said.role is not Role.SYSTEM]
    if not system:
        return told
    if told and told[0].role is Role.USER:
        return [replace(told[0], text=f"{system}\n\n{told[0].text}"), *told[1:]]
    return [Said(Role.USER, system), *told]


def _with_images(transcript: Iterable[Said], most: int) -> list[Said]:
    """Keep the first images of the history; a message that loses all its images also loses the note about them."""
    told: list[Said] = []
    for said in transcript:
        kept = said.images[:most]
        most -= len(kept)
        blind = bool(said.images) and not kept
        told.append(replace(said, text=_SHOWN.sub("", said.text, count=1) if blind else said.text, images=kept))
    return told


def _message(said: Said) -> dict[str, object]:
    if not said.images:
        return {"role": said.role.value, "content": said.text}
    addresses = (f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" for image in said.images)
    pictures = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    return {"role": said.role.value, "content": [{"type": "text", "text": said.text}, *pictures]}


def _function(tool: Tool) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": {parameter.name: _property(parameter) for parameter in tool.parameters},
        "required": [parameter.name for parameter in tool.parameters if parameter.required],
    }
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def _property(parameter: Parameter) -> dict[str, object]:
    described: dict[str, object] = {"type": parameter.kind, "description": parameter.description}
    return described | ({"enum": list(parameter.choices)} if parameter.choices else {})


# The answer


class _Function(BaseModel):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(_Function):  # a few servers leave `function` out and put its fields here
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None


class _Words(BaseModel):
    type: str | None = None
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_Words] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(BaseModel):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Completion(BaseModel):
    choices: list[_Choice] | None = None  # null or empty in the event with the token usage


class Answer:
    """Reads one answer, event by event, or in one call of `feed` if it is not streamed."""

    def __init__(self) -> None:
        self.begun = False
        self.thinks_apart = False  # the reasoning has a field of its own
        self._finished: str | None = None
        self._calls = _Calls()

    def feed(self, data: object) -> list[Delta | Called]:
        """Return the text and tool calls that this event completes. Raises ValueError for other data."""
        completion = _Completion.model_validate(data)
        self.begun = True
        said: list[Delta | Called] = []
        for choice in completion.choices or ():
            for message in filter(None, (choice.delta, choice.message)):
                self.thinks_apart |= bool(message.reasoning_content or message.reasoning)
                if words := _words(message):
                    said += [*self._calls.complete(), Delta(words)]
                for piece in _pieces(message):
                    said += self._calls.take(piece)
            if choice.finish_reason:
                self._finished = choice.finish_reason
                said += self._calls.rest()
        return said

    def end(self) -> list[Called | Stopped]:
        """Return the remaining tool calls and the end. Without a finish reason the answer counts as truncated."""
        return [*self._calls.rest(), Stopped(truncated=self._finished not in ENDS)]

    def broken_off(self) -> list[Called]:
        """Return the complete tool calls that remain after an error; an incomplete call is dropped."""
        return self._calls.complete()


def _words(message: _Message) -> str:
    content = message.content or message.refusal or ""
    if isinstance(content, str):
        return content
    return "".join(part.text or "" for part in content if part.type in (None, "text"))


def _pieces(message: _Message) -> list[_Call]:
    if message.tool_calls or message.function_call is None:
        return message.tool_calls or []
    return [_Call(index=0, function=message.function_call)]


@dataclass(slots=True)
class _Open:
    """A tool call that is assembled from pieces.

    `is_doubtful` means that its first piece has no id, and so may only repeat the name of an earlier call.
    """

    index: int | None
    doubt: bool = False
    id: str | int | None = None
    name: str = ""
    arguments: str = ""

    def take(self, piece: _Call) -> None:
        function = piece.function or piece
        self.id = self.id or piece.id
        if function.name and function.name != self.name:
            self.name = function.name if function.name.startswith(self.name) else self.name + function.name
        given = function.arguments or ""
        if not self.whole:
            self.arguments += given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)

    @property
    def whole(self) -> bool:
        """Whether the arguments are a complete JSON value that ends in a brace."""
        if not self.arguments.rstrip().endswith("}"):
            return False
        try:
            json.loads(self.arguments, strict=False)
        except ValueError:
            return False
        return True

    def is_followed_by(self, piece: _Call) -> bool:
        """Whether a piece with the same index begins another call. Only a piece with a name can do so."""
        name = (piece.function or piece).name
        if not name:
            return False
        if self.id and piece.id:
            return self.id != piece.id
        return self.whole or (bool(self.arguments) and name != self.name)


class _Calls:
    """Assembles the tool calls of an answer and releases them in order, as soon as they are complete."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def take(self, piece: _Call) -> list[Called]:
        """Add a piece. Return the complete calls before the call that the piece belongs to."""
        call = next((call for call in reversed(self._open) if piece.index in (None, call.index)), None)
        if call is None or call.is_followed_by(piece):
            call = _Open(piece.index, doubt=call is not None and not piece.id)
            self._open.append(call)
        call.take(piece)
        return self._let_go(len(self._open) - 1)

    def complete(self) -> list[Called]:
        """Remove and return the complete calls, up to the first incomplete one."""
        return self._let_go(len(self._open))

    def rest(self) -> list[Called]:
        """Remove and return all remaining calls, complete or not."""
        left, self._open = self._open, []
        return _told(left)

    def _let_go(self, most: int) -> list[Called]:
        count = next((n for n, call in enumerate(self._open[:most]) if not call.whole), most)
        gone, self._open = self._open[:count], self._open[count:]
        return _told(gone)


def _told(calls: Iterable[_Open]) -> list[Called]:
    return [Called(call.name, call.arguments) for call in calls if call.arguments or (call.name and not call.doubt)]
