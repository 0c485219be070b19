"""Payloads of Discord: an object of the double in, the JSON of Discord's documents out. Pure."""

import hashlib
import io
import mimetypes
import time
from datetime import UTC, datetime
from typing import Any

from PIL import Image, UnidentifiedImageError

from tests.support.discord_server.state import (
    DIRECT,
    EPHEMERAL,
    EPOCH,
    THREAD,
    Attachment,
    Channel,
    Guild,
    Json,
    Message,
    Person,
    Role,
    World,
)

BEGINNING = "2026-01-01T00:00:00+00:00"  # when everybody joined


def when(snowflake: int) -> str:
    """The time that an id carries."""
    return datetime.fromtimestamp(((snowflake >> 22) + EPOCH) / 1000, UTC).isoformat()


def now() -> str:
    """This moment."""
    return datetime.now(UTC).isoformat()


def user(person: Person) -> Json:
    """An account."""
    return {
        "id": str(person.id),
        "username": person.name,
        "global_name": person.name,
        "discriminator": "0",
        "avatar": None,
        "bot": person.bot,
        "public_flags": 0,
    }


def member(guild: Guild, person: Person) -> Json:
    """Return the member object of a user, without the user."""
    _, roles = guild.members.get(person.id, (person, []))
    return {
        "roles": [str(role.id) for role in roles],
        "joined_at": BEGINNING,
        "nick": None,
        "avatar": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }


def role(one: Role) -> Json:
    """A role."""
    return {
        "id": str(one.id),
        "name": one.name,
        "permissions": str(int(one.permissions)),
        "position": 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }


def guild(world: World, one: Guild, *, members: bool) -> Json:
    """Return a server as in GUILD_CREATE; all its members only with the members intent."""
    people = [person for person, _ in one.members.values() if members or person is world.bot]
    channels = [found for found in world.channels.values() if found.guild is one]
    return {
        "id": str(one.id),
        "name": one.name,
        "owner_id": str(one.owner.id),
        "icon": None,
        "unavailable": False,
        "large": False,
        "joined_at": BEGINNING,
        "member_count": len(one.members),
        "members": [member(one, person) | {"user": user(person)} for person in people],
        "roles": [role(found) for found in one.roles],
        "channels": [channel(world, found) for found in channels if found.type != THREAD],
        "threads": [channel(world, found) for found in channels if found.type == THREAD and not found.archived],
        "features": [],
        "emojis": [],
        "stickers": [],
        "presences": [],
        "voice_states": [],
        "premium_tier": one.tier,
        "preferred_locale": "en-US",
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "nsfw_level": 0,
    }


def channel(world: World, one: Channel) -> Json:
    """A channel, a thread or a direct conversation."""
    last = max(one.everything, default=None)
    common = {"id": str(one.id), "type": one.type, "last_message_id": last and str(last), "flags": 0}
    if one.type == DIRECT:
        return common | {"recipients": [user(one.recipient)] if one.recipient else []}
    common |= {"guild_id": str(one.guild_id), "name": one.name, "rate_limit_per_user": 0}
    if one.type == THREAD and one.parent and one.owner:
        return common | _thread(one, one.parent, one.owner)
    denied = {"id": str(world.bot.id), "type": 1, "allow": "0", "deny": str(int(one.denied))}
    return common | {
        "position": 0,
        "topic": None,
        "parent_id": None,
        "nsfw": one.nsfw,
        "permission_overwrites": [denied] if one.denied else [],
    }


def _thread(one: Channel, parent: Channel, owner: Person) -> Json:
    return {
        "parent_id": str(parent.id),
        "owner_id": str(owner.id),
        "message_count": len(one.everything),
        "total_message_sent": len(one.everything),
        "member_count": 1,
        "thread_metadata": {
            "archived": one.archived,
            "locked": one.locked,
            "auto_archive_duration": one.archive_minutes,
            "archive_timestamp": when(one.id),
            "create_timestamp": when(one.id),
        },
    }


