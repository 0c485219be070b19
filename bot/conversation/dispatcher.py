"""The dispatcher: takes in events and commands, and runs one turn at a time for each thread, also after a restart."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from bot.capabilities import RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_commands import ThreadCommands
from bot.commands.thread_export import ThreadExport
from bot.conversation.buttons import Buttons, FixedRequests
from bot.conversation.edits_and_deletions import EditsAndDeletions
from bot.conversation.permissions import check_message, check_quota
from bot.conversation.running_reply import RunningReplies
from bot.conversation.turn_runner import TurnRunner
from bot.domain import (
    ButtonPress,
    Entry,
    ImageRequest,
    ImagineCommand,
    Incoming,
    Message,
    MessageDeleted,
    MessageEdited,
    Person,
    PlaceRemoved,
    ThreadKey,
)
from bot.errors import BotError, StorageError
from bot.i18n import LocalizedSurface, localized_response
from bot.notices import notice
from bot.parsing.image_request import as_tag
from bot.ports import ChatModel, PictureFolder, Platform, Renderer, Surface
from bot.prompting.history import join_earlier_messages
from bot.settings.values import Command, CommandResponse, Settings
from bot.storage.store import Store

POLL_INTERVAL = 1.0  # seconds between two checks for replies that another process has reopened


@dataclass(frozen=True, slots=True)
class DispatcherOptions:
    """The longest message, in characters, and the default of prompt refinement."""

    refining: RefineMode = RefineMode.AUTO
    max_message_length: int = 8_000


class Dispatcher:
    """Receives the events and commands of all platforms and runs the turns."""

    def __init__(
        self,
        store: Store,
        model: ChatModel,
        renderer: Renderer,
        picture_folder: PictureFolder,
        options: DispatcherOptions,
        *,
        commands: SlashCommands | None = None,
        thread_export: ThreadExport | None = None,
        moderate: Callable[[str], Awaitable[None]] | None = None,
        other_models: Mapping[str, ChatModel] = MappingProxyType({}),
    ) -> None:
        """`model` is the default chat model; `other_models` are those that users can choose in the settings, by name.

        `moderate` raises Refused for a prompt that must not be rendered.
        """
        self._commands = commands or SlashCommands(store, defaults=Settings(improve_prompts=options.refining))
        self._store = store
        self._picture_folder = picture_folder
        self._options = options
        self._platforms: Mapping[str, Platform] = {}
        self._edits_and_deletions = EditsAndDeletions(
            store, picture_folder, self._find_surface, self._start_task, options.max_message_length
        )
        self._replies = RunningReplies(store, renderer, self._edits_and_deletions.update_reply)
        self._turns = TurnRunner(
            store,
            renderer,
            picture_folder,
            choose_model=lambda settings: other_models.get(settings.chat_model, model),
            replies=self._replies,
            edits_and_deletions=self._edits_and_deletions,
            moderate=moderate,
            styles=self._commands.styles,
        )
        self._fixed_requests = FixedRequests(
            store, self.settings, lambda: renderer.capabilities, self._commands.available_models
        )
        self._buttons = Buttons(
            store,
            self._replies,
            self._edits_and_deletions,
            self._fixed_requests,
            settings=self.settings,
            accept_message=self._accept_message,
            schedule=self._schedule,
        )
        self._thread_commands = ThreadCommands(
            store, self._commands, picture_folder, self._replies.stop_all, thread_export
        )
        self._group: asyncio.TaskGroup | None = None

    async def run(self, platforms: Mapping[str, Platform]) -> None:
        """Resume the open turns, then serve the platforms until cancelled."""
        self._platforms = platforms
        async with asyncio.TaskGroup() as self._group:
            for entry in self._store.open_entries():
                if entry.thread.platform in platforms:
                    self._schedule(entry.thread, entry.id)
            polling = self._group.create_task(self._poll_for_reopened())
            served = [self._group.create_task(platform.run(self)) for platform in platforms.values()]
            await asyncio.wait(served)  # a terminal ends with its input
            polling.cancel()

    async def accept(self, event: Incoming) -> str:
        """Record the event and start its turn. Returns the id of the message that is answered.

        Raises Refused or StorageError, with a sentence in the language of the user.
        """
        try:
            return await self._dispatch(self._commands.add_manager_role(event))
        except BotError as refused:
            if isinstance(event, Message | ButtonPress | ImagineCommand):
                refused.language = self.settings(event.thread, event.author).language
            raise

    async def _dispatch(self, event: Incoming) -> str:
        if not isinstance(event, Message | ImagineCommand):  # it may refer to a message that is not committed yet
            self._store.group_commit.flush()
        try:
            match event:
                case Message():
                    return await self._accept_message(event)
                case ImagineCommand():
                    return await self._accept_message(*self._fixed_requests.imagine(event))
                case ButtonPress():
                    return await self._buttons.press(event)
                case MessageEdited():
                    return self._edits_and_deletions.record_edit(event)
                case MessageDeleted():
                    return self._on_message_deleted(event)
                case PlaceRemoved():
                    return self._on_place_removed(event)
        except OSError as error:
            raise StorageError("not-saved", reason=str(error.strerror)) from error

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return self._commands.resolve_settings(thread, author)

    async def run_command(self, command: Command) -> CommandResponse:
        """Run a slash command. Raises Refused or StorageError, with a sentence in the language of the user."""
        try:
            answer = await self._execute(self._commands.add_manager_role(command))
        except BotError as refused:
            refused.language = self.settings(command.thread, command.author).language
            raise
        return localized_response(answer, self.settings(command.thread, command.author).language)

    async def _execute(self, command: Command) -> CommandResponse:
        self._store.group_commit.flush()
        try:
            return await self._thread_commands.answer(command)
        except OSError as error:
            raise StorageError("command-failed", reason=str(error.strerror)) from error

    async def _poll_for_reopened(self) -> None:
        """Schedule the replies that another process has reopened."""
        changed = self._store.watch_changes()
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            if changed():
                for entry in self._store.open_entries():
                    if entry.thread.platform in self._platforms and not self._replies.knows(entry):
                        self._schedule(entry.thread, entry.id)

    async def _accept_message(self, message: Message, requests: Sequence[ImageRequest] = ()) -> str:
        """Check and record a message, then schedule its turn; a known message changes nothing.

        `requests` are the image requests of the reply if they are fixed without the chat model.
        """
        if not self._store.knows_message(message.id):
            message = replace(message, text=message.text.strip())
            settings = self.settings(message.thread, message.author)
            check_message(message, requests, self._store, settings, self._options.max_message_length)
            uploads = [await self._picture_folder.add_upload(upload) for upload in message.uploads]
            raw_answer = "".join(map(as_tag, requests)) if requests else None
            check_left = partial(check_quota, self._store, settings, message.thread, message.author, len(requests))
            earlier = join_earlier_messages(message.earlier_messages)
            accept = partial(self._store.accept, message, uploads, raw_answer, requests, check_left, earlier)
            await self._store.group_commit.write(accept, partial(self._schedule_if_new, message))
        return message.id

    def _schedule_if_new(self, message: Message, is_new: bool) -> None:
        if is_new:
            self._schedule(message.thread, message.id)

    def _on_message_deleted(self, event: MessageDeleted) -> str:
        entry = self._store.entry(event.id)
        if entry is not None and entry.thread == event.thread:
            self._replies.stop(entry, notice("message-deleted"))
        return event.id

    def _on_place_removed(self, event: PlaceRemoved) -> str:
        self._replies.stop_all(event.place, notice("place-gone"))
        return ""

    # Turns

    def _find_surface(self, entry: Entry) -> Surface:
        """The surface of a reply, which shows the messages of the bot in the language of the user."""
        surface = self._platforms[entry.thread.platform].surface(entry.thread, entry.id)
        return LocalizedSurface(surface, self.settings(entry.thread, entry.author).language)

    def _start_task(self, work: Awaitable[None]) -> None:
        assert self._group, "the inbox is not running"

        async def started() -> None:
            await work

        self._group.create_task(started())

    def _schedule(self, thread: ThreadKey, message_id: str) -> None:
        if self._replies.enqueue(thread, message_id):
            self._start_task(self._run_thread(thread))

    async def _run_thread(self, thread: ThreadKey) -> None:
        while (message_id := self._replies.next_message(thread)) is not None:
            entry = self._store.entry(message_id)
            if entry is not None:
                await self._turns.run(entry, self.settings(entry.thread, entry.author), self._find_surface(entry))
