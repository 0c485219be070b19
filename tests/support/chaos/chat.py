"""The bot's side of the chat server: an adapter that takes events from a stream, and puts replies."""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from bot.domain import Failed, Message, Part, Person, PicturePart, Rendered, TextPart, ThreadKey, View
from bot.errors import BotError
from bot.ports import Inbox

log = logging.getLogger(__name__)

NAME = "chaos"
ATTEMPTS = 20
PAUSE = 0.1  # seconds before another attempt, at most


class Chat:
    """The platform."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    def surface(self, thread: ThreadKey, message_id: str) -> "Upsert":
        """Where the reply to a message is shown."""
        return Upsert(self, message_id)

    async def run(self, inbox: Inbox) -> None:
        """Hand over every delivery in a task of its own, as gateways do; connect again for ever."""
        endless = aiohttp.ClientTimeout(total=None)
        async with asyncio.TaskGroup() as group:
            while True:
                with suppress(aiohttp.ClientError):
                    async with self._session.get(f"{self._url}/events", timeout=endless) as stream:
                        async for line in stream.content:
                            group.create_task(self._take(inbox, json.loads(line)))
                await asyncio.sleep(PAUSE)

    async def _take(self, inbox: Inbox, event: dict[str, Any]) -> None:
        """Acknowledge what is recorded; the rest is delivered again."""
        thread = ThreadKey(NAME, "team", "crowd", event["id"])
        try:
            await inbox.accept(Message(event["id"], thread, Person(event["person"], event["person"]), event["text"]))
        except BotError:
            log.exception("%s was not accepted", event["id"])
        else:
            await self.send("POST", f"/acknowledged/{event['id']}", {})

    async def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Send until the answer arrives."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(aiohttp.ClientError),
            wait=wait_random(0, PAUSE),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        await attempts(self._send, method, path, body)

    async def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        async with self._session.request(method, self._url + path, json=body) as answer:
            answer.raise_for_status()


class Upsert:
    """One reply, which is replaced as a whole. Of the views that come before the final one only the first is sent."""

    pause = 0.1

    def __init__(self, chat: Chat, message_id: str) -> None:
        self._chat = chat
        self._message_id = message_id
        self._begun = False

    async def put(self, view: View) -> None:
        """Make the server's copy match."""
        if view.final or not self._begun:
            self._begun = True
            parts = [_part(part, self._message_id) for part in view.parts]
            body = {"final": view.final, "status": view.status, "parts": parts}
            await self._chat.send("PUT", f"/replies/{self._message_id}", body)


def _part(part: Part, message_id: str) -> dict[str, Any]:
    match part:
        case TextPart(markdown):
            return {"words": markdown}
        case PicturePart(key, number, state=Rendered(picture)):
            return {"job": f"{message_id}.{key}", "number": number, "digest": picture.digest}
        case PicturePart(key, number, state=Failed(reason)):
            return {"job": f"{message_id}.{key}", "number": number, "failed": reason}
        case PicturePart(key, number):
            return {"job": f"{message_id}.{key}", "number": number}