def attachment(world: World, one: Attachment, *, ephemeral: bool = False) -> Json:
    """A file, under an address that is signed and expires."""
    expires = f"{int(time.time() + world.link_seconds):x}"
    path = f"{world.cdn_url}/attachments/{one.channel}/{one.id}/{one.filename}"
    address = f"{path}?ex={expires}&is={int(time.time()):x}&hm={signature(one.id, expires)}&"
    drawn: Json = {"id": str(one.id), "filename": one.filename, "size": len(one.data), "url": address}
    drawn |= {"proxy_url": address, "content_type": mimetypes.guess_type(one.filename)[0], **_size(one.data)}
    if one.description is not None:
        drawn["description"] = one.description
    return drawn | {"ephemeral": True} if ephemeral else drawn


def signature(identity: int, expires: str) -> str:
    """Return the query of a file's address."""
    return hashlib.sha256(f"{identity}/{expires}".encode()).hexdigest()


def _size(data: bytes) -> Json:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return {"width": image.width, "height": image.height}
    except UnidentifiedImageError:
        return {}


def message(world: World, one: Message, *, nested: bool = False) -> Json:
    """Return a message, with the message that it replies to."""
    drawn: Json = {
        "id": str(one.id),
        "channel_id": str(one.channel.id),
        "author": user(one.author),
        "content": one.content,
        "timestamp": when(one.id),
        "edited_timestamp": one.edited,
        "type": one.type,
        "flags": one.flags,
        "tts": False,
        "pinned": False,
        "mention_everyone": False,
        "mentions": [user(person) for person in one.mentions],
        "mention_roles": [],
        "attachments": [attachment(world, found, ephemeral=bool(one.flags & EPHEMERAL)) for found in one.attachments],
        "embeds": one.embeds,
        "components": _resolved(world, one, one.components),
    }
    if one.nonce is not None:
        drawn["nonce"] = one.nonce
    if one.thread is not None:  # a client takes `null` for a thread without an id
        drawn["thread"] = channel(world, one.thread)
    if one.interaction is not None:
        drawn |= {"interaction_metadata": one.interaction, "application_id": str(world.bot.id)}
        drawn["webhook_id"] = str(world.bot.id)
    if one.reference is not None:
        drawn |= _reference(world, one, one.reference, nested=nested)
    return drawn


def _reference(world: World, one: Message, target: int, *, nested: bool) -> Json:
    home = one.channel if target in one.channel.everything else one.channel.parent or one.channel
    output: Json = {"type": 0, "message_id": str(target), "channel_id": str(home.id)}
    if one.channel.guild is not None:
        output["guild_id"] = str(one.channel.guild.id)
    if nested:
        return {"message_reference": output}
    found = home.everything.get(target)
    return {"message_reference": output, "referenced_message": found and message(world, found, nested=True)}


def _resolved(world: World, one: Message, value: Any) -> Any:
    """Components with `attachment://name` turned into addresses, as Discord hands them out."""
    match value:
        case list():
            return [_resolved(world, one, part) for part in value]
        case {"url": str(url)} if url.startswith("attachment://"):
            found = next((each for each in one.attachments if each.filename == url[13:]), None)
            drawn = attachment(world, found) if found else {"url": url, "proxy_url": url}
            return {key: drawn[key] for key in drawn if key not in ("id", "filename", "size", "description")}
        case dict():
            return {key: _resolved(world, one, part) for key, part in value.items()}
        case _:
            return value


def blanked(world: World, drawn: Json) -> Json:
    """The message as an app without the message content intent gets it."""
    known = drawn["author"]["id"] == str(world.bot.id) or str(world.bot.id) in [one["id"] for one in drawn["mentions"]]
    result = dict(drawn)
    if not known:
        result |= {"content": "", "attachments": [], "embeds": [], "components": []}
    if drawn.get("referenced_message"):
        result["referenced_message"] = blanked(world, drawn["referenced_message"])
    return result
