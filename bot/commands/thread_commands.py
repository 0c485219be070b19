"""The slash commands that act on a whole thread: `/cancel`, `/forget`, `/images` and `/export`."""

from collections.abc import Callable
from dataclasses import replace

from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.domain import MANAGER, ThreadKey
from bot.errors import Refused
from bot.formatting import format_count
from bot.ports import PictureFolder
from bot.settings.rules import scope_key
from bot.settings.values import Attachment, Command, CommandResponse, Scope
from bot.storage.picture_files import delete_unused_files
from bot.storage.store import Store

# Stops the open replies in a place, for a reason that users read, and returns their number. With a user id, only the
# replies to this user.
StopReplies = Callable[[ThreadKey, str, str], int]


class ThreadCommands:
    """Runs the commands that act on a whole thread, and passes all others on to `SlashCommands`."""

    def __init__(
        self,
        store: Store,
        commands: SlashCommands,
        picture_folder: PictureFolder,
        stop_replies: StopReplies,
        thread_export: ThreadExport | None = None,
    ) -> None:
        """Without `thread_export` there is no `/export`, and `/images` has no contact sheet."""
        self._store = store
        self._commands = commands
        self._picture_folder = picture_folder
        self._stop_replies = stop_replies
        self._thread_export = thread_export

    async def answer(self, command: Command) -> CommandResponse:
        """Run a command. Raises Refused, NotFound, StorageError and OSError."""
        match command.name:
            case "cancel":
                return self._cancel(command)
            case "forget":
                return await self._forget(command)
            case "images" | "pictures" if self._thread_export:
                return await self._show_images(command, self._thread_export)
            case "export" if self._thread_export:
                return await self._export(command, self._thread_export)
            case _:
                return self._commands.answer(command)

    def _cancel(self, command: Command) -> CommandResponse:
        """Stop the open replies to this user in this thread or place; with `all`, for managers, those to every user."""
        everybody = command.arguments.get("whose") == "all"
        if everybody and MANAGER not in command.author.roles:
            raise Refused("Only managers can cancel what others asked for.")
        reason = f"Cancelled by {command.author.name}."
        stopped = self._stop_replies(command.thread, reason, "" if everybody else command.author.id)
        return CommandResponse(
            f"Cancelled {format_count(stopped, 'reply', 'replies')}." if stopped else "Nothing is under way here."
        )

    async def _forget(self, command: Command) -> CommandResponse:
        """Forget the thread, or the user's own settings. Raises Refused for an empty, busy or foreign thread."""
        if command.arguments.get("what") == "settings":
            self._store.settings.reset(scope_key(Scope.PERSON, command.thread, command.author.id))
            return CommandResponse("Your own settings are forgotten: those of the server, channel and thread hold.")
        entries = self._store.entries(command.thread)
        if not entries:
            raise Refused("I remember nothing of this place: give the command in the thread that is to be forgotten.")
        if any(entry.author.id != command.author.id for entry in entries) and MANAGER not in command.author.roles:
            raise Refused("Others have spoken here too: only managers can have this thread forgotten.")
        if any(entry.view is None for entry in entries):
            raise Refused("Something is under way here still: cancel it first, or wait for it.")
        digests = self._store.forget(command.thread)
        left = await delete_unused_files(self._store, self._picture_folder, digests)
        pictures = format_count(len(digests), "picture")
        told = f"Forgotten: {format_count(len(entries), 'message')} and {pictures} of this thread."
        return CommandResponse(
            f"{told} {format_count(left, 'file')} could not be deleted: the log says why." if left else told
        )

    async def _show_images(self, command: Command, thread_export: ThreadExport) -> CommandResponse:
        """List the images of the thread, with a contact sheet."""
        answer, pictures = self._commands.answer(command), self._store.pictures(command.thread)
        if not pictures:
            return answer
        sheet = await thread_export.draw_contact_sheet(pictures)
        alt = f"{format_count(len(pictures), 'picture')}, with arrows from each to what came of it"
        return replace(answer, attachment=Attachment("pictures.png", sheet, alt))

    async def _export(self, command: Command, thread_export: ThreadExport) -> CommandResponse:
        """Pack the thread into a ZIP file."""
        entries, pictures = self._store.entries(command.thread), self._store.pictures(command.thread)
        if not entries:
            raise Refused("There is nothing to take away here: give the command in one of my threads.")
        packed = await thread_export.pack_zip(self._store.title(command.thread), entries, pictures)
        messages, images = format_count(len(entries), "message"), format_count(len(pictures), "picture")
        text = f"{messages} and {images}: unpack it, open index.html."
        return CommandResponse(text, attachment=Attachment("thread.zip", packed))
