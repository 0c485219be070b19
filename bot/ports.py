"""Protocols between the core, the models, the renderer, the platforms and the table of posts.

`bot.app` chooses the implementations.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from bot.capabilities import ModelCapabilities
from bot.domain import Entry, Incoming, Person, Picture, Post, RenderJob, RenderUpdate, ThreadKey, ThreadSummary, View
from bot.llm.messages import ChatMessage, ModelEvent, ModelProfile, Tool
from bot.notices import UserText
from bot.settings.values import Command, CommandResponse, Settings


class ChatModel(Protocol):
    """A chat model. Closing the generator ends the request."""

    @property
    def profile(self) -> ModelProfile:
        """The model profile, as far as it is known now."""
        ...

    def stream(self, history: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> AsyncGenerator[ModelEvent]:
        """Stream the answer: any number of `TextDelta` and `ToolCall`, then one `StreamEnd` or `ModelFailed`."""
        ...


class Renderer(Protocol):
    """Renders jobs. Closing the generator cancels the job."""

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the image model, as far as they are known now."""
        ...

    def render(self, job: RenderJob) -> AsyncGenerator[RenderUpdate]:
        """Stream the updates of the job; the last is `Rendered` or `Failed`. A known job is resumed, not repeated."""
        ...

    def cancel(self, job_id: str, reason: UserText) -> bool:
        """End the job as `Failed(reason)`, waiting or running; False if the job has ended or does not exist."""
        ...


class PictureFolder(Protocol):
    """The files of the images."""

    async def add_upload(self, upload: bytes) -> Picture:
        """Decode, sanitize and save an uploaded file; the picture has number 0 until it is recorded. Raises Refused."""
        ...

    async def read_thumbnail(self, digest: str) -> bytes:
        """The image as a small JPEG, for a chat model with vision. Raises OSError."""
        ...

    async def delete(self, digest: str) -> None:
        """Delete the file of an image, if it exists. Raises OSError."""
        ...


class Surface(Protocol):
    """The messages on a platform that show one reply."""

    @property
    def pause(self) -> float:
        """Seconds to wait now before the next `put` of a view that is not the last."""
        ...

    async def put(self, view: View) -> None:
        """Update the messages to show the view. Safe to repeat.

        Raises Unreachable if the platform can show nothing there any more, and all errors of the platform's client.
        """
        ...


class Platform(Protocol):
    """A chat platform."""

    async def run(self, inbox: "Inbox") -> None:
        """Connect, and pass every event to the inbox until cancelled."""
        ...

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface of the reply to a message."""
        ...


class Inbox(Protocol):
    """Receives the events of the platforms."""

    async def accept(self, event: Incoming) -> str:
        """Record the event, start the work, and return the id of the event. A repeated event changes nothing.

        Raises Refused or StorageError, with a sentence for the user, if nothing was recorded.
        """
        ...

    async def run_command(self, command: Command) -> CommandResponse:
        """Run a slash command and return the answer. Raises Refused, StorageError."""
        ...

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """Return the settings that apply to this user in this thread."""
        ...


class Archive(Protocol):
    """The stored threads with their messages and images, as the platforms read them; see `bot.storage.store`."""

    def open_thread(self, key: ThreadKey, title: str = "") -> None:
        """Store the thread, unless it is stored already."""
        ...

    def knows_thread(self, key: ThreadKey) -> bool:
        """Return whether the thread is stored."""
        ...

    def threads(self, platform: str) -> Sequence[ThreadSummary]:
        """Return the threads of a platform, the one with the newest message first."""
        ...

    def entries(self, thread: ThreadKey) -> Sequence[Entry]:
        """Return the messages of the thread with their replies, in order."""
        ...

    def entry(self, message_id: str) -> Entry | None:
        """Return the stored message and its reply; None for an unknown id."""
        ...

    def picture(self, thread: ThreadKey, number: int) -> Picture | None:
        """Return the image with this number in the thread; None if it does not exist or is not finished."""
        ...

    def knows_picture(self, digest: str) -> bool:
        """Return whether a stored image has this digest."""
        ...


class PostStore(Protocol):
    """The table of the posts of the bot, which survives a restart; see `bot.storage.posts`."""

    def reply_place(self, message_id: str) -> str:
        """Return the place of the reply to this message, in the format of the platform; empty if unknown."""
        ...

    def save_place(self, message_id: str, place: str) -> None:
        """Record the place of the reply to this message; an earlier record stays."""
        ...

    def posts_of(self, message_id: str) -> list[Post]:
        """Return the posts of the reply to this message, in order."""
        ...

    def save_post(self, message_id: str, nth: int, post: Post, thread: ThreadKey) -> None:
        """Record the nth post of a reply."""
        ...

    def delete_post(self, message_id: str, nth: int) -> None:
        """Delete the record of the nth post of a reply."""
        ...

    def find_post(self, post_id: str) -> tuple[ThreadKey, int | None] | None:
        """Return the thread of a post and the number of the picture in it; None if the bot did not post it."""
        ...

    def newest_thread(self, prefix: str) -> ThreadKey | None:
        """Return the thread of the newest post whose id starts with the prefix."""
        ...

    def set_category(self, channel: ThreadKey, category: str) -> None:
        """Record the category of a channel; empty for none."""
        ...

    def get_mark(self, name: str) -> str:
        """Return a note that the platform stored under this name; empty if there is none."""
        ...

    def set_mark(self, name: str, value: str) -> None:
        """Store a note of the platform under this name."""
        ...
