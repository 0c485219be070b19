"""The OpenAPI document of the web API, generated from the models of its requests and responses.

`python -m adapters.web.openapi` prints it.
"""

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from adapters.web.auth import COOKIE
from adapters.web.response_schemas import (
    AcceptedJson,
    CommandJson,
    ErrorJson,
    HealthJson,
    LineageJson,
    MessageJson,
    MessagesJson,
    NewThreadJson,
    PageTextsJson,
    QueueJson,
    ThreadsJson,
)
from adapters.web.schemas import ButtonRequest, CommandRequest, ImagineRequest, MessageRequest

MODELS = "#/components/schemas/"
OLD_PATHS = {  # paths of earlier versions
    "/line": "/queue",
    "/api/line": "/api/queue",
    "/api/line/events": "/api/queue/events",
    "/api/threads/{id}/wishes": "/api/threads/{id}/imagine",
}
PARAMETERS = {
    "id": "the id of a thread",
    "digest": "the SHA-256 of the file",
    "file": "the name of a file",
    "author": "the name of the user, whose setting `language` applies; else the language of the browser",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `response` is a model, or the media type of a response that is not JSON.

    `event` is the model of the data of a stream's events, `query` the names of optional parameters.
    """

    method: str
    path: str
    name: str
    summary: str
    response: type[BaseModel] | str
    request: type[BaseModel] | None = None
    event: type[BaseModel] | None = None
    query: tuple[str, ...] = ()


THREAD = "/api/threads/{id}"
STREAM = "text/event-stream"
ENDPOINTS = (
    Endpoint("get", "/", "openPage", "The page", "text/html"),
    Endpoint("get", "/queue", "openQueuePage", "The queue as a page", "text/html"),
    Endpoint("get", "/static/{file}", "loadStaticFile", "A file of the page", "application/octet-stream"),
    Endpoint("get", "/api/openapi.json", "describe", "This document", "application/json"),
    Endpoint("get", "/api/messages", "readTexts", "The texts of the page", PageTextsJson, query=("author",)),
    Endpoint("get", "/healthz", "checkHealth", "The state of the platforms", HealthJson),
    Endpoint("get", "/metrics", "readMetrics", "Metrics in the text format of Prometheus", "text/plain"),
    Endpoint("get", "/pictures/{digest}.png", "loadImage", "An image of a thread", "image/png"),
    Endpoint("get", "/api/threads", "listThreads", "All threads, the newest first", ThreadsJson, query=("author",)),
    Endpoint("post", "/api/threads", "createThread", "Open a thread; the body is an empty object", NewThreadJson),
    Endpoint("get", THREAD, "listMessages", "All messages of a thread", MessagesJson),
    Endpoint("post", f"{THREAD}/messages", "sendMessage", "Send a message", AcceptedJson, MessageRequest),
    Endpoint("post", f"{THREAD}/buttons", "pressButton", "Press a button", AcceptedJson, ButtonRequest),
    Endpoint("post", f"{THREAD}/imagine", "imagine", "Generate images directly", AcceptedJson, ImagineRequest),
    Endpoint("post", f"{THREAD}/commands", "runCommand", "Run a slash command", CommandJson, CommandRequest),
    Endpoint(
        "get",
        f"{THREAD}/events",
        "watchThread",
        "An event `message` for each message, then for each changed message; `forgotten` when the thread is deleted",
        STREAM,
        event=MessageJson,
    ),
    Endpoint(
        "get", f"{THREAD}/lineage", "readLineage", "The version history of the images", LineageJson, query=("author",)
    ),
    Endpoint("get", f"{THREAD}/sheet.png", "loadContactSheet", "The version history as one image", "image/png"),
    Endpoint("get", f"{THREAD}/export.zip", "exportThread", "The thread as a ZIP file", "application/zip"),
    Endpoint("get", "/api/queue", "readQueue", "Running jobs, waiting jobs and workers", QueueJson),
    Endpoint(
        "get",
        "/api/queue/events",
        "watchQueue",
        "An event `queue` with the queue now and after each change, at most twice a second",
        STREAM,
        event=QueueJson,
    ),
)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all paths, with the old paths as deprecated."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _operation(endpoint)
    for old, new in OLD_PATHS.items():
        paths[old] = {
            method: operation | {"operationId": operation["operationId"] + "Old", "deprecated": True}
            for method, operation in paths[new].items()
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Mini-DALL·E 3 web API",
            "version": "1",
            "description": "With WEB_TOKEN every request needs the token. Each error has a sentence in `error`.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "security": [{}, {"bearer": []}, {"cookie": []}],
    }


def text() -> str:
    """Return the document as JSON, as in `docs/openapi.json`."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _schemas() -> dict[str, Any]:
    requests = [endpoint.request for endpoint in ENDPOINTS if endpoint.request]
    responses = [each for end in ENDPOINTS for each in (end.response, end.event) if isinstance(each, type)] + [
        ErrorJson
    ]
    _, schemas = models_json_schema(
        [
            *((model, "validation") for model in requests),
            *((model, "serialization") for model in dict.fromkeys(responses)),
        ],
        ref_template=MODELS + "{model}",
    )
    return dict(sorted(schemas["$defs"].items()))


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.summary}
    in_path = re.findall(r"\{(\w+)\}", endpoint.path)
    if in_path or endpoint.query:
        operation["parameters"] = [
            *(_parameter(name, "path") for name in in_path),
            *(_parameter(name, "query") for name in endpoint.query),
        ]
    if endpoint.method == "post":
        body = _reference(endpoint.request) if endpoint.request else {"type": "object"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    error = {"description": "An error", "content": {"application/json": {"schema": _reference(ErrorJson)}}}
    return operation | {
        "responses": {"200": {"description": endpoint.summary, "content": _content(endpoint)}, "default": error}
    }


def _content(endpoint: Endpoint) -> dict[str, Any]:
    if not isinstance(endpoint.response, str):
        return {"application/json": {"schema": _reference(endpoint.response)}}
    if not endpoint.event:
        return {endpoint.response: {}}
    data = {"contentMediaType": "application/json", "contentSchema": _reference(endpoint.event)}
    return {endpoint.response: {"schema": {"type": "string", "description": "the data of an event", **data}}}


def _parameter(name: str, place: str) -> dict[str, Any]:
    required = {"required": True} if place == "path" else {}
    return {"name": name, "in": place, **required, "description": PARAMETERS[name], "schema": {"type": "string"}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": MODELS + model.__name__}


if __name__ == "__main__":
    sys.stdout.write(text())
