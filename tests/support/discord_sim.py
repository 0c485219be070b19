"""The harness of the Discord adapter in a simulated Discord, with a scripted chat model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import simcord
from simcord.backend.models import AllowedMentions, Overwrite
from simcord.backend.serializers import message_payload, user_payload
from simcord.enums import InteractionType, OverwriteType
from simcord.http.router import route
from simcord.http.routes.interactions import edit_original_response
from simcord.interactions import base_payload
from simcord.results import InteractionResult

from adapters.discord.client import Client
from adapters.discord.platform import Account, Discord
from bot.domain import Entry, Incoming, Person, ThreadKey, View
from bot.ports import Inbox, Surface
from bot.settings.values import Command, CommandResponse, Settings
from tests.support.discord_bodies import violations
from tests.support.scripted_bot import Script, ScriptedBot

# discord.py writes it so where it edits by a webhook, and Discord reads it
route("PATCH", "/webhooks/{webhook_id}/{token}/messages/%40original")(edit_original_response)


class SeparateInbox:
    """An inbox that runs outside the simulation, so that the simulation does not wait for replies."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._events: asyncio.Queue[tuple[Incoming, asyncio.Future[str]]] = asyncio.Queue()

    async def run(self) -> None:
        """Hand the events over. Start this outside the simulation."""
        while True:
            event, done = await self._events.get()
            try:
                done.set_result(await self._inbox.accept(event))
            except Exception as error:
                done.set_exception(error)

    async def accept(self, event: Incoming) -> str:
        """Forward to the inbox."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._events.put_nowait((event, done))
        return await done

    def settings(self, thread: ThreadKey, author: Person) -> Settings:
        """Forward to the inbox."""
        return self._inbox.settings(thread, author)

    async def run_command(self, command: Command) -> CommandResponse:
        """Forward to the inbox."""
        return await self._inbox.run_command(command)


class SimulatedPlatform:
    """A platform on the simulated account, which reports every view that is shown."""

    def __init__(self, bot: "SimulatedBot", platform: Discord) -> None:
        self._bot, self._platform = bot, platform

    async def run(self, inbox: Inbox) -> None:
        """Wait: the simulation delivers the events."""
        await asyncio.Event().wait()

    def surface(self, thread: ThreadKey, message_id: str) -> Surface:
        """Return the surface of the account, watched."""
        return SimulatedSurface(self._bot, self._platform.surface(thread, message_id))


class SimulatedSurface:
    """A surface that lets `until` check its condition after each view."""

    pause = 0.0

    def __init__(self, bot: "SimulatedBot", surface: Surface) -> None:
        self._bot, self._surface = bot, surface

    async def put(self, view: View) -> None:
        """Show the view, and notify."""
        self._bot.putting += 1
        try:
            with self._bot.env.time_context():  # which also brings the simulation's own way to webhooks
                await self._surface.put(view)
        finally:
            self._bot.putting -= 1
            self._bot.changed()


class SimulatedBot(ScriptedBot):
    """A bot in a simulated server with a channel and three people; Bob may manage messages."""

    platform_name = "discord"
    env: Any = None
    client: Client = None  # type: ignore[assignment]
    guild: Any = None
    channel: Any = None
    ann: Any = None
    bob: Any = None
    cid: Any = None

    def __init__(self, folder: Path, scripts: Sequence[Script], *, content: bool) -> None:
        """`content` says whether the bot has the intent to read messages that do not mention it."""
        super().__init__(folder, scripts, self.changed)
        self.content = content
        self.refused: list[int] = []  # the sizes of files that were refused
        self.putting = 0  # surfaces that are showing a view
        self._news = asyncio.Event()

    def changed(self) -> None:
        """Let each `until` check its condition again."""
        self._news.set()
        self._news = asyncio.Event()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the value of the condition as soon as it is true; asked after each view and each final reply."""
        while not (value := condition()) or self.putting:
            await self._news.wait()
        await self.env.settle()
        return value

    def start(self) -> Client:
        """Create a new bot on the same database, with a running inbox; it is not connected yet."""
        platform = Discord(
            Account("token", message_content=self.content),
            self.store,
            self.store.posts,
            self.files.read,
            guild_ready_timeout=0.01,
            rate=(10_000, 1),
        )
        inbox = SeparateInbox(self.create_inbox())
        self.client = platform.create_client(inbox)
        work = self.inbox.run({"discord": SimulatedPlatform(self, platform)}), inbox.run()
        self._work = {asyncio.create_task(each) for each in work}
        return self.client

    async def restart(self) -> None:
        """Stop the bot and start another one on the same database."""
        await self.close()
        await self.env.restart_bot(self.start())

    def absent(self) -> None:
        """Let no event reach the bot until it is started again."""
        self.env.backend.subscribers.clear()

    @property
    def me(self) -> int:
        """The user id of the bot."""
        return self.env.backend.bot_user.id  # type: ignore[no-any-return]

    async def ask(self, words: str = "draw a sun", who: Any = None, channel: Any = None, **more: Any) -> Any:
        """Mention the bot in a channel, and return the message without waiting for the reply."""
        return await (who or self.ann).send(channel or self.channel, f"<@{self.me}> {words}", **more)

    async def draw(self, words: str = "draw a sun", who: Any = None, channel: Any = None, **more: Any) -> Any:
        """Request an image in a channel; return the thread of the reply when it is final."""
        asked = await self.ask(words, who, channel, **more)
        await self.final(asked.id)
        return self.thread(asked.id, channel)

    def thread(self, message_id: int, channel: Any = None) -> Any:
        """Return the thread that was created on a message."""
        return next(thread for thread in (channel or self.channel).threads if thread.id == message_id)

    async def say(self, channel: Any, words: str, who: Any = None, **more: Any) -> Entry:
        """Send a message without a mention; return the stored message when the reply is final."""
        said = await (who or self.ann).send(channel, words, **more)
        return await self.final(said.id)

    async def reply(self, message: Any, words: str, who: Any = None) -> Entry:
        """Reply to a message without a ping; return the stored message when the reply is final."""
        return await self.final((await self.quietly(message, words, who)).id)

    async def quietly(self, message: Any, words: str, who: Any = None) -> Any:
        """Reply to a message without a ping."""
        reference = {"channel_id": str(message.channel.id), "message_id": str(message.id)}
        quiet = AllowedMentions(replied_user=False)
        said = self.env.backend.create_message(
            message.channel.id, (who or self.ann).id, words, reference=reference, allowed_mentions=quiet
        )
        await self.env.settle()
        return said

    def entries(self) -> list[Entry]:
        """Return all stored messages, in the order in which they arrived."""
        return sorted(super().entries(), key=lambda entry: int(entry.id))

    async def command_named(self, name: str) -> dict[str, Any]:
        """Return the data with which an interaction names its command."""
        found = self.env.backend.find_command(name, None)
        return {"id": found["id"], "name": name, "type": 1}

    async def carried(self, who: Any, place: str, **data: Any) -> Any:
        """Give a command of a user install in a direct message to a `friend`, a `group` or a `server` without the bot.

        The simulation has no such places: the interaction is one of a direct conversation that is called otherwise.
        """
        kind = InteractionType.MESSAGE_COMPONENT if "custom_id" in data else InteractionType.APPLICATION_COMMAND
        backend, direct = self.env.backend, who.user.dm_channel
        message = data.pop("message", None)
        record, payload = base_payload(
            backend, type=kind, channel_id=direct.id, guild_id=None, user_id=who.id, data=data
        )
        friend = dict(user_payload(backend.get_user(self.bob.id)))
        channel = {"id": str(direct.id), "recipients": [friend], "name": "friends", "owner_id": str(who.id)}
        payload |= {"context": 2, "channel": channel | {"type": 1 if place == "friend" else 3}}
        if place == "server":
            member = {"user": payload.pop("user"), "roles": [], "permissions": "0", "joined_at": None, "flags": 0}
            payload |= {"context": 0, "guild_id": "123456789012345678", "member": member | {"deaf": 0, "mute": 0}}
            payload["channel"] = {"id": str(direct.id), "type": 0, "name": "elsewhere", "position": 0, "flags": 0}
        if message is not None:
            payload["message"] = dict(message_payload(backend, backend.get_message(direct.id, message.id)))
            record.source_message_id = message.id
        backend.emit("INTERACTION_CREATE", payload)
        await self.env.settle()
        return InteractionResult(self.env, record)

    def forbid(self, channel: Any, whom: int, **permissions: bool) -> None:
        """Deny permissions in a channel to a user, a bot or a role; none gives all back."""
        kind = OverwriteType.MEMBER if whom in self.guild.member_ids() else OverwriteType.ROLE
        deny = discord.Permissions(**permissions).value
        self.env.backend.set_overwrite(channel.id, Overwrite(whom, kind, 0, deny))

    def restrict(self, channel: Any) -> None:
        """Make a channel age-restricted for the client; the simulation has no such channels."""
        self.client.get_channel(channel.id).nsfw = True  # type: ignore[union-attr]

    def lose_sight(self, thread: Any) -> None:
        """Let the client forget an archived thread: Discord, unlike the simulation, does not list it."""
        guild = self.client.get_guild(self.guild.id)
        assert guild
        guild._remove_thread(self.client.get_channel(thread.id))  # type: ignore[arg-type]

    def refuse_files(self, code: int, status: int, times: int) -> None:
        """Refuse so many writes with a file; the simulation can only refuse all writes or none."""
        http = self.client.http
        request = http.request

        async def refusing(route: Any, *, files: Any = None, **more: Any) -> Any:
            nonlocal times
            if files and times:
                times -= 1
                self.refused.append(sum(len(file.fp.read()) for file in files))
                raise _refusal(status, code)
            return await request(route, files=files, **more)

        setattr(http, "request", refusing)  # noqa: B010

    def raw(self, message: Any) -> Any:
        """Return the message of the simulation, with its mentions."""
        return self.env.backend.get_message(message.channel.id, message.id)


