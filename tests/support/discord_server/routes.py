"""The routes for the bot's token: channels, messages, threads, users and commands."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.discord_server import payloads
from tests.support.discord_server.faults import Asked, Refused
from tests.support.discord_server.gateway import Gateway
from tests.support.discord_server.interactions import Reply
from tests.support.discord_server.posting import Posting
from tests.support.discord_server.state import DIRECT, THREAD, Channel, Json, Message, Permission, World


@dataclass(eq=False)
class Routes:
    """The endpoints that want the bot's token, by the names that the OpenAPI document gives them."""

    world: World
    gateway: Gateway
    posting: Posting
    shards: int = 1

    def routes(self) -> dict[str, Callable[[Asked], Reply]]:
        """The endpoints."""
        one, messages = "/channels/{channel_id}", "/channels/{channel_id}/messages"
        commands, local = (
            "/applications/{application_id}/commands",
            "/applications/{application_id}/guilds/{guild_id}/commands",
        )
        return {
            "GET /gateway": self._gateway,
            "GET /gateway/bot": self._gateway,
            "GET /users/@me": self._me,
            "GET /oauth2/applications/@me": self._application,
            "GET /users/{user_id}": self._user,
            "GET /guilds/{guild_id}/members/{user_id}": self._member,
            "POST /users/@me/channels": self._direct,
            f"GET {one}": self._channel,
            f"PATCH {one}": self._change_channel,
            f"DELETE {one}": self._delete_channel,
            f"POST {one}/typing": self._type,
            f"GET {messages}": self._history,
            f"POST {messages}": self._post,
            f"GET {messages}/{{message_id}}": self._message,
            f"PATCH {messages}/{{message_id}}": self._edit,
            f"DELETE {messages}/{{message_id}}": self._delete,
            f"POST {messages}/{{message_id}}/threads": self._thread,
            "PUT /channels/{channel_id}/thread-members/@me": self._join,
            f"GET {commands}": self._commands,
            f"PUT {commands}": self._overwrite,
            f"GET {local}": self._commands,
            f"PUT {local}": self._overwrite,
        }

    def _gateway(self, asked: Asked) -> Reply:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": max(1, self.shards)}
        return 200, {"url": self.gateway.url, "shards": self.shards, "session_start_limit": limit}

    def _me(self, asked: Asked) -> Reply:
        return 200, payloads.user(self.world.bot)

    def _application(self, asked: Asked) -> Reply:
        output: Json = {"id": str(self.world.bot.id), "name": self.world.bot.name, "description": "", "icon": None}
        output |= {"bot_public": True, "bot_require_code_grant": False, "verify_key": "0", "flags": 0, "team": None}
        return 200, output | {"owner": payloads.user(self.world.bot)}

    def _user(self, asked: Asked) -> Reply:
        person = self.world.people.get(asked.number("user_id"))
        if person is None:
            raise Refused(10013)
        return 200, payloads.user(person)

    def _member(self, asked: Asked) -> Reply:
        guild = self.world.guilds.get(asked.number("guild_id"))
        if guild is None:
            raise Refused(10004)
        person = self.world.people.get(asked.number("user_id"))
        if person is None or person.id not in guild.members:
            raise Refused(10013)
        return 200, payloads.member(guild, person) | {"user": payloads.user(person)}

    def _direct(self, asked: Asked) -> Reply:
        person = self.world.people.get(int(asked.body["recipient_id"]))
        if person is None:
            raise Refused(10013)
        return 200, payloads.channel(self.world, direct(self.world, person.id))

    def _home(self, asked: Asked, *wanted: Permission) -> Channel:
        channel = self.world.channels.get(asked.number("channel_id"))
        if channel is None:
            raise Refused(10003)
        self.posting.require(channel, *wanted)
        return channel

    def _found(self, asked: Asked) -> Message:
        channel = self._home(asked)
        message = channel.everything.get(asked.number("message_id"))
        if message is None or message.ephemeral:
            raise Refused(10008)
        return message

    def _channel(self, asked: Asked) -> Reply:
        return 200, payloads.channel(self.world, self._home(asked))

    def _change_channel(self, asked: Asked) -> Reply:
        channel, body = self._home(asked), asked.body
        if channel.type == THREAD:
            self._change_thread(channel, body)
            self.gateway.tell_channel("THREAD_UPDATE", channel)
        else:
            self.posting.require(channel, Permission.MANAGE_CHANNELS)
            channel.name = body.get("name") or channel.name
            channel.nsfw = body.get("nsfw", channel.nsfw)
            self.gateway.tell_channel("CHANNEL_UPDATE", channel)
        return 200, payloads.channel(self.world, channel)

    def _change_thread(self, thread: Channel, body: Json) -> None:
        opens = body.get("archived") is False
        moderates = Permission.MANAGE_THREADS in self.world.may(self.world.bot, thread)
        if thread.archived and not opens:
            raise Refused(50083)
        if ("locked" in body or thread.locked or thread.owner is not self.world.bot) and not (
            moderates or set(body) == {"archived"}
        ):
            raise Refused(50013)
        if thread.locked and not moderates:
            raise Refused(50013)
        thread.name = body.get("name") or thread.name
        thread.archived = body.get("archived", thread.archived)
        thread.locked = body.get("locked", thread.locked)
        thread.archive_minutes = body.get("auto_archive_duration") or thread.archive_minutes

    def _delete_channel(self, asked: Asked) -> Reply:
        channel = self._home(asked, Permission.MANAGE_CHANNELS)
        drawn = payloads.channel(self.world, channel)
        remove_channel(self.gateway, channel)
        return 200, drawn

    def _type(self, asked: Asked) -> Reply:
        self.world.typing.append(self._home(asked))
        return 204, None

    def _history(self, asked: Asked) -> Reply:
        channel = self._home(asked)
        limit = int(asked.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise Refused(50035)
        if Permission.READ_MESSAGE_HISTORY not in self.world.may(self.world.bot, channel):
            return 200, []  # not refused: Discord shows nothing
        shown = _window(channel.visible(), asked.query, limit)
        return 200, [self._seen(message) for message in reversed(shown)]

    def _message(self, asked: Asked) -> Reply:
        message = self._found(asked)
        self.posting.require(message.channel, Permission.READ_MESSAGE_HISTORY)
        return 200, self._seen(message)

    def _seen(self, message: Message) -> Json:
        drawn = payloads.message(self.world, message)
        if message.channel.type == DIRECT or self.gateway.sees_content:
            return drawn
        return payloads.blanked(self.world, drawn)

    def _post(self, asked: Asked) -> Reply:
        return 200, payloads.message(self.world, self.posting.post(self._home(asked), asked.body, asked.uploads))

    def _edit(self, asked: Asked) -> Reply:
        message = self._found(asked)
        if message.author is not self.world.bot:
            raise Refused(50005)
        if asked.uploads:
            self.posting.require(message.channel, Permission.ATTACH_FILES)
        return 200, payloads.message(self.world, self.posting.edit(message, asked.body, asked.uploads))

    def _delete(self, asked: Asked) -> Reply:
        message = self._found(asked)
        if message.author is not self.world.bot:
            self.posting.require(message.channel, Permission.MANAGE_MESSAGES)
        if message.channel.archived:
            raise Refused(50083)
        self.posting.delete(message)
        return 204, None

    def _thread(self, asked: Asked) -> Reply:
        message = self._found(asked)
        self.posting.require(message.channel, Permission.CREATE_PUBLIC_THREADS)
        minutes = asked.body.get("auto_archive_duration") or 1440
        thread = self.posting.open_thread(message, self.world.bot, asked.body["name"], minutes)
        return 201, payloads.channel(self.world, thread)

    def _join(self, asked: Asked) -> Reply:
        self._home(asked)
        return 204, None

    def _commands(self, asked: Asked) -> Reply:
        return 200, self.world.commands.get(_scope(asked), [])

    def _overwrite(self, asked: Asked) -> Reply:
        scope = _scope(asked)
        common: Json = {"application_id": str(self.world.bot.id), "version": str(self.world.snowflake())}
        if scope is not None:
            common["guild_id"] = str(scope)
        drawn = [
            {"type": 1, "description": ""} | one | common | {"id": str(self.world.snowflake())} for one in asked.body
        ]
        self.world.commands[scope] = drawn
        return 200, drawn


def direct(world: World, person: int) -> Channel:
    """Return the direct conversation with a user; there is at most one."""
    for channel in world.channels.values():
        if channel.recipient is not None and channel.recipient.id == person:
            return channel
    channel = Channel(world.snowflake(), DIRECT, recipient=world.people[person])
    world.channels[channel.id] = channel
    return channel


def remove_channel(gateway: Gateway, channel: Channel) -> None:
    """The channel is gone, with its threads."""
    world = gateway.world
    for gone in [channel, *(found for found in world.channels.values() if found.parent is channel)]:
        world.channels.pop(gone.id, None)
    gateway.tell_channel("THREAD_DELETE" if channel.type == THREAD else "CHANNEL_DELETE", channel)


def _scope(asked: Asked) -> int | None:
    return asked.number("guild_id") if "guild_id" in asked.ids else None


def _window(messages: list[Message], query: dict[str, str], limit: int) -> list[Message]:
    """Oldest first, as many as wanted: after or before a message, or half and half around one."""
    match query:
        case {"after": after}:
            return [message for message in messages if message.id > int(after)][:limit]
        case {"before": before}:
            return [message for message in messages if message.id < int(before)][-limit:]
        case {"around": around}:
            older = [message for message in messages if message.id < int(around)][-(limit // 2) :]
            newer = [message for message in messages if message.id >= int(around)]
            return older + newer[: limit - len(older)]
        case _:
            return messages[-limit:]
