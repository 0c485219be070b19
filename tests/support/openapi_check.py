"""Checks requests and responses of the web API against its OpenAPI document."""

import json
import re
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from adapters.web.openapi import document


def check_exchange(method: str, path: str, sent: object, status: int, received: object) -> None:
    """Check the JSON of a response, and that of the request if it was accepted. Raises ValidationError."""
    operation = find_operation(method, path)
    if status == 200:
        content = operation["responses"]["200"]["content"]
        if method == "POST":
            _validate(operation["requestBody"]["content"]["application/json"]["schema"], sent)
    else:
        content = operation.get("responses", NOT_FOUND)["default"]["content"]
    if "application/json" in content:
        _validate(content["application/json"].get("schema", {}), received)


def check_event(path: str, name: str, data: object) -> None:
    """Check the data of an event of a stream. Raises ValidationError."""
    schema = find_operation("GET", path)["responses"]["200"]["content"]["text/event-stream"]["schema"]
    _validate({} if name == "forgotten" else schema["contentSchema"], data)


def find_operation(method: str, path: str) -> dict[str, Any]:
    """Return the documented operation of a path; an empty one for a path that is not documented."""
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path.partition("?")[0]):
            return dict(operations.get(method.lower(), {}))
    return {}


NOT_FOUND = find_operation("GET", "/healthz")["responses"]


def _validate(schema: dict[str, Any], value: object) -> None:
    _validator(json.dumps(schema)).validate(value)


@cache
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema) | {"components": document()["components"]})
