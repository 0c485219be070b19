"""The slash commands, the same on every platform. Their answers are Markdown."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from bot.conversation.permissions import DAY, ranked
from bot.domain import MANAGER, ButtonPress, Message, Operation, Person, Picture, ThreadKey, Wish
from bot.errors import NotFound, Refused
from bot.formatting import about, count_of, moment, number_of
from bot.queue_status import Lineup, Standing
from bot.settings.rules import Models, address, check_rights, checked, known, resolved, shown
from bot.settings.styles import SHIPPED, Style
from bot.settings.values import Answer, Command, Panel, Scope, Settings
from bot.storage.store import Store

Event = TypeVar("Event")

LONGEST_PROMPT = 120  # characters of a prompt in a list

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


class Desk:
    """Runs the commands that only read the store or change settings."""

    def __init__(
        self,
        store: Store,
        *,
        lineup: Callable[[], Lineup] = Lineup,
        defaults: Settings | None = None,
        chat_models: Sequence[str] = (),
        note: str = "",
        styles: Mapping[str, Style] = SHIPPED,
    ) -> None:
        """`note` is the end of the help: how this bot is operated, if users must know that."""
        self._store = store
        self._lineup = lineup
        self._defaults = defaults or Settings()
        self._chat_models = tuple(chat_models)
        self.note = note
        self.styles = styles

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """The settings of this user in this thread."""
        return resolved(self._store.chosen.values(thread, author.id), self._defaults)

    def ranked(self, event: Event) -> Event:
        """The event, whose author has the role MANAGER if the settings make them one."""
        if not isinstance(event, Message | ButtonPress | Wish | Command):
            return event
        author = ranked(self.settings(event.thread, event.author), event.author)
        return event if author is event.author else replace(event, author=author)

    def models(self) -> Models:
        """The chat models, image models and styles that users can choose now."""
        drawing = dict.fromkeys(bench.model for bench in self._lineup().benches if bench.model)
        return Models(self._chat_models, tuple(drawing), tuple(self.styles))

    def answer(self, command: Command) -> Answer:
        """Run a command. Raises Refused, and NotFound for an unknown command or image."""
        match command.name:
            case "settings":
                return self._settings(command)
            case "queue":
                return Answer(_queue(self._lineup(), command))
            case "pictures":
                return Answer(self._pictures(command))
            case "details":
                return Answer(_details(self._picture(command)))
            case "usage":
                return Answer(self._usage(command))
            case "help":
                return Answer(f"{HELP}\n{self.note}".strip())
        raise NotFound(f"There is no command {command.name!r}.")

    def _settings(self, command: Command) -> Answer:
        """Show, set or reset settings, as the argument `do` says; the panel shows the scope afterwards."""
        told = command.arguments
        scope = _scope(told.get("scope") or Scope.PERSON)
        key, models = told.get("key", ""), self.models()
        if scope is Scope.THREAD and not command.thread.thread:
            raise Refused("This is no thread: give the command in the one that the settings are for.")
        category = self._store.chosen.category(command.thread)
        if scope is Scope.CATEGORY and not category:
            raise Refused("This channel is in no category, such as Discord has.")
        place = address(scope, command.thread, command.author.id, category)
        text = ""
        match told.get("do", "show"):
            case "set":
                check_rights(command.author, scope, self.settings(command.thread, command.author).changers, key)
                value = checked(key, told.get("value", ""), scope, models)
                self._store.chosen.choose(place, key, value)
                text = f"{known(key, scope).title} for {_where(scope)}: **{value or 'usual'}**."
            case "reset":
                check_rights(command.author, scope, self.settings(command.thread, command.author).changers, key)
                title = known(key, scope).title if key else "Everything"
                self._store.chosen.reset(place, key)
                text = f"{title} is as usual again for {_where(scope)}."
        values = self._store.chosen.values(command.thread, command.author.id)
        return Answer(text, Panel(scope, shown(scope, values, self._defaults, models), bool(category)))

    def _picture(self, command: Command) -> Picture:
        number = command.arguments.get("picture", "")
        picture = self._store.picture(command.thread, number_of(number))
        if picture is None:
            raise NotFound(f"There is no picture #{number[:9]} in this thread.")
        return picture

    def _pictures(self, command: Command) -> str:
        pictures = self._store.pictures(command.thread)
        if not pictures:
            return "There is no picture in this thread yet."
        return "\n".join(_tree(pictures))

    def _usage(self, command: Command) -> str:
        key, author = command.thread, command.author
        settings, used = self.settings(key, author), self._store.jobs.used_today(key, author.id)
        lines = [f"You: {self._drawn(key, author.id)}"]
        if settings.daily:
            free = f"; one is free {moment(used.next_mine + DAY)}" if used.mine >= settings.daily else ""
            lines.append(f"You may have {settings.daily:,} in 24 hours, and have used {used.mine:,}{free}.")
        if MANAGER in author.roles:
            lines.append(f"Everybody here: {self._drawn(key)}")
            if settings.server_daily:
                lines.append(f"All together may have {settings.server_daily:,}, and have used {used.ours:,}.")
        return "\n".join(lines)

    def _drawn(self, thread: ThreadKey, person: str = "") -> str:
        """Images and tokens of one user, or of a whole server, in the last day and in 30 days."""
        server, now = address(Scope.SERVER, thread, ""), time.time()
        day, month = (self._store.jobs.made(server, now - days * DAY, person) for days in (1, 30))
        told, said = self._store.spent(server, now - 30 * DAY, person)
        tokens = f"; about {told + said:,} tokens of the chat model" if told + said else ""
        return f"**{count_of(day, 'picture')}** in the last day, {month:,} in 30 days{tokens}."


def _scope(name: str) -> Scope:
    try:
        return Scope(name)
    except ValueError:
        raise Refused(f"Settings hold for {', '.join(Scope)}; not for {name[:50]!r}.") from None


def _where(scope: Scope) -> str:
    return "you" if scope is Scope.PERSON else f"this {scope}"


def _queue(lineup: Lineup, command: Command) -> str:
    """The length of the render queue and the positions of this user's images; no prompts or names of other users."""
    me = (command.thread.platform, command.author.id)
    mine = [each for each in lineup.standings if (each.thread.platform, each.owner) == me]
    running = sum(each.running for each in lineup.standings)
    lines = [f"{count_of(running, 'picture')} being drawn, {len(lineup.standings) - running:,} waiting."]
    lines += [f"- yours: {_stands(each)}" for each in mine[:10]]
    lines += [f"- {bench.name}: {bench.trouble}" for bench in lineup.benches if bench.trouble]
    if not lineup.benches:
        lines.append("- No picture model is at work yet.")
    return "\n".join(lines)


