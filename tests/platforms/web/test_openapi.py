"""The OpenAPI document of the web API: current, valid and complete."""

import json
from pathlib import Path

import pytest
from jsonschema import ValidationError

from adapters.web import openapi
from adapters.web.server import WebApp
from bot.storage.picture_files import PictureFiles
from bot.storage.store import Store
from tests.platforms.web.test_access import running
from tests.support.openapi_check import check_event, check_exchange
from tests.support.paths import ROOT


async def test_document_in_the_repository_is_current(tmp_path: Path) -> None:
    """`make openapi` writes the document that the web app serves."""
    assert (ROOT / "docs" / "openapi.json").read_text(encoding="utf-8") == openapi.text()
    async with running(tmp_path) as site:
        assert await site.call("GET", "/api/openapi.json") == (200, json.loads(openapi.text()))


def test_document_is_valid() -> None:
    """The document follows the specification of OpenAPI 3.1, including its references and defaults."""
    validator = pytest.importorskip("openapi_spec_validator", reason="part of the dev extra")
    assert openapi.document()["openapi"].startswith("3.1")
    validator.validate(json.loads(openapi.text()))


def test_every_route_is_documented(tmp_path: Path) -> None:
    """Each method and path of the application is in the document, and nothing else is."""
    page = WebApp(Store(tmp_path / "web.sqlite"), PictureFiles(tmp_path / "pictures").path, "127.0.0.1", 0)
    routes = {(each.method.lower(), each.resource.canonical) for each in page.app().router.routes() if each.resource}
    routes = {(method, path.replace("/static", "/static/{file}")) for method, path in routes if method != "head"}
    assert routes == {(method, path) for path, methods in openapi.document()["paths"].items() for method in methods}


def test_each_operation_has_its_own_id() -> None:
    """Clients that are generated from the document name their functions by these ids."""
    ids = [each["operationId"] for methods in openapi.document()["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))


def test_the_check_of_responses_notices_differences() -> None:
    """The other tests of the web API check every response with these functions."""
    check_exchange("POST", "/api/threads", {}, 200, {"id": "abc"})
    check_exchange("GET", "/api/threads/abc", None, 404, {"error": "There is no such conversation."})
    for method, path, sent, status, received in (
        ("POST", "/api/threads", {}, 200, {"id": 7}),
        ("POST", "/api/threads", [], 200, {"id": "abc"}),
        ("POST", "/api/threads/abc/messages", {"text": 7}, 200, {"message_id": "m"}),
        ("GET", "/api/threads/abc", None, 404, {"message": "There is no such conversation."}),
        ("GET", "/nothing", None, 404, {}),
        ("GET", "/api/queue", None, 200, {"running": []}),
    ):
        with pytest.raises(ValidationError):
            check_exchange(method, path, sent, status, received)
    with pytest.raises(ValidationError):
        check_event("/api/threads/abc/events", "message", {"id": "m"})
