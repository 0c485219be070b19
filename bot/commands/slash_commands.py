"""The slash commands, the same on every platform. Their answers are Markdown."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.domain import MANAGER, ButtonPress, ImagineCommand, Message, Operation, Person, Picture, ThreadKey
from bot.errors import NotFound, Refused
from bot.formatting import format_count, format_estimate, parse_picture_number, time_marker
from bot.queue_status import QueuedJob, QueueStatus
from bot.settings.roles import add_manager_role
from bot.settings.rules import (
    AvailableModels,
    check_may_change,
    find_setting,
    list_fields,
    resolve_settings,
    scope_key,
    validate_value,
)
from bot.settings.styles import BUILT_IN_STYLES, Style
from bot.settings.values import Command, CommandResponse, Scope, Settings, SettingsPanel
from bot.storage.store import Store
from bot.storage.usage import DAY

Event = TypeVar("Event")

MAX_LISTED_PROMPT = 120  # characters of a prompt in a list

HELP = """\
**Ask me for pictures in plain words**, and talk on: “draw a red cat in the snow”, “make it blue”, “more like #2”.
- Mention me in a channel; in my threads and in direct messages there is no need to.
- Reply to a picture to change that very picture. Send pictures along, or a link to a message that has some.
- **Below each picture**: Vary, Edit, Upscale, Redo, Details, Delete. Stop ends an answer.
- `/imagine` draws at once, past the chat model; `/pictures` shows how this thread's pictures come of each other, \
and `/export` packs it all.
- `/settings` says who talks, who draws and how, for you, a thread, a channel or the server.
- `/queue` and `/cancel` are about what is under way, `/usage` about what was drawn, `/forget` about what I remember.\
"""


class SlashCommands:
    """Runs the commands that only read the store or change settings."""

    def __init__(
        self,
        store: Store,
        *,
        queue_status: Callable[[], QueueStatus] = QueueStatus,
        defaults: Settings | None = None,
        chat_models: Sequence[str] = (),
        note: str = "",
        styles: Mapping[str, Style] = BUILT_IN_STYLES,
    ) -> None:
        """`note` is the end of the help: how this bot is operated, if users must know that."""
        self._store = store
        self._queue_status = queue_status
        self._defaults = defaults or Settings()
        self._chat_models = tuple(chat_models)
        self._note = note
        self.styles = styles

    def set_note(self, note: str) -> None:
        """Replace the end of the help: what users must know about how this bot is operated."""
        self._note = note

    def resolve_settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return resolve_settings(self._store.settings.values(thread, author.id), self._defaults)

    def add_manager_role(self, event: Event) -> Event:
        """The event, whose author has the role MANAGER if the settings make them one."""
        if not isinstance(event, Message | ButtonPress | ImagineCommand | Command):
            return event
        author = add_manager_role(self.resolve_settings(event.thread, event.author), event.author)
        return event if author is event.author else replace(event, author=author)

    def available_models(self) -> AvailableModels:
        """The chat models, image models and styles that users can choose now."""
        drawing = dict.fromkeys(bench.model for bench in self._queue_status().workers if bench.model)
        return AvailableModels(self._chat_models, tuple(drawing), tuple(self.styles))

    def answer(self, command: Command) -> CommandResponse:
        """Run a command. Raises Refused, and NotFound for an unknown command or image."""
        match command.name:
            case "settings":
                return self._run_settings(command)
            case "queue":
                return CommandResponse(_format_queue(self._queue_status(), command))
            case "images" | "pictures":  # the old name, which users still type
                return CommandResponse(self._format_pictures(command))
            case "details":
                return CommandResponse(_format_details(self._find_picture(command)))
            case "usage":
                return CommandResponse(self._format_usage(command))
            case "help":
                return CommandResponse(f"{HELP}\n{self._note}".strip())
        raise NotFound(f"There is no command {command.name!r}.")

    def _run_settings(self, command: Command) -> CommandResponse:
        """Show, set or reset settings, as the argument `do` says; the panel shows the scope afterwards."""
        told = command.arguments
        scope = _parse_scope(told.get("scope") or Scope.PERSON)
        key, models = told.get("key", ""), self.available_models()
        if scope is Scope.THREAD and not command.thread.thread:
            raise Refused("This is no thread: give the command in the one that the settings are for.")
        category = self._store.settings.category(command.thread)
        if scope is Scope.CATEGORY and not category:
            raise Refused("This channel is in no category, such as Discord has.")
        place = scope_key(scope, command.thread, command.author.id, category)
        text = ""
        match told.get("do", "show"):
            case "set":
                check_may_change(
                    command.author, scope, self.resolve_settings(command.thread, command.author).changers, key
                )
                value = validate_value(key, told.get("value", ""), scope, models)
                self._store.settings.choose(place, key, value)
                text = f"{find_setting(key, scope).title} for {_format_scope(scope)}: **{value or 'usual'}**."
            case "reset":
                check_may_change(
                    command.author, scope, self.resolve_settings(command.thread, command.author).changers, key
                )
                title = find_setting(key, scope).title if key else "Everything"
                self._store.settings.reset(place, key)
                text = f"{title} is as usual again for {_format_scope(scope)}."
        values = self._store.settings.values(command.thread, command.author.id)
        return CommandResponse(
            text, SettingsPanel(scope, list_fields(scope, values, self._defaults, models), bool(category))
        )

    def _find_picture(self, command: Command) -> Picture:
        number = command.arguments.get("picture", "")
        picture = self._store.picture(command.thread, parse_picture_number(number))
        if picture is None:
            raise NotFound(f"There is no picture #{number[:9]} in this thread.")
        return picture

    def _format_pictures(self, command: Command) -> str:
        pictures = self._store.pictures(command.thread)
        if not pictures:
            return "There is no picture in this thread yet."
        return "\n".join(_format_tree(pictures))

    def _format_usage(self, command: Command) -> str:
        key, author = command.thread, command.author
        settings, used = self.resolve_settings(key, author), self._store.jobs.usage_today(key, author.id)
        lines = [f"You: {self._format_amounts(key, author.id)}"]
        if settings.daily:
            free = f"; one is free {time_marker(used.oldest_by_user + DAY)}" if used.by_user >= settings.daily else ""
            lines.append(f"You may have {settings.daily:,} in 24 hours, and have used {used.by_user:,}{free}.")
        if MANAGER in author.roles:
            lines.append(f"Everybody here: {self._format_amounts(key)}")
            if settings.server_daily:
                lines.append(f"All together may have {settings.server_daily:,}, and have used {used.by_server:,}.")
        return "\n".join(lines)

    def _format_amounts(self, thread: ThreadKey, person: str = "") -> str:
        """Images and tokens of one user, or of a whole server, in the last day and in 30 days."""
        server, now = scope_key(Scope.SERVER, thread, ""), time.time()
        day, month = (self._store.jobs.count_rendered(server, now - days * DAY, person) for days in (1, 30))
        told, said = self._store.count_tokens(server, now - 30 * DAY, person)
        tokens = f"; about {told + said:,} tokens of the chat model" if told + said else ""
        return f"**{format_count(day, 'picture')}** in the last day, {month:,} in 30 days{tokens}."


def _parse_scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise Refused(f"Settings hold for {', '.join(Scope)}; not for {name[:50]!r}.") from None


def _format_scope(scope: Scope) -> str:
    return "you" if scope is Scope.PERSON else f"this {scope}"


def _format_queue(queue_status: QueueStatus, command: Command) -> str:
    """The length of the render queue and the positions of this user's images; no prompts or names of other users."""
    me = (command.thread.platform, command.author.id)
    mine = [each for each in queue_status.jobs if (each.thread.platform, each.owner) == me]
    running = sum(each.running for each in queue_status.jobs)
    lines = [f"{format_count(running, 'picture')} being drawn, {len(queue_status.jobs) - running:,} waiting."]
    lines += [f"- yours: {_format_position(each)}" for each in mine[:10]]
    lines += [f"- {bench.name}: {bench.problem}" for bench in queue_status.workers if bench.problem]
    if not queue_status.workers:
        lines.append("- No picture model is at work yet.")
    return "\n".join(lines)


