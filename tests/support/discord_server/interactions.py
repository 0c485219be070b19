"""Interactions: how a press, a command or a form reaches the bot, and all the ways to answer it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.discord_server import payloads
from tests.support.discord_server.faults import Asked, Refused
from tests.support.discord_server.posting import Posting
from tests.support.discord_server.state import EPHEMERAL, LOADING, Channel, Json, Message, Person, World

COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5  # types of interactions
RESPONSE_TIMEOUT = 3.0  # seconds until the first answer
LIFETIME = 900.0  # seconds in which the token holds

Reply = tuple[int, object]


@dataclass(eq=False)
class Interaction:
    """One interaction, and the responses of the bot so far."""

    id: int
    token: str
    type: int
    channel: Channel
    person: Person
    source: Message | None = None  # where the button was
    began: float = field(default_factory=time.monotonic)
    answered: int | None = None  # the type of the first answer
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    modal: Json | None = None
    choices: list[Json] = field(default_factory=list)

    @property
    def thinking(self) -> bool:
        """Whether the person sees that the bot is thinking."""
        return self.original is not None and bool(self.original.flags & LOADING)

    @property
    def failed(self) -> bool:
        """Whether the person reads that the interaction failed."""
        return self.answered is None and time.monotonic() - self.began > RESPONSE_TIMEOUT

    def age(self, seconds: float) -> None:
        """Lets that much time go by for this interaction alone."""
        self.began -= seconds


@dataclass(eq=False)
class Interactions:
    """All interactions and their endpoints."""

    world: World
    posting: Posting
    begun: dict[str, Interaction] = field(default_factory=dict)

    def begin(
        self, kind: int, channel: Channel, person: Person, data: Json, source: Message | None = None
    ) -> Interaction:
        """Sends one to the bot."""
        identity = self.world.snowflake()
        one = Interaction(identity, f"token-{identity}", kind, channel, person, source)
        self.begun[one.token] = one
        self.posting.gateway.dispatch("INTERACTION_CREATE", self._drawn(one, data), guild=channel.guild_id)
        return one

    def routes(self) -> dict[str, Callable[[Asked], Reply]]:
        """The endpoints."""
        hook = "/webhooks/{webhook_id}/{webhook_token}"
        return {
            "POST /interactions/{interaction_id}/{interaction_token}/callback": self._callback,
            f"POST {hook}": self._follow_up,
            f"GET {hook}/messages/@original": self._get,
            f"PATCH {hook}/messages/@original": self._edit,
            f"DELETE {hook}/messages/@original": self._delete,
            f"GET {hook}/messages/{{message_id}}": self._get,
            f"PATCH {hook}/messages/{{message_id}}": self._edit,
            f"DELETE {hook}/messages/{{message_id}}": self._delete,
        }

    def _drawn(self, one: Interaction, data: Json) -> Json:
        channel, guild = one.channel, one.channel.guild
        may = str(int(self.world.may(one.person, channel)))
        drawn: Json = {
            "id": str(one.id),
            "application_id": str(self.world.bot.id),
            "type": one.type,
            "data": data,
            "channel": payloads.channel(self.world, channel) | {"permissions": may},
            "channel_id": str(channel.id),
            "token": one.token,
            "version": 1,
            "app_permissions": str(int(self.world.may(self.world.bot, channel))),
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(channel.guild_id or 0)},
            "context": 0 if guild else 1,
            "attachment_size_limit": channel.upload_limit,
        }
        if one.source is not None:
            drawn["message"] = payloads.message(self.world, one.source)
        person = payloads.user(one.person)
        if guild is None:
            return drawn | {"user": person}
        drawn |= {"guild_id": str(guild.id), "guild_locale": "en-US"}
        drawn["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
        return drawn | {"member": payloads.member(guild, one.person) | {"user": person, "permissions": may}}

    def _callback(self, asked: Asked) -> Reply:
        one = self.begun.get(asked.ids["interaction_token"])
        if one is None or str(one.id) != asked.ids["interaction_id"] or asked.at - one.began > RESPONSE_TIMEOUT:
            raise Refused(10062)
        if one.answered is not None:
            raise Refused(40060)
        kind, data = asked.body["type"], asked.body.get("data") or {}
        message = self._answer(one, kind, data, asked)
        one.answered = kind
        self.world.changed()
        if asked.query.get("with_response") not in ("1", "true"):
            return 204, None
        output: Json = {"id": str(one.id), "type": one.type}
        resource: Json = {"type": kind}
        if message is not None:
            output |= {"response_message_id": str(message.id), "response_message_ephemeral": message.ephemeral}
            output["response_message_loading"] = bool(message.flags & LOADING)
            resource["message"] = payloads.message(self.world, message)
        return 200, {"interaction": output, "resource": resource}

    def _answer(self, one: Interaction, kind: int, data: Json, asked: Asked) -> Message | None:
        match kind:
            case 4:
                one.original = self._create(one, data, asked)
            case 5:
                flags = LOADING | (data.get("flags", 0) & EPHEMERAL)
                one.original = self._create(one, {"flags": flags}, asked)
            case 6 if one.source is not None:
                one.original = one.source
                return None
            case 7 if one.source is not None:
                one.original = self.posting.edit(one.source, data, asked.uploads)
            case 8 if one.type == AUTOCOMPLETE:
                one.choices = data.get("choices") or []
                return None
            case 9 if one.type in (COMMAND, COMPONENT):
                one.modal = data
                return None
            case _:
                raise Refused(50035)
        return one.original

    def _create(self, one: Interaction, data: Json, asked: Asked) -> Message:
        name = "APPLICATION_COMMAND" if one.type == COMMAND else "MESSAGE_COMPONENT"
        output: Json = {"id": str(one.id), "type": one.type, "name": name, "user": payloads.user(one.person)}
        output["authorizing_integration_owners"] = {"0": str(one.channel.guild_id or 0)}
        if one.source is not None:
            output["interacted_message_id"] = str(one.source.id)
        return self.posting.create(one.channel, self.world.bot, data, asked.uploads, interaction=output)

    def _known(self, asked: Asked) -> Interaction:
        one = self.begun.get(asked.ids["webhook_token"])
        if one is None or asked.number("webhook_id") != self.world.bot.id:
            raise Refused(10015)
        if asked.at - one.began > LIFETIME:
            raise Refused(50027)
        if one.answered is None:
            raise Refused(10015)
        return one

    def _message(self, asked: Asked) -> Message:
        one = self._known(asked)
        wanted = asked.ids.get("message_id")
        found = [one.original] if wanted is None else [*one.followups, one.original]
        for message in found:
            if message is not None and wanted in (None, str(message.id)) and message.id in one.channel.everything:
                return message
        raise Refused(10008)

    def _follow_up(self, asked: Asked) -> Reply:
        one = self._known(asked)
        if one.thinking and one.original is not None:  # the first one takes the place of the thinking
            return 200, payloads.message(self.world, self.posting.edit(one.original, asked.body, asked.uploads))
        message = self._create(one, asked.body, asked)
        one.followups.append(message)
        self.world.changed()
        return 200, payloads.message(self.world, message)

    def _get(self, asked: Asked) -> Reply:
        return 200, payloads.message(self.world, self._message(asked))

    def _edit(self, asked: Asked) -> Reply:
        message = self.posting.edit(self._message(asked), asked.body, asked.uploads)
        return 200, payloads.message(self.world, message)

    def _delete(self, asked: Asked) -> Reply:
        self.posting.delete(self._message(asked))
        return 204, None
