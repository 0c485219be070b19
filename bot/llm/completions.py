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

from bot.llm.messages import ChatMessage, Parameter, Role, StreamEnd, TextDelta, Tool, ToolCall

UNLIMITED_IMAGES = 100  # more images than a request ever holds
NORMAL_FINISH_REASONS = frozenset(
    {"stop", "tool_calls", "function_call", "eos", "eos_token", "end_turn", "stop_sequence"}
)

_SHOWN_NOTE = re.compile(r"^\[shown: [^\]\n]*\]\n", re.MULTILINE)  # the note about images, from `bot.prompting.history`


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The features of a request: tools, the largest number of images, and a system prompt as a message of its own."""

    has_tools: bool = True
    max_images: int = UNLIMITED_IMAGES
    has_system_message: bool = True


def narrow_options(history: Sequence[ChatMessage], tools: Sequence[Tool], options: RequestOptions) -> RequestOptions:
    """Return the features that a request with these options really uses."""
    images = sum(len(message.images) for message in history)
    system = any(message.role is Role.SYSTEM for message in history)
    return RequestOptions(
        options.has_tools and bool(tools), min(options.max_images, images), options.has_system_message and system
    )


def build_request(
    model: str, history: Sequence[ChatMessage], tools: Sequence[Tool], options: RequestOptions
) -> dict[str, object]:
    """Return the JSON body of the request, without the images and features that the options exclude."""
    if not options.has_system_message:
        history = _fold_system_message(history)
    messages = [_message_body(message) for message in _limit_images(history, options.max_images)]
    body: dict[str, object] = {"model": model, "messages": messages, "stream": True}
    return body | ({"tools": [_function_schema(tool) for tool in tools]} if options.has_tools and tools else {})


def _fold_system_message(history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Put the system prompt in front of the first user message, for chat templates without a system role."""
    system = "\n\n".join(message.text for message in history if message.role is Role.SYSTEM)
    messages = [message for message in history if message.role is not Role.SYSTEM]
    if not system:
        return messages
    if messages and messages[0].role is Role.USER:
        return [replace(messages[0], text=f"{system}\n\n{messages[0].text}"), *messages[1:]]
    return [ChatMessage(Role.USER, system), *messages]


def _limit_images(history: Iterable[ChatMessage], limit: int) -> list[ChatMessage]:
    """Keep the first images of the history; a message that loses all its images also loses the note about them."""
    messages: list[ChatMessage] = []
    for message in history:
        kept = message.images[:limit]
        limit -= len(kept)
        blind = bool(message.images) and not kept
        messages.append(
            replace(message, text=_SHOWN_NOTE.sub("", message.text, count=1) if blind else message.text, images=kept)
        )
    return messages


def _message_body(message: ChatMessage) -> dict[str, object]:
    if not message.images:
        return {"role": message.role.value, "content": message.text}
    addresses = (f"data:image/jpeg;base64,{base64.b64encode(image).decode()}" for image in message.images)
    pictures = [{"type": "image_url", "image_url": {"url": address}} for address in addresses]
    return {"role": message.role.value, "content": [{"type": "text", "text": message.text}, *pictures]}


def _function_schema(tool: Tool) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": {parameter.name: _property_schema(parameter) for parameter in tool.parameters},
        "required": [parameter.name for parameter in tool.parameters if parameter.required],
    }
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": schema},
    }


def _property_schema(parameter: Parameter) -> dict[str, object]:
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


class _TextPart(BaseModel):
    type: str | None = None
    text: str | None = None


class _Message(BaseModel):
    content: str | list[_TextPart] | None = None
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


class CompletionReader:
    """Reads one answer, event by event, or in one call of `feed` if it is not streamed."""

    def __init__(self) -> None:
        self.has_begun = False
        self.has_reasoning_field = False  # the reasoning has a field of its own
        self._finish_reason: str | None = None
        self._calls = _CallAssembler()

    def feed(self, data: object) -> list[TextDelta | ToolCall]:
        """Return the text and tool calls that this event completes. Raises ValueError for other data."""
        completion = _Completion.model_validate(data)
        self.has_begun = True
        events: list[TextDelta | ToolCall] = []
        for choice in completion.choices or ():
            for message in filter(None, (choice.delta, choice.message)):
                self.has_reasoning_field |= bool(message.reasoning_content or message.reasoning)
                if text := _text_of(message):
                    events += [*self._calls.take_complete(), TextDelta(text)]
                for piece in _call_pieces(message):
                    events += self._calls.add(piece)
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason
                events += self._calls.take_rest()
        return events

    def end(self) -> list[ToolCall | StreamEnd]:
        """Return the remaining tool calls and the end. Without a finish reason the answer counts as truncated."""
        return [*self._calls.take_rest(), StreamEnd(is_truncated=self._finish_reason not in NORMAL_FINISH_REASONS)]

    def end_after_error(self) -> list[ToolCall]:
        """Return the complete tool calls that remain after an error; an incomplete call is dropped."""
        return self._calls.take_complete()


def _text_of(message: _Message) -> str:
    content = message.content or message.refusal or ""
    if isinstance(content, str):
        return content
    return "".join(part.text or "" for part in content if part.type in (None, "text"))


def _call_pieces(message: _Message) -> list[_Call]:
    if message.tool_calls or message.function_call is None:
        return message.tool_calls or []
    return [_Call(index=0, function=message.function_call)]


@dataclass(slots=True)
class _PartialCall:
    """A tool call that is assembled from pieces.

    `is_doubtful` means that its first piece has no id, and so may only repeat the name of an earlier call.
    """

    index: int | None
    is_doubtful: bool = False
    id: str | int | None = None
    name: str = ""
    arguments: str = ""

    def add(self, piece: _Call) -> None:
        function = piece.function or piece
        self.id = self.id or piece.id
        if function.name and function.name != self.name:
            self.name = function.name if function.name.startswith(self.name) else self.name + function.name
        given = function.arguments or ""
        if not self.is_complete:
            self.arguments += given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)

    @property
    def is_complete(self) -> bool:
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
        return self.is_complete or (bool(self.arguments) and name != self.name)


class _CallAssembler:
    """Assembles the tool calls of an answer and releases them in order, as soon as they are complete."""

    def __init__(self) -> None:
        self._open: list[_PartialCall] = []

    def add(self, piece: _Call) -> list[ToolCall]:
        """Add a piece. Return the complete calls before the call that the piece belongs to."""
        call = next((call for call in reversed(self._open) if piece.index in (None, call.index)), None)
        if call is None or call.is_followed_by(piece):
            call = _PartialCall(piece.index, is_doubtful=call is not None and not piece.id)
            self._open.append(call)
        call.add(piece)
        return self._release(len(self._open) - 1)

    def take_complete(self) -> list[ToolCall]:
        """Remove and return the complete calls, up to the first incomplete one."""
        return self._release(len(self._open))

    def take_rest(self) -> list[ToolCall]:
        """Remove and return all remaining calls, complete or not."""
        left, self._open = self._open, []
        return _to_tool_calls(left)

    def _release(self, limit: int) -> list[ToolCall]:
        count = next((n for n, call in enumerate(self._open[:limit]) if not call.is_complete), limit)
        gone, self._open = self._open[:count], self._open[count:]
        return _to_tool_calls(gone)


def _to_tool_calls(calls: Iterable[_PartialCall]) -> list[ToolCall]:
    return [
        ToolCall(call.name, call.arguments) for call in calls if call.arguments or (call.name and not call.is_doubtful)
    ]