def _stands(each: Standing) -> str:
    if each.running:
        state = f"being drawn, {each.fraction:.0%}"
    else:
        state = f"{count_of(each.ahead, 'picture')} ahead of it" if each.ahead else "next"
    return f"#{each.number} {state}" + (f", done in {about(each.eta)}" if each.eta is not None else "")


def _details(picture: Picture) -> str:
    lines = [f"**#{picture.number}** · {_came(picture)} · {picture.width} × {picture.height}"]
    if picture.prompt:
        lines.append(f"Prompt: {_quoted(picture.prompt)}")
    if picture.refined:
        lines.append(f"Drawn from: {_quoted(picture.refined)}")
    if picture.seed is not None:
        lines.append(f"Seed: `{picture.seed}`")
    if picture.model:
        lines.append(f"Model: `{picture.model}`")
    if picture.way:
        lines.append(f"Made: {picture.way}")
    lines += picture.notes
    return "\n".join(lines)


def _quoted(words: str) -> str:
    return "`" + words.replace("`", "'").replace("\n", " ") + "`"


def _came(picture: Picture) -> str:
    of = f" of #{picture.parent}" if picture.parent else ""
    return f"{_WAYS[picture.operation]}{of}"


_WAYS: Mapping[Operation, str] = {
    Operation.GENERATE: "drawn",
    Operation.EDIT: "an edit",
    Operation.VARY: "a variation",
    Operation.REFINE: "a refinement",
    Operation.UPSCALE: "an enlargement",
    Operation.SELECT: "a choice",
    Operation.UPLOAD: "uploaded",
}


def _tree(pictures: Sequence[Picture]) -> list[str]:
    """A nested list: an image is below its source image."""
    known = {picture.number for picture in pictures}
    children: dict[int | None, list[Picture]] = {}
    for picture in pictures:
        children.setdefault(picture.parent if picture.parent in known else None, []).append(picture)
    lines: list[str] = []
    waiting = [(0, picture) for picture in reversed(children.get(None, []))]
    while waiting:
        depth, picture = waiting.pop()
        words = picture.prompt or picture.alt
        short = words if len(words) <= LONGEST_PROMPT else words[: LONGEST_PROMPT - 1] + "…"
        lines.append(f"{'  ' * min(depth, 5)}- **#{picture.number}** {_came(picture)}: {' '.join(short.split())}")
        waiting += [(depth + 1, child) for child in reversed(children.get(picture.number, []))]
    return lines
