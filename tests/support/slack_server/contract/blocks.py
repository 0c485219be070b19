"""Whether blocks and views are ones that Slack would show: shape by JSON Schema, then counts and lengths."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, validators
from jsonschema.exceptions import best_match

from tests.support.slack_server.state import Json, parts

MOST = 50  # blocks of one message; docs.slack.dev, reference/block-kit/blocks
FILE_ID = r"F[A-Z0-9]{8,}"
KINDS = {"checkboxes": "checkboxes", "overflow": "overflow", "radio_buttons": "radio_buttons"}
WITHOUT_TYPE = {"options": "option", "option_groups": "option_group", "confirm": "confirmation"}


@dataclass(frozen=True)
class Blocks:
    """The schemas and limits."""

    known: dict[str, str]  # type of a block -> its definition
    message: Any  # validators
    modal: Any
    home: Any
    limits: Json

    @classmethod
    def read(cls, folder: Path) -> "Blocks":
        """From the folder of the contract."""
        made = {
            name: json.loads((folder / "block-kit-from-slack-types" / f"schema-{name}.json").read_text("utf-8"))
            for name in ("MessageBlocks", "Modal", "Home")
        }
        limits = json.loads((folder / "slackblocks-spec" / "limits.json").read_text("utf-8"))
        definitions = made["MessageBlocks"]["definitions"]
        known = {kind: one["$ref"] for one in definitions["KnownBlock"]["anyOf"] for kind in _types(definitions, one)}
        judge = {name: _judge(schema["definitions"])(schema) for name, schema in made.items()}
        return cls(known, judge["MessageBlocks"], judge["Modal"], judge["Home"], limits)

    def faults(self, blocks: object, most: int = MOST) -> Iterator[str]:
        """Everything that is wrong with the blocks of a message."""
        if not isinstance(blocks, list):
            yield "blocks are no list"
            return
        if len(blocks) > most:
            yield f"{len(blocks)} blocks are more than {most}"
        for place, block in enumerate(blocks):
            yield from self._block(block, f"/blocks/{place}")
        ids = Counter(block.get("block_id") for block in blocks if isinstance(block, dict))
        yield from (f"block_id {name!r} is there twice" for name, count in ids.items() if name and count > 1)
        written = sum(len(str(block.get("text"))) for block in _of(blocks, "markdown"))
        allowed = self.limits["markdown"]["text"]["max_length"]
        if written > allowed:
            yield f"{written} characters in markdown blocks are more than {allowed}"

    def view_faults(self, view: object, kind: str | None = None) -> Iterator[str]:
        """Everything that is wrong with a modal or a home tab."""
        if not isinstance(view, dict) or not isinstance(view.get("blocks"), list):
            yield "no view with blocks"
            return
        if kind is not None and view.get("type") != kind:
            yield f"a {view.get('type')} where a {kind} is wanted"
        judge = self.home if view.get("type") == "home" else self.modal
        error = best_match(judge.iter_errors(view | {"blocks": []}))
        if error is not None:
            yield f"view{error.json_path[1:]}: {error.message[:160]}"
        yield from self._lengths(view, "view", "/view")
        yield from self.faults(view["blocks"], self.limits["view"]["blocks"]["max_items"])
        if next(_of(view["blocks"], "markdown"), None) is not None:
            yield "a markdown block in a view"
        if (
            next(_of(view["blocks"], "input"), None) is not None
            and view.get("type") == "modal"
            and "submit" not in view
        ):
            yield "inputs, and no submit"

    def _block(self, block: object, where: str) -> Iterator[str]:
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(block, dict) or kind not in self.known:
            yield f"{where}: no kind of block: {kind!r}"
            return
        error = best_match(self.message.evolve(schema={"$ref": self.known[kind]}).iter_errors(block))
        if error is not None:
            yield f"{where}{error.json_path[1:]}: {error.message[:160]}"
            return
        yield from self._lengths(block, str(kind), where)
        ids = Counter(part["action_id"] for part in parts(block) if "action_id" in part)
        yield from (f"{where}: action_id {name!r} is there twice" for name, count in ids.items() if count > 1)

    def _lengths(self, thing: Json, kind: str, where: str) -> Iterator[str]:
        rules = self.limits.get("select" if kind.endswith("_select") else kind, {})
        general = {key: self.limits[key] for key in ("action_id", "block_id")}
        for key, rule in (rules | general).items():
            if isinstance(rule, dict) and key in thing:
                yield from _length(thing[key], rule, f"{where}/{key}")
        if kind in ("mrkdwn", "plain_text"):
            yield from _length(thing.get("text"), self.limits["text"], f"{where}/text")
        for key, value in thing.items():
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict) and not (kind == "view" and key == "blocks"):
                    yield from self._lengths(inner, inner.get("type") or WITHOUT_TYPE.get(key, ""), f"{where}/{key}")


def _length(value: object, rule: Json, where: str) -> Iterator[str]:
    if isinstance(value, list):
        if not rule.get("min_items", 0) <= len(value) <= rule.get("max_items", 10**9):
            yield f"{where}: {len(value)} items, where {rule} is the rule"
        for item in value if "item_max_length" in rule else ():
            yield from _length(item, {"max_length": rule["item_max_length"]}, where)
        return
    text = value.get("text") if isinstance(value, dict) else value
    if isinstance(text, str) and not rule.get("min_length", 0) <= len(text) <= rule.get("max_length", 10**9):
        yield f"{where}: {len(text)} characters, where {rule} is the rule"


def _of(blocks: list[Any], kind: str) -> Iterator[Json]:
    return (block for block in blocks if isinstance(block, dict) and block.get("type") == kind)


def _types(definitions: Json, schema: Json) -> set[str]:
    """The values of `type` that a schema can take; none where it does not say."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return set().union(*(_types(definitions, one) for one in schema["anyOf"]))
    kind = schema.get("properties", {}).get("type", {})
    return {kind["const"]} if "const" in kind else set(kind.get("enum", ()))


def _judge(definitions: Json) -> Any:
    """Validators that look at `type` first, where alternatives are told apart by it: quicker, and better sentences."""
    standard = Draft7Validator.VALIDATORS["anyOf"]

    def choose(validator: Any, branches: list[Json], instance: object, schema: Any) -> Iterator[Any]:
        if isinstance(instance, dict) and "type" in instance:
            said = [(branch, _types(definitions, branch)) for branch in branches]
            fitting = [branch for branch, types in said if instance["type"] in types]
            if len(fitting) == 1:
                yield from validator.descend(instance, fitting[0])
                return
            branches = fitting or branches
        yield from standard(validator, branches, instance, schema)

    extend: Any = validators.extend  # not annotated
    return extend(Draft7Validator, {"anyOf": choose})
