"""The slash commands that act on a whole thread: `/cancel`, `/forget`, `/images` and `/export`."""

from collections.abc import Callable
from dataclasses import replace

from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.domain import MANAGER, ThreadKey
from bot.errors import Refused
from bot.notices import UserText, notice
from bot.ports import PictureFolder
from bot.settings.rules import scope_key
from bot.settings.values import Attachment, Command, CommandResponse, Scope
from bot.storage.picture_files import delete_unused_files
from bot.storage.store import Store

# Stops the open replies in a place, for a reason that users read, and returns their number. With a user id, only the
# replies to this user.
StopReplies = Callable[[ThreadKey, UserText, str], int]


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
            raise Refused("cancel-all-for-managers")
        reason = notice("cancelled-by", name=command.author.name)
        stopped = self._stop_replies(command.thread, reason, "" if everybody else command.author.id)
        return CommandResponse(notice("replies-cancelled", count=stopped) if stopped else notice("nothing-to-cancel"))

    async def _forget(self, command: Command) -> CommandResponse:
        """Forget the thread, or the user's own settings. Raises Refused for an empty, busy or foreign thread."""
        if command.arguments.get("what") == "settings":
            self._store.settings.reset(scope_key(Scope.PERSON, command.thread, command.author.id))
            return CommandResponse(notice("settings-forgotten"))
        entries = self._store.entries(command.thread)
        if not entries:
            raise Refused("nothing-to-forget")
        if any(entry.author.id != command.author.id for entry in entries) and MANAGER not in command.author.roles:
            raise Refused("forget-for-managers")
        if any(entry.view is None for entry in entries):
            raise Refused("forget-busy")
        digests = self._store.forget(command.thread)
        left = await delete_unused_files(self._store, self._picture_folder, digests)
        messages, images = notice("messages", count=len(entries)), notice("images", count=len(digests))
        if left:
            answer = notice("thread-forgotten-files-left", messages=messages, images=images, count=left)
            return CommandResponse(answer)
        return CommandResponse(notice("thread-forgotten", messages=messages, images=images))

    async def _show_images(self, command: Command, thread_export: ThreadExport) -> CommandResponse:
        """List the images of the thread, with a contact sheet."""
        answer, pictures = self._commands.answer(command), self._store.pictures(command.thread)
        if not pictures:
            return answer
        sheet = await thread_export.draw_contact_sheet(pictures)
        alt = notice("contact-sheet-alt", images=notice("images", count=len(pictures)))
        return replace(answer, attachment=Attachment("pictures.png", sheet, alt))

    async def _export(self, command: Command, thread_export: ThreadExport) -> CommandResponse:
        """Pack the thread into a ZIP file."""
        entries, pictures = self._store.entries(command.thread), self._store.pictures(command.thread)
        if not entries:
            raise Refused("nothing-to-export")
        packed = await thread_export.pack_zip(self._store.title(command.thread), entries, pictures)
        messages, images = notice("messages", count=len(entries)), notice("images", count=len(pictures))
        exported = notice("thread-exported", messages=messages, images=images)
        return CommandResponse(exported, attachment=Attachment("thread.zip", packed))
