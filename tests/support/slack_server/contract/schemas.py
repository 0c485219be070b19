"""Whether a request is one that Slack would take: Slack's own method reference, argument by argument."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from tests.support.paths import CONTRACTS
from tests.support.slack_server.contract.blocks import Blocks
from tests.support.slack_server.faults import Call
from tests.support.slack_server.state import Json

FOLDER = CONTRACTS / "slack"
EVERYWHERE = {"token", "team_id"}  # every method takes them, some without saying so
WRITTEN = {"blocks", "attachments", "metadata", "view"}  # JSON in a string, or as it is in a JSON body
INSTEAD = {("chat.appendStream", "markdown_text"): "chunks"}  # required, unless there is the other
MARKDOWN = 12_000  # characters of one markdown_text; docs.slack.dev, chat.appendStream
TEXT = {"chat.update": 4_000, "chat.postMessage": 40_000, "chat.postEphemeral": 40_000}  # characters
CHUNKS = {
    "markdown_text": ({"text"}, set[str]()),
    "task_update": ({"id", "title"}, {"status", "details", "output", "sources"}),
    "plan_update": ({"title"}, set[str]()),
    "blocks": ({"blocks"}, set[str]()),
}
STATES = ("pending", "in_progress", "complete", "error")  # of a task


@dataclass(frozen=True, slots=True)
class Violation:
    """A request that Slack would refuse: the error code, and a sentence about it."""

    code: str
    why: str


@dataclass(frozen=True)
class Contract:
    """The methods and the blocks, read when they are first asked for."""

    folder: Path
    blocks: Blocks
    _methods: dict[str, Json | None] = field(default_factory=dict)

    def method(self, name: str) -> Json | None:
        """Return the reference of a method."""
        if name not in self._methods:
            path = self.folder / "slack-api-ref" / "methods" / f"{name}.json"
            self._methods[name] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        return self._methods[name]

    def scopes(self, name: str, kind: str) -> Iterator[str]:
        """The scopes that a bot needs, for a channel of a kind where they differ by that."""
        needed = ((self.method(name) or {}).get("scope") or {}).get("bot") or []
        if len(needed) < 2:
            yield from needed
        else:
            prefix = {"channel": "channels", "group": "groups"}.get(kind, kind)
            yield from (scope for scope in needed if scope.startswith(f"{prefix}:"))

    def faults(self, call: Call) -> Iterator[Violation]:
        """Everything that is wrong with a request."""
        found = self.method(call.method)
        if found is None:
            yield Violation("unknown_method", "no such method")
            return
        if call.content == "json" and not found.get("json_input_supported"):
            yield Violation("invalid_arguments", "takes no JSON body")
        known: Json = found["args"]["properties"]
        yield from (
            Violation("invalid_arguments", f"unknown argument {name!r}")
            for name in call.args
            if name not in known and name not in EVERYWHERE
        )
        yield from (
            Violation("invalid_arguments", f"missing required field: {name}")
            for name in found["args"].get("required") or ()
            if name not in EVERYWHERE and name not in call.args
            if INSTEAD.get((call.method, name)) not in call.args
        )
        for name, value in call.args.items():
            if name in known:
                yield from _misfit(name, value, known[name], call.content)
        yield from self.content(call)

    def content(self, call: Call) -> Iterator[Violation]:
        """Return the faults of the texts, blocks, chunks or view of a request of any method."""
        text, markdown = call.args.get("text"), call.args.get("markdown_text")
        most = TEXT.get(call.method, MARKDOWN)
        if isinstance(text, str) and len(text) > most:
            yield Violation("msg_too_long", f"{len(text)} characters of text are more than {most}")
        if isinstance(markdown, str) and len(markdown) > MARKDOWN:
            yield Violation("msg_blocks_too_long", f"{len(markdown)} characters of markdown are more than {MARKDOWN}")
        if markdown and (text or call.args.get("blocks")) and not call.method.endswith("Stream"):
            yield Violation("markdown_text_conflict", "markdown_text beside text or blocks")
        for chunk in call.args.get("chunks") or ():
            yield from (Violation("invalid_chunks", why) for why in _chunk(chunk))
            if isinstance(chunk, dict) and chunk.get("type") == "blocks":
                yield from (Violation("invalid_blocks", why) for why in self.blocks.faults(chunk.get("blocks")))
        if call.args.get("blocks"):
            yield from (Violation("invalid_blocks", why) for why in self.blocks.faults(call.args["blocks"]))
        if "view" in call.args:
            kind = "home" if call.method == "views.publish" else None
            yield from (Violation("invalid_arguments", why) for why in self.blocks.view_faults(call.args["view"], kind))


@cache
def read(folder: Path = FOLDER) -> Contract | None:
    """The contract, or nothing where it is not there."""
    if not (folder / "slack-api-ref").exists():
        return None
    return Contract(folder, Blocks.read(folder))


def _chunk(chunk: object) -> Iterator[str]:
    if not isinstance(chunk, dict) or chunk.get("type") not in CHUNKS:
        yield f"no kind of chunk: {chunk!r:.80}"
        return
    required, optional = CHUNKS[chunk["type"]]
    given = set(chunk) - {"type"}
    if required - given or given - required - optional:
        yield f"a {chunk['type']} chunk with the fields {sorted(given)}"
    if chunk.get("status", "pending") not in STATES:
        yield f"no status of a task: {chunk['status']!r}"
    if chunk["type"] == "markdown_text" and len(str(chunk.get("text"))) > MARKDOWN:
        yield f"a chunk of more than {MARKDOWN} characters"


def _misfit(name: str, value: Any, schema: Json, content: str) -> Iterator[Violation]:
    if name in WRITTEN:
        return
    given = value if content == "json" else _read(value, schema)
    error = best_match(Draft7Validator(schema).iter_errors(given))
    if error is not None:
        yield Violation("invalid_arguments", f"{name}: {error.message[:160]}")


def _read(value: Any, schema: Json) -> Any:
    """A value of a form or an address, in which everything is text."""
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()) if isinstance(one, dict))}
    if not isinstance(value, str) or "string" in kinds:
        return value
    if "boolean" in kinds and value in ("true", "false", "1", "0"):
        return value in ("true", "1")
    if kinds & {"integer", "number"} and value.lstrip("-").isdigit():
        return int(value)
    return value
