"""Converts Slack payloads to domain values. Pure: makes no API calls."""

import html
import json
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bot.domain import (
    HIGHEST_SEED,
    IMAGE_TYPES,
    MANAGER,
    OWNER,
    Action,
    ImageRequest,
    Operation,
    Person,
    Sampling,
    ThreadKey,
)
from bot.errors import Refused
from bot.notices import listed
from bot.settings.values import ReplyMode, Scope

Body = dict[str, Any]  # the payload of a request from Slack

PLATFORM = "slack"
DIRECT = "direct"  # thread id of messages in a direct conversation outside any thread
USER_SUBTYPES = (None, "file_share", "thread_broadcast")  # subtypes of messages that users write
# Commands that users write in a message, as in threads, and their arguments; with any other text behind it, the
# message is not a command
WRITTEN_COMMANDS = {
    "settings": ("",),
    "queue": ("",),
    "cancel": ("", "all"),
    "images": ("",),
    "pictures": ("",),  # the old name of `images`
    "export": ("",),
    "usage": ("",),
    "forget": ("", "settings"),
    "help": ("",),
}

_USER = re.compile(r"<@([UW][A-Z0-9]+)(?:\|([^>]*))?>")
_CHANNEL = re.compile(r"<#C[A-Z0-9]+\|([^>]*)>")
_SPECIAL = re.compile(r"<!(subteam|date)?([^>|]*)(?:\|([^>]*))?>")
_LINK = re.compile(r"<((?:https?|mailto):[^>|]+)(?:\|([^>]*))?>")
_NUMBER = re.compile(r"#\d{1,6}\b")
_TEAM = re.compile(r"[A-Z0-9]{1,20}")
_TS = re.compile(r"\d{1,12}\.\d{1,9}")
_OPTION = re.compile(r"(?:^|\s)(?=(?:--|[—–])[a-z]+(?:\s|=|$))")  # phones replace two hyphens by a dash


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message of a user, from a Slack event. `ts` is unique within the channel."""

    team: str
    channel: str
    ts: str
    thread_ts: str | None
    user: str
    text: str
    is_direct: bool
    files: tuple[Mapping[str, Any], ...] = ()

    @property
    def id(self) -> str:
        """The id of the message in the core."""
        return message_id(self.channel, self.ts)

    @property
    def key(self) -> ThreadKey:
        """The thread of the message."""
        return thread_key(self.team, self.channel, self.thread_ts or (DIRECT if self.is_direct else self.ts))


def message(body: Mapping[str, Any], bot_user: str) -> SlackMessage | None:
    """Return the message of a `message` or `app_mention` event; None if the event has no message of a user."""
    event = body.get("event")
    if not isinstance(event, Mapping) or event.get("subtype") not in USER_SUBTYPES:
        return None
    user, channel, ts = event.get("user"), event.get("channel"), event.get("ts")
    known = isinstance(user, str) and isinstance(channel, str) and isinstance(ts, str) and _TS.fullmatch(ts)
    if event.get("bot_id") or event.get("bot_profile") or not known or user == bot_user or not user or not channel:
        return None
    team = str(body.get("team_id") or event.get("team") or "")
    if not _TEAM.fullmatch(team) or not _TEAM.fullmatch(channel):
        return None
    thread_ts = event.get("thread_ts")
    files = tuple(file for file in event.get("files") or () if isinstance(file, Mapping) and is_image(file))
    direct = event.get("channel_type") == "im" or channel.startswith("D")
    return SlackMessage(
        team, channel, str(ts), thread_ts if isinstance(thread_ts, str) and _TS.fullmatch(thread_ts) else None,
        str(user), str(event.get("text") or ""), direct, files,
    )  # fmt: skip


def mentions(text: str) -> list[str]:
    """Return the ids of the mentioned users."""
    return [user for user, _ in _USER.findall(text)]


def may_concern(received: SlackMessage, bot_user: str, is_own_thread: bool) -> bool:
    """Return whether the message can be for the bot, for any value of the setting `reply_mode`."""
    return received.is_direct or is_own_thread or bot_user in mentions(received.text)


def is_for_bot(received: SlackMessage, bot_user: str, reply_mode: ReplyMode, is_own_thread: bool) -> bool:
    """Return whether the message is for the bot, with this `reply_mode`."""
    named = mentions(received.text)
    called = bool(named) or any(kind != "date" for kind, *_ in _SPECIAL.findall(received.text))
    if received.is_direct or bot_user in named:
        return True
    if not is_own_thread or called or reply_mode is ReplyMode.NEVER or not (received.text.strip() or received.files):
        return False
    return reply_mode is ReplyMode.THREADS or bool(_NUMBER.search(received.text))


def text(raw: str, bot_user: str, names: Mapping[str, str]) -> str:
    """Return the text of a message: without the mention of the bot, with names for other mentions, unescaped once."""

    def user(match: re.Match[str]) -> str:
        return " " if match[1] == bot_user else f"@{names.get(match[1]) or match[2] or 'somebody'}"

    def special(match: re.Match[str]) -> str:
        kind, name, label = match.groups()
        if kind == "date":
            return label or "some day"
        return f"@{(label or name if kind else name or label or '').lstrip('@^')}"

    def link(match: re.Match[str]) -> str:
        return match[1] if not match[2] or match[2] in match[1] else f"{match[2]} ({match[1]})"

    words = _USER.sub(user, raw)
    words = _CHANNEL.sub(r"#\1", words)
    words = _LINK.sub(link, _SPECIAL.sub(special, words))
    return re.sub(r"[ \t]{2,}", " ", html.unescape(words)).strip()


def text_with_ids(raw: str, bot_user: str) -> str:
    """Return the text of a message with mentions by id, as settings that list users need it."""
    return html.unescape(_USER.sub(lambda match: " " if match[1] == bot_user else match[0], raw)).strip()


def command(text: str) -> tuple[str, str] | None:
    """Return the command of a message and the text behind it; None if the message is not a command."""
    name, _, rest = text.strip().partition(" ")
    name, rest = name.lower().removeprefix("!").removeprefix("/"), rest.strip()
    settings = name == "settings" and rest.split(" ")[0] in ("set", "reset", "show", *Scope)
    return (name, rest) if settings or rest.lower() in WRITTEN_COMMANDS.get(name, ()) else None


def arguments(name: str, rest: str) -> dict[str, str]:
    """Parse the arguments of a written command: `settings set ratio 16:9 channel`, `cancel all`, `forget settings`."""
    match name, rest.split():
        case "settings", ["set", key, *value]:
            last = value[-1] if len(value) > 1 else ""
            words = rest.split(maxsplit=2)[2] if value else ""
            scope = {"scope": last} if last in tuple(Scope) else {}
            return {"do": "set", "key": key, "value": words.removesuffix(last).strip() if scope else words} | scope
        case "settings", ["reset", *more]:
            return {"do": "reset", "key": more[0] if more else "", "scope": more[1] if len(more) > 1 else Scope.PERSON}
        case "settings", ["show", scope] | [scope]:
            return {"scope": scope}
        case "cancel", ["all"]:
            return {"whose": "all"}
        case "forget", ["settings"]:
            return {"what": "settings"}
    return {}


def changed_fields(view: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a form that the user changed, compared with the values that the form showed.

    The stored settings may have changed since then.
    """
    fields = [block["element"] for block in view.get("blocks") or () if block.get("type") == "input"]
    before = {
        str(each["action_id"]): str((each.get("initial_option") or {}).get("value") or each.get("initial_value") or "")
        for each in fields
    }
    return {
        key: value for key, value in form_values(view).items() if key in before and value.strip() != before[key].strip()
    }