def _format_position(each: QueuedJob) -> str:
    if each.running:
        state = f"being drawn, {each.fraction:.0%}"
    else:
        state = f"{format_count(each.ahead, 'picture')} ahead of it" if each.ahead else "next"
    return f"#{each.number} {state}" + (f", done in {format_estimate(each.eta)}" if each.eta is not None else "")


def _format_details(picture: Picture) -> str:
    lines = [f"**#{picture.number}** · {_format_origin(picture)} · {picture.width} × {picture.height}"]
    if picture.request.prompt:
        lines.append(f"Prompt: {_quote(picture.request.prompt)}")
    if picture.refined_prompt:
        lines.append(f"Drawn from: {_quote(picture.refined_prompt)}")
    if picture.request.sampling.seed is not None:
        lines.append(f"Seed: `{picture.request.sampling.seed}`")
    if picture.model:
        lines.append(f"Model: `{picture.model}`")
    if picture.edit_method:
        lines.append(f"Made: {picture.edit_method}")
    lines += picture.notes
    return "\n".join(lines)


def _quote(words: str) -> str:
    return "`" + words.replace("`", "'").replace("\n", " ") + "`"


def _format_origin(picture: Picture) -> str:
    of = f" of #{picture.request.source}" if picture.request.source else ""
    return f"{_OPERATION_PHRASES[picture.request.operation]}{of}"


_OPERATION_PHRASES: Mapping[Operation, str] = {
    Operation.GENERATE: "drawn",
    Operation.EDIT: "an edit",
    Operation.VARY: "a variation",
    Operation.REFINE: "a refinement",
    Operation.UPSCALE: "an enlargement",
    Operation.SELECT: "a choice",
    Operation.UPLOAD: "uploaded",
}


def _format_tree(pictures: Sequence[Picture]) -> list[str]:
    """A nested list: an image is below its source image."""
    known = {picture.number for picture in pictures}
    children: dict[int | None, list[Picture]] = {}
    for picture in pictures:
        children.setdefault(picture.request.source if picture.request.source in known else None, []).append(picture)
    lines: list[str] = []
    waiting = [(0, picture) for picture in reversed(children.get(None, []))]
    while waiting:
        depth, picture = waiting.pop()
        words = picture.request.prompt or picture.alt
        short = words if len(words) <= MAX_LISTED_PROMPT else words[: MAX_LISTED_PROMPT - 1] + "…"
        lines.append(
            f"{'  ' * min(depth, 5)}- **#{picture.number}** {_format_origin(picture)}: {' '.join(short.split())}"
        )
        waiting += [(depth + 1, child) for child in reversed(children.get(picture.number, []))]
    return lines
