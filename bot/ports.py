"""The four doors of the core, and what platforms remember. What stands behind them is chosen in `bot.__main__`."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from bot.abilities import Abilities
from bot.domain import Incoming, Person, Post, RenderJob, RenderUpdate, ThreadKey, View
from bot.panel import Answer, Command, Settings
from bot.speech import Manners, ModelEvent, Said, Tool


class ChatModel(Protocol):
    """Any model that answers in words. Closing the generator ends the request."""

    @property
    def manners(self) -> Manners:
        """What the model wants and can do, as far as it is known now."""
        ...

    def listen(self, transcript: Sequence[Said], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer: any number of `Delta` and `Called`, then one `Stopped` or `ModelFailed`."""
        ...


class Renderer(Protocol):
    """Whatever turns jobs into pictures. Closing the generator cancels the job."""

    @property
    def abilities(self) -> Abilities:
        """What its picture model can do, as far as it is known now."""
        ...

    def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Stream how the job fares, ending with `Rendered` or `Failed`. A known job is taken up, not repeated."""
        ...

    def cancel(self, job_id: str, reason: str) -> bool:
        """End the job as `Failed(reason)`, wherever it is; False if it has ended, or there is none."""
        ...


class Surface(Protocol):
    """The place on a platform where one reply is shown."""

    @property
    def pause(self) -> float:
        """How long to wait now before the next `put` of a view that is not the last, in seconds."""
        ...

    async def put(self, view: View) -> None:
        """Make the screen match. Safe to repeat; raises whatever the platform's client raises.

        Raises Unreachable where nothing can be shown any more.
        """
        ...


class Platform(Protocol):
    """A chat platform."""

    async def run(self, inbox: "Inbox") -> None:
        """Connect, and hand every event to the inbox until cancelled."""
        ...

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Where the reply to a message is shown."""
        ...


class Inbox(Protocol):
    """What a platform hands its events to."""

    async def accept(self, event: Incoming) -> str:
        """Record the event and start the work; the id under which it is known. A repeated event changes nothing.

        Raises Refused or Unrecorded (their text is for the person) when nothing was recorded.
        """
        ...

    async def command(self, command: Command) -> Answer:
        """Do what a slash command says, and what there is to tell. Raises Refused, Unrecorded."""
        ...

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """What holds for this person in this thread."""
        ...


class Record(Protocol):
    """What of the posts survives a restart."""

    def place(self, message_id: str) -> str: ...  # noqa: D102
    def open(self, message_id: str, place: str) -> None: ...  # noqa: D102
    def of(self, message_id: str) -> list[Post]: ...  # noqa: D102
    def keep(self, message_id: str, nth: int, post: Post, thread: ThreadKey) -> None: ...  # noqa: D102
    def drop(self, message_id: str, nth: int) -> None: ...  # noqa: D102
    def shows(self, post_id: str) -> tuple[ThreadKey, int | None] | None: ...  # noqa: D102
    def newest(self, prefix: str) -> ThreadKey | None: ...  # noqa: D102
    def lies(self, channel: ThreadKey, category: str) -> None: ...  # noqa: D102
    def mark(self, name: str) -> str: ...  # noqa: D102
    def note(self, name: str, value: str) -> None: ...  # noqa: D102