IMAGINE_OPTIONS = ("ratio", "count", "model", "seed", "no")


def imagine(text: str) -> tuple[ImageRequest, int | None]:
    """Parse `a fox in snow --ratio 16:9 --count 2 --model m --seed 7 --no fog`.

    Return the image request and the count. Raises Refused.
    """
    prompt, *options = _OPTION.split(text.strip())
    values: dict[str, str] = {}
    for option in options:
        name, _, value = option.strip().lstrip("-—–").replace("=", " ", 1).partition(" ")
        if name not in IMAGINE_OPTIONS:
            raise Refused("slack-no-option", name=name[:20], options=listed(f"--{each}" for each in IMAGINE_OPTIONS))
        values[name] = " ".join(_unquote(value))
        if not values[name]:
            raise Refused("slack-option-empty", name=name)
    for name, digits in (("count", 9), ("seed", 10)):
        if name in values and not re.fullmatch(rf"\d{{1,{digits}}}", values[name], re.ASCII):
            raise Refused("slack-option-number", name=name, value=values[name][:20])
    if int(values.get("seed", 0)) > HIGHEST_SEED:
        raise Refused("slack-seed-too-large", maximum=str(HIGHEST_SEED), seed=values["seed"])
    if not prompt.strip():
        raise Refused("slack-imagine-empty")
    sampling = Sampling(
        seed=int(values["seed"]) if "seed" in values else None, aspect_ratio=values.get("ratio", ""),
        negative_prompt=values.get("no", ""), model=values.get("model", ""),
    )  # fmt: skip
    request = ImageRequest(0, Operation.GENERATE, prompt.strip(), sampling=sampling)
    return request, int(values["count"]) if "count" in values else None


