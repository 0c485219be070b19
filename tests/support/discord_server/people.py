"""Actions of users in Discord: messages, presses, commands, forms, edits and deletions."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.discord_server import forms, payloads
from tests.support.discord_server.forms import Form
from tests.support.discord_server.gateway import GUILDS, Gateway
from tests.support.discord_server.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, Interaction, Interactions
from tests.support.discord_server.posting import Posting
from tests.support.discord_server.routes import direct, remove_channel
from tests.support.discord_server.state import (
    DEFAULT_PERMISSIONS,
    NOTHING,
    SYSTEM,
    TEXT,
    Channel,
    Guild,
    Json,
    Message,
    Permission,
    Person,
    Role,
    Upload,
    World,
    items,
)


class People:
    """The actions of users in a test; the bot gets the events that Discord would send."""

    def __init__(self, world: World, gateway: Gateway, posting: Posting, interactions: Interactions) -> None:
        self.world = world
        self.gateway = gateway
        self.posting = posting
        self.interactions = interactions

    @property
    def bot(self) -> Person:
        """The bot's own account."""
        return self.world.bot

    def person(self, name: str) -> Person:
        """A new person; they join a server when they first do something there."""
        return self.world.person(name)

    def guild(
        self,
        name: str = "Workshop",
        *,
        tier: int = 0,
        bot: Permission = DEFAULT_PERMISSIONS,
        people: Permission = DEFAULT_PERMISSIONS,
    ) -> Guild:
        """Create a server with the bot, and the permissions of the bot and of everybody."""
        owner = self.world.person(f"owner of {name}")
        identity = self.world.snowflake()
        guild = Guild(identity, name, owner, tier, [Role(identity, "@everyone", people)])
        self.world.guilds[identity] = guild
        guild.members[owner.id] = (owner, [])
        guild.members[self.bot.id] = (self.bot, [Role(self.world.snowflake(), "workshop", bot)])
        guild.roles += guild.members[self.bot.id][1]
        self.gateway.joined(guild)
        return guild

    def role(self, guild: Guild, name: str, permissions: Permission = NOTHING) -> Role:
        """A role of a server, for `join`."""
        role = Role(self.world.snowflake(), name, permissions)
        guild.roles.append(role)
        self.gateway.dispatch(
            "GUILD_ROLE_CREATE", {"guild_id": str(guild.id), "role": payloads.role(role)}, guild=guild.id, intent=GUILDS
        )
        return role

    def join(self, guild: Guild, person: Person, *roles: Role) -> None:
        """Let a user join a server, or get other roles there."""
        guild.members[person.id] = (person, list(roles))

    def channel(self, guild: Guild, name: str = "pictures", *, nsfw: bool = False) -> Channel:
        """A text channel."""
        channel = Channel(self.world.snowflake(), TEXT, name, guild, nsfw=nsfw)
        self.world.channels[channel.id] = channel
        self.gateway.tell_channel("CHANNEL_CREATE", channel)
        return channel

    def direct(self, person: Person) -> Channel:
        """Return the direct conversation between a user and the bot."""
        return direct(self.world, person.id)

    def deny(self, channel: Channel, permissions: Permission) -> None:
        """From now on the bot may not do that in a channel; `NOTHING` gives all back."""
        channel.denied = permissions
        self.gateway.tell_channel("CHANNEL_UPDATE", channel)

    def messages(self, channel: Channel) -> list[Message]:
        """Return the messages in a channel that everybody can see, oldest first."""
        return [message for message in channel.visible() if message.type not in SYSTEM]

    async def say(
        self,
        channel: Channel,
        person: Person,
        text: str,
        *,
        files: Sequence[Upload] = (),
        reference: int | None = None,
        ping: bool = True,
    ) -> Message:
        """Send a message, perhaps in reply to another, whose author is mentioned unless `ping` is off."""
        self._present(channel, person)
        body: Json = {"content": text, "allowed_mentions": {"parse": ["users"], "replied_user": ping}}
        if reference is not None:
            body["message_reference"] = {"message_id": reference}
        return self.posting.create(channel, person, body, files)

    async def edit(self, message: Message, text: str) -> Message:
        """The author changes the text."""
        return self.posting.edit(message, {"content": text}, ())

    async def delete(self, message: Message) -> None:
        """The author, or a moderator, deletes it."""
        self.posting.delete(message)

    async def open_thread(self, message: Message, person: Person, name: str) -> Channel:
        """Create a thread on a message."""
        return self.posting.open_thread(message, person, name)

    async def archive(self, thread: Channel, *, locked: bool = False) -> None:
        """The thread is closed."""
        thread.archived, thread.locked = True, locked
        self.gateway.tell_channel("THREAD_UPDATE", thread)

    async def remove_channel(self, channel: Channel) -> None:
        """The channel or thread is deleted."""
        remove_channel(self.gateway, channel)

    async def remove_guild(self, guild: Guild, *, outage: bool = False) -> None:
        """The bot is thrown out of a server, or the server is down."""
        output: Json = {"id": str(guild.id)} | ({"unavailable": True} if outage else {})
        if not outage:
            del self.world.guilds[guild.id]
        self.gateway.dispatch("GUILD_DELETE", output, guild=guild.id, intent=GUILDS)

    async def press(
        self, message: Message, custom_id: str, person: Person, *, values: Sequence[str] = ()
    ) -> Interaction:
        """Press a button, or choose in a menu; it must exist and be enabled."""
        if custom_id not in message.custom_ids:
            raise LookupError(f"no {custom_id!r} to press among {message.custom_ids}")
        self._present(message.channel, person)
        found = next(item for item in items(message.components) if item.get("custom_id") == custom_id)
        data: Json = {"custom_id": custom_id, "component_type": found["type"], "id": found["id"]}
        if found["type"] != 2:
            data["values"] = list(values)
        return self.interactions.begin(COMPONENT, message.channel, person, data, message)

    async def command(
        self, channel: Channel, person: Person, name: str, options: Mapping[str, Any] | None = None
    ) -> Interaction:
        """Give a slash command, `settings show` for a subcommand; options can be files and users."""
        self._present(channel, person)
        data = forms.command(Form(self.world, channel), name, options or {})
        return self.interactions.begin(COMMAND, channel, person, data)

    async def complete(self, channel: Channel, person: Person, name: str, options: Mapping[str, Any]) -> Interaction:
        """Type the last of the options, for autocomplete."""
        self._present(channel, person)
        data = forms.focused(forms.command(Form(self.world, channel), name, options))
        return self.interactions.begin(AUTOCOMPLETE, channel, person, data)

    async def command_on(self, message: Message, person: Person, name: str) -> Interaction:
        """Choose a command in the menu of a message."""
        self._present(message.channel, person)
        found = forms.registered(Form(self.world, message.channel), name, forms.ON_MESSAGE)
        data: Json = {"id": found["id"], "name": name, "type": forms.ON_MESSAGE, "target_id": str(message.id)}
        data["resolved"] = {"messages": {str(message.id): payloads.message(self.world, message)}}
        return self.interactions.begin(COMMAND, message.channel, person, data)

    async def submit_modal(self, opened: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Submit the form that was opened, by custom ids: a text, or a list of choices or files."""
        if opened.modal is None:
            raise LookupError("no form was opened")
        form = Form(self.world, opened.channel)
        components = [form.filled(one, values) for one in opened.modal["components"]]
        data: Json = {"custom_id": opened.modal["custom_id"], "components": components, "resolved": form.resolved}
        return self.interactions.begin(MODAL, opened.channel, opened.person, data, opened.source)

    def _present(self, channel: Channel, person: Person) -> None:
        if channel.guild is not None:
            channel.guild.members.setdefault(person.id, (person, []))
