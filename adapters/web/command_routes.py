"""Routes of the web API for slash commands, their attachments, and the lineage of the images."""

import base64
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import web

from adapters.web import parse, serializers
from adapters.web.auth import json_body, json_response, locale
from adapters.web.broadcast import Broadcaster
from adapters.web.response_schemas import (
    AttachmentJson,
    CommandJson,
    LineageJson,
    LineageNodeJson,
    SettingJson,
    SettingsJson,
)
from adapters.web.schemas import new_id
from bot.domain import Picture, ThreadKey
from bot.errors import NotFound
from bot.formatting import replace_time_markers
from bot.notices import text
from bot.ports import Inbox
from bot.settings.values import Attachment, Command, CommandResponse, SettingField, SettingsPanel

ATTACHMENT_FILES = {
    "images": "sheet.png",
    "pictures": "sheet.png",
    "export": "export.zip",
}  # attachments with their own route


class LineageItem(Protocol):
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


Lineage = Callable[[ThreadKey], Sequence[LineageItem]]


class CommandRoutes:
    """The routes for commands, lineage, contact sheet and export."""

    def __init__(
        self,
        find_thread: Callable[[web.Request], ThreadKey],
        inbox: Callable[[], Inbox],
        broadcaster: Broadcaster,
        lineage: Lineage,
        language: Callable[[web.Request], str],
    ) -> None:
        """`find_thread` returns the thread of a request, or raises NotFound; `language` that of its user."""
        self._find_thread = find_thread
        self._inbox = inbox
        self._broadcaster = broadcaster
        self._lineage = lineage
        self._language = language

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/threads/{id}/commands", self._command),
            web.get("/api/threads/{id}/lineage", self._lineage_nodes),
            web.get("/api/threads/{id}/sheet.png", self._sheet),
            web.get("/api/threads/{id}/export.zip", self._export),
        ]

    async def _command(self, request: web.Request) -> web.Response:
        thread = self._find_thread(request)
        command = parse.command(thread, await json_body(request), locale(request))
        answer = await self._inbox().run_command(command)
        if command.name == "forget" and command.arguments.get("what") != "settings":
            self._broadcaster.forget(thread)
        return json_response(answer_json(answer, command))

    async def _lineage_nodes(self, request: web.Request) -> web.Response:
        language = self._language(request)
        nodes = [node_json(each, language) for each in self._lineage(self._find_thread(request))]
        return json_response(LineageJson(nodes=nodes))

    async def _sheet(self, request: web.Request) -> web.Response:
        return await self._attachment(request, "pictures", "inline")

    async def _export(self, request: web.Request) -> web.Response:
        return await self._attachment(request, "export", "attachment")

    async def _attachment(self, request: web.Request, name: str, disposition: str) -> web.Response:
        thread = self._find_thread(request)
        answer = await self._inbox().run_command(Command(new_id(), thread, parse.person("", locale(request)), name))
        if answer.attachment is None:
            raise NotFound(answer.text)
        headers = {
            "Content-Disposition": f'{disposition}; filename="{answer.attachment.name}"',
            "Cache-Control": "private, no-cache",
        }
        kind = "image/png" if answer.attachment.name.endswith(".png") else "application/zip"
        return web.Response(body=answer.attachment.data, content_type=kind, headers=headers)


def answer_json(answer: CommandResponse, command: Command) -> CommandJson:
    """Return the answer of a command."""
    shown = replace_time_markers(text(answer.text, answer.language), language=answer.language)
    return CommandJson(
        text=shown,
        html=serializers.markdown(shown),
        panel=answer.panel and panel_json(answer.panel),
        attachment=answer.attachment and _attachment_json(answer.attachment, command),
    )


def panel_json(panel: SettingsPanel) -> SettingsJson:
    """Return the settings of a scope."""
    return SettingsJson(scope=panel.scope.value, fields=list(map(_field_json, panel.fields)))


def node_json(node: LineageItem, language: str = "en") -> LineageNodeJson:
    """Return an image of the lineage."""
    picture = serializers.picture(node.picture, language)
    return LineageNodeJson(picture=picture, column=node.column, row=node.row, parent=node.parent)


def _field_json(field: SettingField) -> SettingJson:
    return SettingJson(
        key=field.key,
        title=text(field.title),
        description=text(field.description),
        value=field.value,
        choices=list(field.choices),
        choice_names=list(map(text, field.choice_names or field.choices)),
        max_length=field.max_length,
        maximum=field.maximum,
        source=field.source,
    )


def _attachment_json(attachment: Attachment, command: Command) -> AttachmentJson:
    """Return the attachment with the address of its route, or with its data if there is no route."""
    if command.name in ATTACHMENT_FILES:
        url = f"/api/threads/{command.thread.thread}/{ATTACHMENT_FILES[command.name]}"
        return AttachmentJson(name=attachment.name, alt=attachment.alt, url=url)
    data = "data:application/octet-stream;base64," + base64.b64encode(attachment.data).decode()
    return AttachmentJson(name=attachment.name, alt=attachment.alt, data=data)
