"""Whether a request body is one that Discord would take: Discord's own OpenAPI document, asked route by route."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.paths import CONTRACTS

DOCUMENT = CONTRACTS / "discord" / "openapi.json"
CONTENT = 2000  # characters of one message; the document says 4000, Discord's docs say 2000 for bots and prevail
NAME = "urn:discord"
VERBS = ("post", "put", "patch")
WORDS = 200  # characters of a reason; some quote the whole body


@dataclass(frozen=True, slots=True)
class Violation:
    """A body that Discord refuses: `POST /channels/{channel_id}/messages`, where in the body, and why."""

    route: str
    where: str
    why: str


@dataclass(frozen=True)
class Contract:
    """The schemas of all request bodies. Validators are made once, when they are first asked."""

    schemas: dict[str, dict[str, Any]]
    registry: Any
    judge: Any  # a class of validators
    _validators: dict[str, Any] = field(default_factory=dict)

    def fault(self, route: str, body: object) -> Violation | None:
        """Return the violation of a body, or None. A route without a body is not checked."""
        schema = self.schemas.get(route)
        if schema is None:
            return None
        validator = self._validators.get(route)
        if validator is None:
            validator = self._validators[route] = self.judge(schema, registry=self.registry)
        error = best_match(validator.iter_errors(body))
        return None if error is None else Violation(route, error.json_path, error.message[:WORDS])


@cache
def read(document: Path = DOCUMENT) -> Contract | None:
    """The contract, or nothing where the document is not there."""
    if not document.exists():
        return None
    spec = json.loads(document.read_text())
    # Ids come as numbers where the document says string; its README allows that. A pattern judges strings alone.
    spec["components"]["schemas"]["SnowflakeType"]["type"] = ["string", "integer"]
    resource = Resource.from_contents(spec, default_specification=DRAFT202012)
    return Contract(dict(_schemas(spec)), Registry().with_resource(NAME, resource), _judge(spec))


def too_long(route: str, body: dict[str, Any]) -> Violation | None:
    """A text over the limit for bots, in a message or in an interaction's answer."""
    inner = body.get("data") if isinstance(body.get("data"), dict) else body
    content = inner.get("content") if inner else None
    if isinstance(content, str) and len(content) > CONTENT:
        return Violation(route, "$.content", f"{len(content)} characters are more than {CONTENT}")
    return None


def _schemas(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in spec["paths"].items():
        for verb in VERBS:
            if "application/json" in operations.get(verb, {}).get("requestBody", {}).get("content", {}):
                yield f"{verb.upper()} {path}", _schema(path, verb, operations)


def _schema(path: str, verb: str, operations: dict[str, Any]) -> dict[str, Any]:
    schema = operations[verb]["requestBody"]["content"]["application/json"]["schema"]
    if "anyOf" in schema and path == "/channels/{channel_id}":
        # Every field is optional in each of these, so any one of them takes everything: hold the body to all.
        return {"allOf": [{"$ref": NAME + one["$ref"]} for one in schema["anyOf"]]}
    pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in ("", "paths", path, verb))
    return {"$ref": f"{NAME}#{pointer}/requestBody/content/application~1json/schema"}


def _judge(spec: dict[str, Any]) -> Any:
    """Validators that look at `type` first, where alternatives are told apart by it, and at constants.

    Trying every kind of component at every depth takes ten times as long, and blames the wrong kind.
    """
    kinds = {f"#/components/schemas/{name}": _kinds(schema) for name, schema in spec["components"]["schemas"].items()}

    def fits(branch: dict[str, Any], instance: object) -> bool:
        if "const" in branch:
            return bool(branch["const"] == instance)
        if branch.get("type") == "null" or instance is None:
            return branch.get("type") == "null" and instance is None
        wanted = kinds.get(branch.get("$ref", "").removeprefix(NAME))
        return wanted is None or not isinstance(instance, dict) or instance.get("type") in wanted

    def chosen(keyword: str) -> Any:
        standard = Draft202012Validator.VALIDATORS[keyword]

        def choose(validator: Any, branches: list[dict[str, Any]], instance: object, schema: Any) -> Iterator[Any]:
            fitting = [branch for branch in branches if fits(branch, instance)]
            if len(fitting) == 1:
                yield from validator.descend(instance, fitting[0])
            else:
                yield from standard(validator, fitting or branches, instance, schema)

        return choose

    extend: Any = validators.extend  # not annotated
    return extend(Draft202012Validator, {key: chosen(key) for key in ("oneOf", "anyOf")})


def _kinds(schema: dict[str, Any]) -> list[int] | None:
    enum: list[int] | None = schema.get("properties", {}).get("type", {}).get("enum")
    return enum if "type" in schema.get("required", ()) else None
