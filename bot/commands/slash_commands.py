"""The slash commands, the same on every platform. Their answers are Markdown."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.domain import MANAGER, ButtonPress, ImagineCommand, Message, Person, Picture, ThreadKey
from bot.errors import NotFound, Refused
from bot.formatting import describe_content, describe_operation, parse_picture_number, queue_position, truncate
from bot.notices import Notice, UserText, language_of, lines, listed, notice
from bot.queue_status import QueuedJob, QueueStatus
from bot.settings.roles import add_manager_role
from bot.settings.rules import (
    AvailableModels,
    check_may_change,
    find_setting,
    list_fields,
    resolve_settings,
    scope_key,
    scope_notice,
    validate_value,
    value_name,
)
from bot.settings.styles import BUILT_IN_STYLES, Style
from bot.settings.values import Command, CommandResponse, Scope, Settings, SettingsPanel
from bot.storage.store import Store
from bot.storage.usage import DAY

Event = TypeVar("Event")

MAX_LISTED_PROMPT = 120  # characters of a prompt in a list


class SlashCommands:
    """Runs the commands that only read the store or change settings."""

    def __init__(
        self,
        store: Store,
        *,
        queue_status: Callable[[], QueueStatus] = QueueStatus,
        defaults: Settings | None = None,
        chat_models: Sequence[str] = (),
        note: UserText = "",
        styles: Mapping[str, Style] = BUILT_IN_STYLES,
    ) -> None:
        """`note` is the end of the help: how this bot is operated, if users must know that."""
        self._store = store
        self._queue_status = queue_status
        self._defaults = defaults or Settings()
        self._chat_models = tuple(chat_models)
        self._note = note
        self.styles = styles

    def set_note(self, note: UserText) -> None:
        """Replace the end of the help: what users must know about how this bot is operated."""
        self._note = note

    def resolve_settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return resolve_settings(self._store.settings.values(thread, author.id), self._defaults_for(author))

    def _defaults_for(self, author: Person) -> Settings:
        """The defaults; the language is that of the user's locale on the platform, if the bot has it."""
        return replace(self._defaults, language=language_of(author.locale) or self._defaults.language)

    def add_manager_role(self, event: Event) -> Event:
        """The event, whose author has the role MANAGER if the settings make them one."""
        if not isinstance(event, Message | ButtonPress | ImagineCommand | Command):
            return event
        author = add_manager_role(self.resolve_settings(event.thread, event.author), event.author)
        return event if author is event.author else replace(event, author=author)

    def available_models(self) -> AvailableModels:
        """The chat models, image models and styles that users can choose now."""
        drawing = dict.fromkeys(worker.model for worker in self._queue_status().workers if worker.model)
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
                return CommandResponse(lines(filter(None, (notice("help"), self._note))))
        raise NotFound("no-such-command", name=command.name[:50])

    def _run_settings(self, command: Command) -> CommandResponse:
        """Show, set or reset settings, as the argument `do` says; the panel shows the scope afterwards."""
        arguments = command.arguments
        scope = _parse_scope(arguments.get("scope") or Scope.PERSON)
        key, models = arguments.get("key", ""), self.available_models()
        if scope is Scope.THREAD and not command.thread.thread:
            raise Refused("settings-no-thread")
        category = self._store.settings.category(command.thread)
        if scope is Scope.CATEGORY and not category:
            raise Refused("no-category")
        place = scope_key(scope, command.thread, command.author.id, category)
        text: UserText = ""
        match arguments.get("do", "show"):
            case "set":
                self._check_may_change(command, scope, key)
                setting = find_setting(key, scope)
                value = validate_value(key, arguments.get("value", ""), scope, models)
                self._store.settings.choose(place, setting.name, value)
                shown = value_name(setting.name, value)
                text = notice("setting-set", title=setting.title, scope=scope_notice(scope), value=shown)
            case "reset":
                self._check_may_change(command, scope, key)
                if key:
                    setting = find_setting(key, scope)
                    self._store.settings.reset(place, setting.name)
                    text = notice("setting-reset", title=setting.title, scope=scope_notice(scope))
                else:
                    self._store.settings.reset(place)
                    text = notice("settings-reset", scope=scope_notice(scope))
        values = self._store.settings.values(command.thread, command.author.id)
        return CommandResponse(
            text,
            SettingsPanel(
                scope, list_fields(scope, values, self._defaults_for(command.author), models), bool(category)
            ),
        )

    def _check_may_change(self, command: Command, scope: Scope, key: str) -> None:
        settings = self.resolve_settings(command.thread, command.author)
        check_may_change(command.author, scope, settings.who_can_edit_settings, key)

    def _find_picture(self, command: Command) -> Picture:
        number = command.arguments.get("picture", "")
        picture = self._store.picture(command.thread, parse_picture_number(number))
        if picture is None:
            raise NotFound("no-such-image", number=number[:9])
        return picture

    def _format_pictures(self, command: Command) -> UserText:
        pictures = self._store.pictures(command.thread)
        return lines(_format_tree(pictures)) if pictures else notice("no-images-yet")

    def _format_usage(self, command: Command) -> UserText:
        key, author = command.thread, command.author
        settings, used = self.resolve_settings(key, author), self._store.jobs.usage_today(key, author.id)
        answer = [notice("usage-own", usage=self._format_amounts(key, author.id))]
        if settings.daily_limit:
            limit = notice("images", count=settings.daily_limit)
            reached = used.by_user >= settings.daily_limit
            free = {"free": used.oldest_by_user + DAY} if reached else {}
            answer.append(
                notice("usage-limit-reached" if reached else "usage-limit", limit=limit, used=used.by_user, **free)
            )
        if MANAGER in author.roles:
            answer.append(notice("usage-everybody", usage=self._format_amounts(key)))
            if settings.server_daily_limit:
                limit = notice("images", count=settings.server_daily_limit)
                answer.append(notice("usage-server-limit", limit=limit, used=used.by_server))
        return lines(answer)

    def _format_amounts(self, thread: ThreadKey, person: str = "") -> Notice:
        """Images and tokens of one user, or of a whole server, in the last day and in 30 days."""
        server, now = scope_key(Scope.SERVER, thread, ""), time.time()
        day, month = (self._store.jobs.count_rendered(server, now - days * DAY, person) for days in (1, 30))
        tokens = sum(self._store.count_tokens(server, now - 30 * DAY, person))
        if tokens:
            return notice("usage-amount-tokens", day=notice("images", count=day), month=month, tokens=tokens)
        return notice("usage-amount", day=notice("images", count=day), month=month)