def _unquote(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def is_image(file: Mapping[str, Any]) -> bool:
    """Return whether a file is an image, or has an id but no type yet: then `files.info` must be called."""
    kind = str(file.get("mimetype") or "").lower()
    gone = file.get("mode") in ("tombstone", "hidden_by_limit")
    return not gone and (kind.startswith("image/") or (not kind and bool(file.get("id"))))


def download_url(file: Mapping[str, Any]) -> str:
    """Return the address of the image; for a format that the bot cannot read, such as HEIC, of Slack's thumbnail."""
    known = str(file.get("mimetype") or "").lower() in IMAGE_TYPES
    names = ("url_private_download", "url_private") if known else ("thumb_1024", "thumb_960", "thumb_720", "thumb_480")
    return next((str(file[name]) for name in names if file.get(name)), "")


def is_trusted_url(url: str, api_url: str) -> bool:
    """Return whether the bot may send its token to this address: a server of Slack, or the server of `api_url`."""
    there, own = urlsplit(url), urlsplit(api_url)
    if (there.scheme, there.netloc) == (own.scheme, own.netloc):
        return True
    host = there.hostname or ""
    return there.scheme == "https" and (host == "slack.com" or host.endswith((".slack.com", ".slack-files.com")))


def thread_key(team: str, channel: str, thread: str) -> ThreadKey:
    """Return the key of a thread."""
    return ThreadKey(PLATFORM, team, channel, thread)


def message_id(channel: str, ts: str) -> str:
    """Return the id of a message in the core."""
    return f"{channel}-{ts}"


def post_id(channel: str, ts: str) -> str:
    """Return the id of a message in the table of posts."""
    return f"{PLATFORM}/{channel}/{ts}"


def person(user: Mapping[str, Any], groups: Collection[str] = ()) -> Person:
    """Return the user of a `users.info` response, with user groups as roles. Admins and owners are managers."""
    profile = user.get("profile") or {}
    name = (
        profile.get("display_name")
        or profile.get("real_name")
        or user.get("real_name")
        or user.get("name")
        or "Somebody"
    )
    owns = user.get("is_owner") or user.get("is_primary_owner")
    roles = ({MANAGER, OWNER} if owns else {MANAGER}) if owns or user.get("is_admin") else set()
    return Person(str(user.get("id", "")), str(name), frozenset({*roles, *groups}), str(user.get("locale") or ""))


@dataclass(frozen=True, slots=True)
class MessageRef:
    """The message on which a user acted, and the thread of that message. Outside of messages, `ts` is empty."""

    team: str
    channel: str
    ts: str
    thread_ts: str

    @property
    def is_direct(self) -> bool:
        """Whether the message is in a direct conversation."""
        return self.channel.startswith("D")

    @property
    def key(self) -> ThreadKey:
        """The thread of the message."""
        direct = self.is_direct and self.thread_ts == self.ts
        return thread_key(self.team, self.channel, DIRECT if direct else self.thread_ts)

    def __str__(self) -> str:
        return json.dumps([self.team, self.channel, self.ts, self.thread_ts])

    @classmethod
    def parse(cls, text: str) -> "MessageRef":
        """Parse the output of `str`, as it comes back in the private_metadata of a view. Raises ValueError."""
        team, channel, ts, thread_ts = json.loads(text)
        return cls(str(team), str(channel), str(ts), str(thread_ts))


def message_ref(body: Mapping[str, Any]) -> MessageRef | None:
    """Return the message of a button press or a shortcut; None if the payload has no message."""
    message = body.get("message") or {}
    channel = (body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id")
    team = (body.get("team") or {}).get("id") or (body.get("user") or {}).get("team_id")
    ts = message.get("ts") or (body.get("container") or {}).get("message_ts")
    if not channel or not team or not ts:
        return None
    thread_ts = message.get("thread_ts") or (body.get("container") or {}).get("thread_ts") or ts
    return MessageRef(str(team), str(channel), str(ts), str(thread_ts))


def action(action_id: str) -> Action | None:
    """Return the action of a button; None for a button that only this adapter handles."""
    name = action_id.removeprefix("mini:").partition(":")[0]
    return next((known for known in Action if known == name), None)


def picture_numbers(blocks: Any) -> list[int]:
    """Return the numbers of the images in a message of the bot, read from the Edit buttons."""
    values = [
        str(element.get("value"))
        for block in blocks or ()
        if isinstance(block, Mapping) and block.get("type") == "actions"
        for element in block.get("elements") or ()
        if str(element.get("action_id", "")).startswith("mini:edit")
    ]
    return [int(value) for value in values if value.isdecimal()]


def uploaded_images(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the image files of a message."""
    return (file for file in message.get("files") or () if isinstance(file, Mapping) and is_image(file))


def visible_images(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the image files of a message, and the files in the image blocks of a bot's message."""
    yield from uploaded_images(message)
    for block in message.get("blocks") or ():
        if isinstance(block, Mapping) and block.get("type") == "image" and (block.get("slack_file") or {}).get("id"):
            yield {"id": block["slack_file"]["id"]}


def form_values(view: Mapping[str, Any]) -> dict[str, str]:
    """Return the inputs and selected options of a modal by action_id."""
    values: dict[str, str] = {}
    for block in ((view.get("state") or {}).get("values") or {}).values():
        for name, each in block.items():
            chosen = each.get("selected_option") or {}
            values[name] = str(chosen.get("value") if chosen else each.get("value") or "")
    return values
