"""Channels, people and the workspace, as the bot may ask for them; reactions and statuses."""

from collections.abc import Callable
from typing import Any

from tests.support.slack_server import payloads
from tests.support.slack_server.faults import Call, Refused
from tests.support.slack_server.state import Channel, Json, Kind, Message, World

Method = Callable[[Call], Json]


def room(world: World, reference: str, *, inside: bool = True) -> Channel:
    """Return a channel that the bot can read; a private channel exists only for members."""
    channel = world.place(reference)
    member = channel is not None and world.bot.id in channel.members
    if channel is None or not (member or channel.kind is Kind.PUBLIC):
        raise Refused("channel_not_found")
    if channel.archived:
        raise Refused("is_archived")
    if inside and not member:
        raise Refused("not_in_channel")
    return channel


def found(channel: Channel, ts: object, code: str = "message_not_found") -> Message:
    """A message that is still there."""
    message = channel.log.get(str(ts))
    if message is None or message.deleted:
        raise Refused(code)
    return message


class Rooms:
    """Their methods."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.page = 100  # messages of one answer, at most

    def methods(self) -> dict[str, Method]:
        """The methods, by name."""
        return {
            "auth.test": self._auth,
            "team.info": lambda call: {"team": self._team()},
            "users.info": self._user,
            "usergroups.list": self._groups,
            "usergroups.users.list": self._grouped,
            "conversations.info": self._info,
            "conversations.open": self._open,
            "conversations.members": self._members,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "reactions.add": self._react,
            "reactions.remove": self._unreact,
            "assistant.threads.setStatus": self._status,
            "assistant.threads.setTitle": lambda call: self._thread(call) and {},
            "assistant.threads.setSuggestedPrompts": self._prompts,
            "agents.sessions.setStatus": self._session,
        }

    def _team(self) -> Json:
        return {"id": self.world.team_id, "name": "Workshop", "domain": self.world.domain}

    def _auth(self, call: Call) -> Json:
        bot, url = self.world.bot, f"https://{self.world.domain}.slack.com/"
        output = {"url": url, "team": "Workshop", "user": bot.name, "team_id": self.world.team_id}
        return output | {"user_id": bot.id, "bot_id": bot.bot_id, "is_enterprise_install": False}

    def _user(self, call: Call) -> Json:
        person = self.world.people.get(str(call.args["user"]))
        if person is None:
            raise Refused("user_not_found")
        return {"user": payloads.person(self.world, person)}

    def _groups(self, call: Call) -> Json:
        def flag(name: str) -> bool:
            return str(call.args.get(name, "")).lower() in ("true", "1")

        shown = [one for one in self.world.groups.values() if flag("include_disabled") or not one.disabled]
        return {"usergroups": [payloads.group(self.world, one, users=flag("include_users")) for one in shown]}

    def _grouped(self, call: Call) -> Json:
        group = self.world.groups.get(str(call.args["usergroup"]))
        if group is None:
            raise Refused("no_such_subteam")
        return {"users": [one.id for one in group.members]}

    def _info(self, call: Call) -> Json:
        return {"channel": payloads.channel(self.world, room(self.world, call.channel, inside=False))}

    def _open(self, call: Call) -> Json:
        names = [name for name in str(call.args.get("users") or "").split(",") if name]
        if not names and not call.channel:
            raise Refused("users_list_not_supplied")
        if any(name not in self.world.people for name in names):
            raise Refused("user_not_found")
        if len(names) < 2:
            channel = room(self.world, names[0] if names else call.channel)
        else:
            channel = self.world.channel("group", Kind.GROUP, *(self.world.people[name] for name in names))
        return {"channel": {"id": channel.id}}

    def _members(self, call: Call) -> Json:
        return {"members": list(room(self.world, call.channel).members), "response_metadata": {"next_cursor": ""}}

    def _history(self, call: Call) -> Json:
        channel = room(self.world, call.channel)
        shown = [one for one in channel.visible() if one.thread_ts is None or one.broadcast]
        return self._paged(call, shown[::-1])

    def _replies(self, call: Call) -> Json:
        channel = room(self.world, call.channel)
        parent = channel.log.get(str(call.args["ts"]))
        if parent is None:
            raise Refused("thread_not_found")
        return self._paged(call, [one for one in channel.visible() if one.thread == parent.thread])

    def _paged(self, call: Call, messages: list[Message]) -> Json:
        oldest, latest = str(call.args.get("oldest") or "0"), str(call.args.get("latest") or "9" * 20)
        inclusive = str(call.args.get("inclusive", "")).lower() in ("true", "1")
        within = [one for one in messages if oldest < one.ts < latest or (inclusive and one.ts in (oldest, latest))]
        try:
            start = int(str(call.args.get("cursor") or "0"))
        except ValueError:
            raise Refused("invalid_cursor") from None
        end = start + min(int(call.args.get("limit") or self.page), self.page)
        output: Json = {"messages": [payloads.message(self.world, one) for one in within[start:end]]}
        more = end < len(within)
        return output | {"has_more": more, "response_metadata": {"next_cursor": str(end) if more else ""}}

    def _react(self, call: Call) -> Json:
        who = self._reaction(call)
        if self.world.bot.id in who:
            raise Refused("already_reacted")
        who.append(self.world.bot.id)
        return {}

    def _unreact(self, call: Call) -> Json:
        who = self._reaction(call)
        if self.world.bot.id not in who:
            raise Refused("no_reaction")
        who.remove(self.world.bot.id)
        return {}

    def _reaction(self, call: Call) -> list[str]:
        message = found(room(self.world, call.channel), call.args.get("timestamp"))
        return message.reactions.setdefault(str(call.args["name"]), [])

    def _thread(self, call: Call) -> tuple[str, str]:
        channel = room(self.world, call.channel)
        ts = str(call.args.get("thread_ts") or "")
        if ts and ts not in channel.log:
            raise Refused("invalid_thread_ts")
        return channel.id, ts

    def _status(self, call: Call) -> Json:
        self.world.statuses[self._thread(call)] = str(call.args["status"])
        return {}

    def _prompts(self, call: Call) -> Json:
        prompts: Any = call.args["prompts"]
        if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
            raise Refused("invalid_arguments", "prompts: 1 to 4 of them")
        self.world.prompts[self._thread(call)] = prompts
        return {}

    def _session(self, call: Call) -> Json:
        place = self._thread(call)
        if not place[1]:
            raise Refused("thread_ts_required")
        self.world.sessions[place] = str(call.args["status"])
        return {}
