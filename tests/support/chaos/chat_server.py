"""A chat platform in the test's process. It delivers every event twice, and loses answers to what it has done."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

SPREAD = 6.0  # events after which the second delivery of one comes at the latest


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody says. `count` is how many pictures it asks for."""

    id: str
    person: str
    count: int

    @property
    def text(self) -> str:
        """The words."""
        return f"draw {self.count}: a kite of {self.person}"


class ChatServer:
    """The platform's side of `tests.support.chaos.chat`, over a real socket."""

    def __init__(self, rng: random.Random, lost: float) -> None:
        """`lost` is the share of answers that never arrive, although what they answer was done."""
        self._rng = rng
        self._lost = lost
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Condition()
        self._posted: set[tuple[str, int]] = set()
        self._failed: list[dict[str, Any]] = []  # parts of final replies
        self._known: set[str] = set()  # acknowledged
        self.said: list[Question] = []
        self.replies: dict[str, list[dict[str, Any]]] = {}  # every view that was committed, by question
        self.deliveries = 0
        self.answers_lost = 0
        self.url = ""

    @property
    def posted(self) -> int:
        """The pictures that are to be seen in final replies."""
        return len(self._posted)

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.add_routes([
            web.get("/events", self._events),
            web.post("/acknowledged/{id}", self._acknowledged),
            web.put("/replies/{id}", self._reply),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0])

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()

    async def say(self, questions: Sequence[Question]) -> None:
        """Have people say something."""
        async with self._changed:
            self.said += questions
            self._changed.notify_all()

    async def until(self, posted: float) -> None:
        """Wait until so many pictures are to be seen, and no less: a reply that ended without one is a fault."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failed or self.posted >= posted)
        assert not self._failed, f"pictures that nobody gave up were not made: {self._failed}"

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """All that was not acknowledged before, then what comes: lines of JSON, each of them twice."""
        stream = web.StreamResponse()
        await stream.prepare(request)
        sent = 0
        while True:
            fresh, sent = self.said[sent:], len(self.said)
            for question in self._twice([each for each in fresh if each.id not in self._known]):
                self.deliveries += 1
                await stream.write(json.dumps(asdict(question) | {"text": question.text}).encode() + b"\n")
            async with self._changed:
                await self._changed.wait_for(lambda: len(self.said) > sent)  # noqa: B023

    def _twice(self, questions: Sequence[Question]) -> list[Question]:
        """Each question in its place, and once more soon after."""
        first = [(float(nth), question) for nth, question in enumerate(questions)]
        again = [(nth + self._rng.uniform(0, SPREAD), question) for nth, question in first]
        return [question for _, question in sorted(first + again, key=lambda each: each[0])]

    async def _acknowledged(self, request: web.Request) -> web.Response:
        self._known.add(request.match_info["id"])
        return self._answer(request)

    async def _reply(self, request: web.Request) -> web.Response:
        view = await request.json()
        question = request.match_info["id"]
        async with self._changed:
            self.replies.setdefault(question, []).append(view)
            if view["final"]:
                self._posted |= {(question, each["number"]) for each in pictures(view)}
                self._failed += [part for part in view["parts"] if "failed" in part]
            self._changed.notify_all()
        return self._answer(request)

    def _answer(self, request: web.Request) -> web.Response:
        if self._rng.random() < self._lost and request.transport:
            self.answers_lost += 1
            request.transport.close()
        return web.json_response({})


def pictures(view: dict[str, Any]) -> list[dict[str, Any]]:
    """The finished pictures of a view as it was sent."""
    return [part for part in view["parts"] if part.get("digest")]
