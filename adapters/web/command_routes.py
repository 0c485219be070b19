"""Routes of the web API for slash commands, their attachments, and the lineage of the images."""

import base64
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiohttp import web

from adapters.web import schemas as parse
from adapters.web import serializers as draw
from adapters.web.auth import body
from adapters.web.broadcast import Hub
from bot.domain import Picture, ThreadKey
from bot.errors import NotFound
from bot.formatting import with_moments
from bot.ports import Inbox
from bot.settings.values import Answer, Command, Field, Panel, Paper

PAPERS = {"pictures": "sheet.png", "export": "export.zip"}  # attachments with their own route


class Node(Protocol):
    """An image in the lineage of its thread, with its place in the drawing."""

    @property
    def picture(self) -> Picture:
        """The image."""
        ...

    @property
    def column(self) -> int:
        """The column, counted from the left, from 0."""
        ...

    @property
    def row(self) -> int:
        """The row, counted from the top, from 0."""
        ...

    @property
    def parent(self) -> int | None:
        """The number of the source image; None if the lineage does not contain it."""
        ...


Lineage = Callable[[ThreadKey], Sequence[Node]]


class DeskPage:
    """The routes for commands, lineage, contact sheet and export."""

    def __init__(
        self,
        known: Callable[[web.Request], ThreadKey],
        inbox: Callable[[], Inbox],
        hub: Hub,
        lineage: Lineage,
    ) -> None:
        """`find_thread` returns the thread of a request, or raises NotFound."""
        self._known = known
        self._inbox = inbox
        self._hub = hub
        self._lineage = lineage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/threads/{id}/commands", self._command),
            web.get("/api/threads/{id}/lineage", self._tree),
            web.get("/api/threads/{id}/sheet.png", self._sheet),
            web.get("/api/threads/{id}/export.zip", self._export),
        ]

    async def _command(self, request: web.Request) -> web.Response:
        thread = self._known(request)
        command = parse.command(thread, await body(request))
        answer = await self._inbox().command(command)
        if command.name == "forget" and command.arguments.get("what") != "settings":
            self._hub.forget(thread)
        return web.json_response(drawn(answer, command))

    async def _tree(self, request: web.Request) -> web.Response:
        return web.json_response({"nodes": list(map(node, self._lineage(self._known(request))))})

    async def _sheet(self, request: web.Request) -> web.Response:
        return await self._paper(request, "pictures", "inline")

    async def _export(self, request: web.Request) -> web.Response:
        return await self._paper(request, "export", "attachment")

    async def _paper(self, request: web.Request, name: str, disposition: str) -> web.Response:
        thread = self._known(request)
        answer = await self._inbox().command(Command(parse.new_id(), thread, parse.author({}), name))
        if answer.paper is None:
            raise NotFound(answer.text)
        headers = {
            "Content-Disposition": f'{disposition}; filename="{answer.paper.name}"',
            "Cache-Control": "private, no-cache",
        }
        kind = "image/png" if answer.paper.name.endswith(".png") else "application/zip"
        return web.Response(body=answer.paper.data, content_type=kind, headers=headers)


def drawn(answer: Answer, command: Command) -> dict[str, Any]:
    """Return the answer of a command as a JSON object."""
    text = with_moments(answer.text)
    return {
        "text": text,
        "html": draw.markdown(text),
        "panel": answer.panel and panel(answer.panel),
        "paper": answer.paper and _paper(answer.paper, command),
    }


def panel(panel: Panel) -> dict[str, Any]:
    """Return the settings of a scope as a JSON object."""
    return {"scope": panel.scope.value, "fields": list(map(_field, panel.fields))}


def node(node: Node) -> dict[str, Any]:
    """Return an image of the lineage as a JSON object."""
    shown = draw.picture(node.picture)
    return {"picture": shown, "column": node.column, "row": node.row, "parent": node.parent}


def _field(field: Field) -> dict[str, Any]:
    shown = {"key": field.key, "title": field.title, "about": field.about, "value": field.value}
    limits = {"choices": list(field.choices), "longest": field.longest, "highest": field.highest}
    return shown | {"source": field.source} | limits


def _paper(paper: Paper, command: Command) -> dict[str, Any]:
    """Return the attachment with the address of its route, or with its data if there is no route."""
    shown = {"name": paper.name, "alt": paper.alt}
    if command.name in PAPERS:
        return shown | {"url": f"/api/threads/{command.thread.thread}/{PAPERS[command.name]}"}
    return shown | {"data": "data:application/octet-stream;base64," + base64.b64encode(paper.data).decode()}