def _parse_scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise Refused("no-such-scope", scopes=listed(Scope), scope=name[:50]) from None


def _format_queue(queue_status: QueueStatus, command: Command) -> UserText:
    """The length of the render queue and the positions of this user's images; no prompts or names of other users."""
    me = (command.thread.platform, command.author.id)
    mine = [each for each in queue_status.jobs if (each.thread.platform, each.owner) == me]
    running = sum(each.running for each in queue_status.jobs)
    answer = [notice("queue-summary", running=running, waiting=len(queue_status.jobs) - running)]
    answer += [notice("queue-own", number=each.number, position=_format_position(each)) for each in mine[:10]]
    answer += [
        notice("queue-worker-problem", worker=each.name, problem=each.problem)
        for each in queue_status.workers
        if each.problem
    ]
    if not queue_status.workers:
        answer.append(notice("queue-no-worker"))
    return lines(answer)


def _format_position(each: QueuedJob) -> Notice:
    ready = None if each.eta is None else time.time() + each.eta
    if not each.running:
        return queue_position(each.ahead, ready)
    position = notice("position-running", fraction=each.fraction)
    return position if ready is None else notice("position-with-time", position=position, ready=ready)


def _format_details(picture: Picture) -> UserText:
    origin, size = describe_operation(picture), {"width": picture.width, "height": picture.height}
    answer: list[UserText] = [notice("details-image", number=picture.number, origin=origin, **size)]
    if picture.request.prompt:
        answer.append(notice("details-prompt", prompt=_quote(picture.request.prompt)))
    if picture.refined_prompt:
        answer.append(notice("details-improved-prompt", prompt=_quote(picture.refined_prompt)))
    if picture.request.sampling.seed is not None:
        answer.append(notice("details-seed", seed=picture.request.sampling.seed))
    if picture.model:
        answer.append(notice("details-model", model=picture.model))
    if picture.edit_method:
        answer.append(notice("details-method", method=picture.edit_method))
    return lines([*answer, *picture.notes])


def _quote(prompt: str) -> str:
    return "`" + prompt.replace("`", "'").replace("\n", " ") + "`"


def _format_tree(pictures: Sequence[Picture]) -> list[Notice]:
    """A nested list: an image is below its source image."""
    known = {picture.number for picture in pictures}
    children: dict[int | None, list[Picture]] = {}
    for picture in pictures:
        children.setdefault(picture.request.source if picture.request.source in known else None, []).append(picture)
    listed: list[Notice] = []
    waiting = [(0, picture) for picture in reversed(children.get(None, []))]
    while waiting:
        depth, picture = waiting.pop()
        prompt = describe_content(picture)
        short = truncate(prompt, MAX_LISTED_PROMPT) if isinstance(prompt, str) else prompt
        indent, origin = "  " * min(depth, 5), describe_operation(picture)
        listed.append(notice("tree-image", indent=indent, number=picture.number, origin=origin, prompt=short))
        waiting += [(depth + 1, child) for child in reversed(children.get(picture.number, []))]
    return listed
