"""The dispatcher: one turn at a time for each thread, duplicate events, Stop and Retry, open turns after a restart."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from bot.capabilities import RefineMode
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.conversation.buttons import ButtonActions
from bot.conversation.edits_and_deletions import EditsAndDeletions, check_owner_or_manager
from bot.conversation.image_orders import ImageOrders
from bot.conversation.pacer import Pacer
from bot.conversation.permissions import check_access, check_message, check_quota
from bot.conversation.prompt_refiner import PromptRefiner
from bot.conversation.recorded_answer import RecordedAnswer
from bot.conversation.reply import Event, Reply, ReplyStopped, offer_retry, step, view
from bot.conversation.running_reply import RunningReply
from bot.conversation.turn import answer
from bot.conversation.turn_context import PictureFolder, build_turn
from bot.domain import (
    MANAGER,
    Action,
    ButtonPress,
    Entry,
    Failed,
    ImageRequest,
    ImagineCommand,
    Incoming,
    Message,
    MessageDeleted,
    MessageEdited,
    Person,
    PicturePart,
    PlaceRemoved,
    ThreadKey,
)
from bot.errors import BotError, NotFound, Refused, StorageError, Unreachable
from bot.formatting import format_count
from bot.i18n import translate
from bot.parsing.image_request import as_tag
from bot.ports import ChatModel, Platform, Renderer, Surface
from bot.prompting.history import join_earlier_messages
from bot.settings.values import Attachment, Command, CommandResponse, Settings
from bot.storage.store import Store

log = logging.getLogger(__name__)

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
        self._commands = commands or SlashCommands(store, defaults=Settings(refine=options.refining))
        self._other_models = other_models
        self._thread_export = thread_export
        self._moderate = moderate
        self._store = store
        self._model = model
        self._renderer = renderer
        self._picture_folder = picture_folder
        self._options = options
        self._platforms: Mapping[str, Platform] = {}
        self._edits_and_deletions = EditsAndDeletions(
            store, picture_folder, self._surface, self._start_task, options.max_message_length
        )
        self._button_actions = ButtonActions(
            store, self.settings, lambda: renderer.capabilities, self._commands.available_models
        )
        self._waiting: dict[ThreadKey, deque[str]] = {}
        self._running: dict[str, RunningReply] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self, platforms: Mapping[str, Platform]) -> None:
        """Resume the open turns, then serve the platforms until cancelled."""
        self._platforms = platforms
        async with asyncio.TaskGroup() as self._group:
            for entry in self._store.open_entries():
                if entry.thread.platform in platforms:
                    self._schedule(entry.thread, entry.id)
            looking = self._group.create_task(self._poll_for_reopened())
            served = [self._group.create_task(platform.run(self)) for platform in platforms.values()]
            await asyncio.wait(served)  # a terminal ends with its input
            looking.cancel()

    async def accept(self, event: Incoming) -> str:
        """Record the event and start its turn. Returns the id of the message that is answered.

        Raises Refused or Unrecorded, with a sentence in the language of the user.
        """
        try:
            return await self._dispatch(self._commands.add_manager_role(event))
        except BotError as refused:
            if isinstance(event, Message | ButtonPress | ImagineCommand):
                raise self._translate(refused, event.thread, event.author) from refused
            raise

    def _translate(self, error: BotError, thread: ThreadKey, author: Person) -> BotError:
        return type(error)(translate(str(error), self.settings(thread, author).language))

    async def _dispatch(self, event: Incoming) -> str:
        if not isinstance(event, Message | ImagineCommand):  # it may refer to a message that is not committed yet
            self._store.group_commit.flush()
        try:
            match event:
                case Message():
                    return await self._accept_message(event)
                case MessageDeleted():
                    return self._on_message_deleted(event)
                case ButtonPress(action=Action.STOP):
                    return self._stop(event)
                case ButtonPress(action=Action.CANCEL):
                    return self._cancel(event)
                case ButtonPress(action=Action.RETRY):
                    return await self._retry(event)
                case ButtonPress(action=Action.VARY):
                    return await self._accept_message(*self._button_actions.vary(event))
                case ButtonPress(action=Action.UPSCALE):
                    return await self._accept_message(*self._button_actions.upscale(event))
                case ButtonPress(action=Action.EDIT):
                    return await self._accept_message(*self._button_actions.edit(event))
                case ButtonPress(action=Action.REDO):
                    return await self._accept_message(*self._button_actions.redo(event))
                case ButtonPress(action=Action.DELETE):
                    return await self._edits_and_deletions.delete(event, self._running.values())
                case ButtonPress():
                    raise AssertionError(event.action)
                case ImagineCommand():
                    return await self._accept_message(*self._button_actions.imagine(event))
                case MessageEdited():
                    return self._edits_and_deletions.record_edit(event)
                case PlaceRemoved():
                    return self._on_place_removed(event)
        except OSError as error:
            raise StorageError(f"Nothing was recorded, please try again later: {error.strerror}.") from error

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return self._commands.resolve_settings(thread, author)

    async def run_command(self, command: Command) -> CommandResponse:
        """Run a slash command. Raises Refused or Unrecorded, with a sentence in the language of the user."""
        try:
            answer = await self._execute(self._commands.add_manager_role(command))
        except BotError as refused:
            raise self._translate(refused, command.thread, command.author) from refused
        return replace(answer, text=translate(answer.text, self.settings(command.thread, command.author).language))

    async def _execute(self, command: Command) -> CommandResponse:
        self._store.group_commit.flush()
        try:
            match command.name:
                case "cancel":
                    return self._cancel_all(command)
                case "forget":
                    return await self._edits_and_deletions.forget(command)
                case "pictures" | "export" if self._thread_export:
                    return await self._attach_file(command, self._thread_export)
                case _:
                    return self._commands.answer(command)
        except OSError as error:
            raise StorageError(f"That did not work, please try again later: {error.strerror}.") from error

    async def _poll_for_reopened(self) -> None:
        """Schedule the replies that another process has reopened."""
        changed = self._store.watch_changes()
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            if changed():
                for entry in self._store.open_entries():
                    known = entry.id in self._running or entry.id in self._waiting.get(entry.thread, ())
                    if entry.thread.platform in self._platforms and not known:
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
            words = "".join(map(as_tag, requests)) if requests else None
            left = partial(check_quota, self._store, settings, message.thread, message.author, len(requests))
            earlier = join_earlier_messages(message.earlier_messages)
            accept = partial(self._store.accept, message, uploads, words, requests, left, earlier)
            await self._store.group_commit.write(accept, partial(self._schedule_if_new, message))
        return message.id

    def _schedule_if_new(self, message: Message, is_new: bool) -> None:
        if is_new:
            self._schedule(message.thread, message.id)

    # Buttons

    def _find_entry(self, press: ButtonPress) -> Entry:
        entry = self._store.entry(press.target)
        if entry is None or entry.thread != press.thread:
            raise NotFound("There is no such reply in this thread.")
        return entry

    def _stop(self, press: ButtonPress) -> str:
        entry = self._find_entry(press)
        check_owner_or_manager(press.author, entry.author)
        self._stop_reply(entry, f"Stopped by {press.author.name}.")
        return entry.id

    def _cancel(self, press: ButtonPress) -> str:
        """Cancel one image of a reply; its text and the other images of the reply go on."""
        entry = self._find_entry(replace(press, target=press.target.rpartition(".")[0]))
        check_owner_or_manager(press.author, entry.author)
        self._renderer.cancel(press.target, f"Cancelled by {press.author.name}.")
        return entry.id

    def _on_message_deleted(self, event: MessageDeleted) -> str:
        entry = self._store.entry(event.id)
        if entry is not None and entry.thread == event.thread:
            self._stop_reply(entry, "The question was deleted.")
        return event.id

    def _stop_reply(self, entry: Entry, reason: str) -> bool:
        """Stop the reply and cancel its images, running or waiting; False if the reply is ending already."""
        live = self._running.get(entry.id)
        if live:
            ends = live.reply.final or bool(live.stop_reason)
            live.stop(reason)
            return not ends
        if entry.id not in self._waiting.get(entry.thread, ()):
            return False
        self._waiting[entry.thread].remove(entry.id)
        self._store.jobs.cancel_all(entry.id, reason)
        ended = view(step(Reply(entry.id), ReplyStopped(reason)))
        self._edits_and_deletions.update_reply(entry, ended)
        return True

    async def _retry(self, press: ButtonPress) -> str:
        entry = self._find_entry(press)
        live = self._running.get(entry.id)
        if live and live.reply.final:  # displayed as final, but not recorded yet
            await live.recorded.wait()
            entry = self._find_entry(press)
        if entry.view is None:
            if entry.id not in self._running and entry.id not in self._waiting.get(entry.thread, ()):
                self._schedule(entry.thread, entry.id)  # the turn ended, but its final view could not be recorded
            return entry.id
        failed = any(
            isinstance(part, PicturePart) and isinstance(part.state, Failed) and part.state.again
            for part in entry.view.parts
        )
        if not failed and not entry.view.status:
            raise Refused("That reply is complete: there is nothing to try again.")
        check_access(self.settings(press.thread, press.author), press.thread, press.author)
        settings = self.settings(entry.thread, entry.author)
        check_quota(self._store, settings, entry.thread, entry.author, self._store.jobs.count_failed(entry.id))
        self._store.reopen(entry.id)
        self._schedule(entry.thread, entry.id)
        return entry.id

    # Commands

    def _cancel_all(self, command: Command) -> CommandResponse:
        """Stop the open replies to this user in this thread or place; with `all`, for managers, those to every user."""
        everybody = command.arguments.get("whose") == "all"
        if everybody and MANAGER not in command.author.roles:
            raise Refused("Only managers can cancel what others asked for.")
        ended = 0
        for entry in self._store.open_entries():
            if command.thread.contains(entry.thread) and (everybody or entry.author.id == command.author.id):
                ended += self._stop_reply(entry, f"Cancelled by {command.author.name}.")
        return CommandResponse(
            f"Cancelled {format_count(ended, 'reply', 'replies')}." if ended else "Nothing is under way here."
        )

    def _on_place_removed(self, event: PlaceRemoved) -> str:
        for entry in self._store.open_entries():
            if event.place.contains(entry.thread):
                self._stop_reply(entry, "The place where it was asked is gone.")
        return ""

    async def _attach_file(self, command: Command, thread_export: ThreadExport) -> CommandResponse:
        """Answer `/pictures` with the contact sheet of the thread, and `/export` with its ZIP."""
        pictures = self._store.pictures(command.thread)
        if command.name == "pictures":
            answer = self._commands.answer(command)
            if not pictures:
                return answer
            alt = f"{format_count(len(pictures), 'picture')}, with arrows from each to what came of it"
            return replace(
                answer, attachment=Attachment("pictures.png", await thread_export.draw_contact_sheet(pictures), alt)
            )
        entries = self._store.entries(command.thread)
        if not entries:
            raise Refused("There is nothing to take away here: give the command in one of my threads.")
        title = self._store.title(command.thread)
        packed = await thread_export.pack_zip(title, entries, pictures)
        messages, images = format_count(len(entries), "message"), format_count(len(pictures), "picture")
        told = f"{messages} and {images}: unpack it, open index.html."
        return CommandResponse(told, attachment=Attachment("thread.zip", packed))

    # Turns

    def _surface(self, entry: Entry) -> Surface:
        return self._platforms[entry.thread.platform].surface(entry.thread, entry.id)

    def _start_task(self, work: Awaitable[None]) -> None:
        assert self._group, "the inbox is not running"

        async def started() -> None:
            await work

        self._group.create_task(started())

    def _schedule(self, thread: ThreadKey, message_id: str) -> None:
        if thread in self._waiting:
            self._waiting[thread].append(message_id)
        else:
            self._waiting[thread] = deque([message_id])
            self._start_task(self._run_thread(thread))

    async def _run_thread(self, thread: ThreadKey) -> None:
        while self._waiting[thread]:
            entry = self._store.entry(self._waiting[thread].popleft())
            if entry is not None:
                await self._run_turn(entry)
        del self._waiting[thread]

    async def _run_turn(self, entry: Entry) -> None:
        """Run the turn of one message. Its reply always ends visibly and is recorded as final."""
        self._store.clear_edited(entry.id)
        pacer = Pacer(self._surface(entry))
        settings = self.settings(entry.thread, entry.author)
        live = self._running[entry.id] = RunningReply(
            Reply(entry.id), pacer, previews=settings.previews, language=settings.language
        )
        showing = asyncio.create_task(pacer.run())
        showing.add_done_callback(partial(_stop_if_unreachable, live))
        try:
            await live.run(self._answer(entry, settings, live.on_event))
            self._store.jobs.cancel_all(entry.id, live.stop_reason or "The chat model changed its mind.")
            shown = live.view
            with suppress(Unreachable):  # the reply cannot be displayed any more
                await showing
            last = live.view  # an image may have been deleted meanwhile
            if self._store.is_edited(entry.id):
                last = offer_retry(last, entry.id)
            self._store.finish(entry.id, last)
            if last != shown:
                self._edits_and_deletions.update_reply(entry, last)
        except Exception:  # a full disk, a lost platform: the next start resumes the reply
            log.exception("the reply to %s is not final", entry.id)
        finally:
            showing.cancel()
            live.recorded.set()
            del self._running[entry.id]

    async def _answer(self, entry: Entry, settings: Settings, show: Callable[[Event], None]) -> None:
        """Build the turn of a message and run it with the chat model that the settings choose."""
        chat_model = self._other_models.get(settings.chat_model, self._model)
        turn = await build_turn(
            entry,
            self._store,
            self._picture_folder,
            capabilities=self._renderer.capabilities,
            profile=chat_model.profile,
            persona=settings.persona,
        )
        orders = ImageOrders(
            turn,
            entry,
            settings,
            show,
            store=self._store,
            renderer=self._renderer,
            refiner=PromptRefiner(chat_model, self._store.jobs, settings.refine),
            picture_folder=self._picture_folder,
            moderate=self._moderate,
            styles=self._commands.styles,
        )
        highest_number = turn.context().last_picture_number
        await answer(turn, RecordedAnswer(chat_model, self._store, entry.id, highest_number), orders, show)


def _stop_if_unreachable(running: RunningReply, task: "asyncio.Task[None]") -> None:
    """Stop a reply that cannot be displayed: nobody would see its images."""
    if not task.cancelled() and isinstance(error := task.exception(), Unreachable):
        running.stop(str(error))
