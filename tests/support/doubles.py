"""Doubles that keep the whole promise of their Protocol, and remember what they were told."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace

from bot.capabilities import ModelCapabilities
from bot.domain import (
    MANAGER,
    Failed,
    ImageRequest,
    Message,
    Operation,
    Person,
    Picture,
    Queued,
    Rendered,
    Rendering,
    RenderJob,
    RenderUpdate,
    Sampling,
    ThreadKey,
    View,
)
from bot.errors import NotFound
from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, StreamEnd, TextDelta, Tool, ToolCall
from bot.notices import UserText
from bot.ports import Inbox
from bot.settings.values import Command, CommandResponse, Settings
from bot.storage.store import Store

THREAD = ThreadKey("test", "space", "channel", "thread")
ANN = Person("ann", "Ann")
BOB = Person("bob", "Bob", frozenset({MANAGER}))
CID = Person("cid", "Cid")


def message(message_id: str, text: str, about: int | None = None, author: Person = ANN) -> Message:
    """A message in the one test thread."""
    return Message(message_id, THREAD, author, text, about=about)


def picture(
    number: int,
    prompt: str = "a red circle",
    source: int | None = None,
    operation: Operation = Operation.GENERATE,
    seed: int | None = -1,
) -> Picture:
    """A finished picture; its seed is its number unless another one is given."""
    seed = number if seed == -1 else seed
    digest = f"{number:064x}"
    return Picture(
        number,
        digest,
        256,
        256,
        prompt,
        ImageRequest(0, operation, prompt, source=source, sampling=Sampling(seed=seed)),
        model="m",
    )


def claimed(store: Store, job: RenderJob) -> RenderJob:
    """The job as the attempt that was begun now."""
    return replace(job, attempt=store.jobs.claim("batch", {job.id: 1.0})[job.id])


class NoCommands:
    """An inbox to which nobody gives commands, and where nothing was chosen."""

    async def run_command(self, command: Command) -> CommandResponse:
        """Refused."""
        raise NotFound(command.name)

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The usual ones."""
        return Settings()


@dataclass
class ScriptedModel:
    """Says one script after the other, chunk by chunk; waits for `go` where a chunk is None."""

    scripts: list[Sequence[str | None | ModelEvent]]
    received: list[Sequence[ChatMessage]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0
    profile: ModelProfile = field(default_factory=ModelProfile)
    offered: list[Sequence[Tool]] = field(default_factory=list)

    async def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """The next script's events."""
        self.received.append(tuple(history))
        self.offered.append(tuple(tools))
        try:
            for chunk in self.scripts.pop(0):
                match chunk:
                    case None:
                        self.waiting.set()
                        await self.go.wait()
                    case str():
                        yield TextDelta(chunk)
                    case ToolCall():
                        yield chunk
                    case _:
                        yield chunk
                        return
            yield StreamEnd()
        finally:
            self.closed += 1


@dataclass
class InstantRenderer:
    """Renders at once, but for prompts in `held`, which wait for `go`, and in `refused`, which fail."""

    refused: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[RenderJob] = field(default_factory=list)
    cancelled: list[RenderJob] = field(default_factory=list)
    keep: Callable[[RenderJob, Picture], None] = lambda job, picture: None
    capabilities: ModelCapabilities = field(default_factory=ModelCapabilities)
    cancels: list[tuple[str, UserText]] = field(default_factory=list)

    async def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Queued, half done, done."""
        self.jobs.append(job)
        done = False
        try:
            yield Queued(0)
            if job.request.prompt in self.held:
                self.waiting.set()
                await self.go.wait()
            yield Rendering(0.5)
            done = True
            if reason := self.refused.get(job.request.prompt):
                yield Failed(reason)
            else:
                made = Picture(job.number, f"{job.number:064x}", 256, 256, job.request.prompt, job.request, model="m")
                self.keep(job, made)
                yield Rendered(made)
        finally:
            if not done:
                self.cancelled.append(job)

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """Remember who was cancelled by name."""
        self.cancels.append((job_id, reason))
        return True


@dataclass
class Screen:
    """A platform whose surfaces remember every view that was put on them."""

    views: dict[str, list[View]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    faults: int = 0

    async def run(self, inbox: Inbox) -> None:
        """Nothing comes from here by itself."""
        await asyncio.Event().wait()

    def surface(self, thread: ThreadKey, message_id: str) -> "ScreenSurface":
        """Where the reply to a message is shown."""
        return ScreenSurface(self, message_id)

    async def until(self, message_id: str, wanted: Callable[[View], bool]) -> View:
        """The newest view of the reply, as soon as it is as wanted."""
        async with self.changed:
            await self.changed.wait_for(lambda: any(map(wanted, self.views.get(message_id, [])[-1:])))
        return self.views[message_id][-1]

    async def final(self, message_id: str, count: int = 1) -> View:
        """The reply's final view, the `count`th if it was tried again."""

        def there() -> list[View]:
            return [view for view in self.views.get(message_id, []) if view.final]

        async with self.changed:
            await self.changed.wait_for(lambda: len(there()) >= count)
        return there()[count - 1]


@dataclass
class ScreenSurface:
    """One reply on the screen; refuses the next `faults` writes."""

    pause = 0.0

    screen: Screen
    message_id: str

    async def put(self, view: View) -> None:
        """Remember the view."""
        if self.screen.faults:
            self.screen.faults -= 1
            raise ConnectionError("the platform is away")
        async with self.screen.changed:
            self.screen.views.setdefault(self.message_id, []).append(view)
            self.screen.changed.notify_all()
