"""Payloads of Slack."""

import io
import mimetypes
import time
from typing import Any
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from tests.support.slack_server.state import Channel, File, Group, Json, Kind, Message, Person, View, World

VERIFICATION = "verification-token"


def message(world: World, said: Message) -> Json:
    """A message, in an event, an answer or an interaction."""
    output: Json = {"type": "message", "user": said.author.id, "text": said.text, "ts": said.ts, "team": world.team_id}
    if said.author.bot_id:
        output |= {"bot_id": said.author.bot_id, "app_id": world.app_id}
        output["bot_profile"] = {"id": said.author.bot_id, "name": said.author.name, "app_id": world.app_id}
    else:
        output["client_msg_id"] = f"00000000-0000-4000-8000-{said.ts.replace('.', '')[-12:]}"
    if said.blocks:
        output["blocks"] = said.blocks
    if said.files:
        output["files"] = [file(world, one) for one in said.files]
    if said.attachments:
        output["attachments"] = said.attachments
    if said.metadata:
        output["metadata"] = said.metadata
    if said.edited:
        output["edited"] = {"user": said.author.id, "ts": said.ts}
    if said.reactions:
        output["reactions"] = [{"name": one, "users": who, "count": len(who)} for one, who in said.reactions.items()]
    return output | _place(said)


def group(world: World, one: Group, *, users: bool) -> Json:
    """A user group."""
    output: Json = {"id": one.id, "team_id": world.team_id, "is_usergroup": True, "name": one.handle.title()}
    output |= {"description": "", "handle": one.handle, "is_external": False, "auto_type": None, "deleted_by": None}
    output |= {"date_create": 1, "date_update": 2, "date_delete": 3 if one.disabled else 0}
    output |= {"created_by": "USLACKBOT", "updated_by": "USLACKBOT", "prefs": {"channels": [], "groups": []}}
    return output | ({"users": [person.id for person in one.members], "user_count": len(one.members)} if users else {})


def _place(said: Message) -> Json:
    output: Json = {}
    if said.subtype or said.broadcast:
        output["subtype"] = said.subtype or "thread_broadcast"
    parent = said.channel.log.get(said.thread)
    if said.thread_ts:
        output |= {"thread_ts": said.thread_ts, "parent_user_id": parent.author.id if parent else "USLACKBOT"}
        return output
    replies = [one for one in said.channel.visible() if one.thread_ts == said.ts]
    if replies:
        output |= {"thread_ts": said.ts, "reply_count": len(replies), "latest_reply": replies[-1].ts}
    return output


def file(world: World, one: File, *, inside: bool = True) -> Json:
    """Return a file; before Slack has processed it, it has no type and no thumbnails."""
    if inside and one.check_file_info:
        return {"id": one.id, "created": int(time.time()), "file_access": "check_file_info"}
    address = f"{world.url}/files-pri/{world.team_id}-{one.id}"
    output: Json = {
        "id": one.id,
        "created": int(time.time()),
        "name": one.name,
        "title": one.title or one.name,
        "mimetype": "",
        "filetype": "",
        "user": one.owner.id,
        "size": one.length or len(one.data),
        "mode": "hosted",
        "is_public": bool(one.shares),
        "shares": {},
        "channels": [],
    }
    if not one.ready:
        return output
    output |= {"mimetype": kind(one), "filetype": one.name.rpartition(".")[2].lower()}
    output |= {"url_private": f"{address}/{quote(one.name)}"}
    output |= {"url_private_download": f"{address}/download/{quote(one.name)}"}
    output |= {"permalink": f"{world.url}/files/{one.owner.id}/{one.id}/{quote(one.name)}"}
    output |= _size(one, f"{address}/thumb/{quote(one.name)}")
    if one.alt_txt is not None:
        output["alt_txt"] = one.alt_txt
    for shared in one.shares:
        place = "public" if shared.channel.kind is Kind.PUBLIC else "private"
        where = output["shares"].setdefault(place, {}).setdefault(shared.channel.id, [])
        where.append({"ts": shared.ts, "channel_name": shared.channel.name} | _place(shared))
        output["channels"].append(shared.channel.id)
    return output


def kind(one: File) -> str:
    """The media type, by name."""
    return mimetypes.guess_type(one.name)[0] or "application/octet-stream"


def _size(one: File, thumbnail: str) -> Json:
    if not kind(one).startswith("image/"):
        return {}
    try:
        with Image.open(io.BytesIO(one.data)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError):
        return {}
    return {"original_w": width, "original_h": height, "thumb_360": thumbnail, "thumb_1024": thumbnail}


def person(world: World, one: Person) -> Json:
    """An account, for users.info."""
    profile = {"real_name": one.name, "display_name": one.name, "image_72": f"{world.url}/avatar/{one.id}.png"}
    return {
        "id": one.id,
        "team_id": world.team_id,
        "name": one.name.lower(),
        "real_name": one.name,
        "deleted": False,
        "profile": profile,
        "is_admin": one.admin,
        "is_owner": False,
        "is_bot": one.bot_id is not None,
        "tz": "Europe/Berlin",
    }


def channel(world: World, one: Channel) -> Json:
    """A channel, for conversations.info."""
    output: Json = {
        "id": one.id,
        "is_channel": one.kind is Kind.PUBLIC,
        "is_group": one.kind is Kind.PRIVATE,
        "is_im": one.kind is Kind.DIRECT,
        "is_mpim": one.kind is Kind.GROUP,
        "is_private": one.kind is not Kind.PUBLIC,
        "is_archived": one.archived,
        "is_member": world.bot.id in one.members,
    }
    if one.kind is Kind.DIRECT:
        return output | {"user": next(who for who in one.members if who != world.bot.id)}
    return output | {"name": one.name, "num_members": len(one.members), "topic": {"value": ""}}


def view(world: World, one: View, state: Json | None = None) -> Json:
    """A modal or home tab, in an answer or an interaction."""
    empty = {"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False}
    root = one
    while root.previous is not None:
        root = root.previous
    output: Json = {
        "id": one.id,
        "team_id": world.team_id,
        "state": {"values": state or {}},
        "hash": one.hash,
        "root_view_id": root.id,
        "previous_view_id": one.previous.id if one.previous else None,
        "app_id": world.app_id,
        "bot_id": world.bot.bot_id,
    }
    return empty | one.content | output


def base(world: World, kind_: str, who: Person) -> Json:
    """Return the fields of every interaction."""
    return {
        "type": kind_,
        "token": VERIFICATION,
        "user": {"id": who.id, "username": who.name.lower(), "name": who.name.lower(), "team_id": world.team_id},
        "team": {"id": world.team_id, "domain": world.domain},
        "api_app_id": world.app_id,
        "enterprise": None,
        "is_enterprise_install": False,
    }


def with_ids(world: World, blocks: Any) -> list[Json]:
    """Blocks as Slack keeps them: each with an id, and each button and menu too."""
    kept = []
    for block in blocks or ():
        elements = [
            {"action_id": world.id("a")} | one if one.get("type") in ("button", "overflow") else one
            for one in block.get("elements", ())
            if isinstance(one, dict)
        ]
        kept.append({"block_id": world.id("b")} | block | ({"elements": elements} if elements else {}))
    return kept