def _refusal(status: int, code: int) -> discord.HTTPException:
    kind = discord.Forbidden if status == 403 else discord.HTTPException
    return kind(_Answer(status), {"code": code, "message": "refused"})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The part of a response that an exception of discord.py reads."""

    status: int
    reason: str = "refused"


def pictures(channel: Any) -> list[Any]:
    """Return the messages of the bot in a channel that show an image, in order."""
    return [message for message in channel.history() if message.attachments and message.author.bot]


def contents(channel: Any) -> list[str]:
    """Return the contents of the messages in a channel, in order."""
    return [message.content for message in channel.history()]


def answers(result: Any) -> list[Any]:
    """Return the ephemeral messages of an interaction."""
    return [message for message in (result.response, *result.followups) if message and message.ephemeral]


def hidden(here: SimulatedBot, channel: Any, result: Any) -> str:
    """Return the text of the only ephemeral response; asserts that one user sees it."""
    (output,) = answers(result)
    people = (here.ann, here.bob, here.cid)
    seeing = [who for who in people if output.id in [message.id for message in channel.history(viewer=who)]]
    assert len(seeing) == 1
    return str(output.content or "\n".join(texts(output.components)))


def silent(result: Any) -> bool:
    """Whether the interaction was acknowledged without a message."""
    return bool(result.acknowledged and not answers(result) and not result.followups)


def texts(components: Any) -> list[str]:
    """Return the texts among the components of a message."""
    found = [each["content"] for each in components if "content" in each]
    return found + [words for each in components for words in texts(each.get("components", ()))]


def labels(message: Any) -> list[str]:
    """Return the labels of the buttons of a message."""
    return [button.label for row in message.components for button in getattr(row, "children", ())]


@asynccontextmanager
async def running_bot(tmp_path: Path, *scripts: Script, content: bool = True) -> AsyncIterator[SimulatedBot]:
    """Run a bot until the end of the block; the chat model answers with the scripts, one after the other."""
    here = SimulatedBot(tmp_path, scripts, content=content)
    client = here.start()
    approved = discord.Intents.all() if content else discord.Intents.default()
    async with simcord.run(client, shard_count=1, approved_intents=approved) as here.env:
        here.guild = here.env.create_guild()
        here.channel = here.guild.create_text_channel("general")
        here.ann = here.guild.add_member(here.env.create_user("ann"))
        mods = here.guild.create_role("Mods", permissions=discord.Permissions(manage_messages=True))
        here.bob = here.guild.add_member(here.env.create_user("bob"), roles=[mods])
        here.cid = here.guild.add_member(here.env.create_user("cid"))
        try:
            yield here
            assert violations(here.env.http_requests) == []
        finally:
            await here.close()
    here.store.close()
