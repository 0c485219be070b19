"""Checks of the Discord token, the application and its permissions, over HTTP alone, before the bot connects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from bot.config import Config
from bot.doctor.checks import TIME_LIMIT, Check, NoAnswer, Severity, auth_headers, get_json
from bot.formatting import format_count

PERMISSIONS = {  # as the invite link asks for them; bits of Discord's documentation, topics/permissions
    "View Channels": 1 << 10,
    "Send Messages": 1 << 11,
    "Embed Links": 1 << 14,
    "Attach Files": 1 << 15,
    "Read Message History": 1 << 16,
    "Create Public Threads": 1 << 35,
    "Send Messages in Threads": 1 << 38,
}
MESSAGE_CONTENT = 1 << 18  # allowed after a review; Discord's documentation, resources/application, flags
MESSAGE_CONTENT_LIMITED = 1 << 19  # switched on without a review, which few users need
USER_INSTALL = "1"  # resources/application, application integration types
WITHOUT_CONTENT = (
    "only messages that mention it, direct messages, and what a message menu is used on are read; "
    "in its threads people mention it each time"
)


@dataclass(frozen=True, slots=True)
class _Guild:
    name: str


@dataclass(frozen=True, slots=True)
class _User:
    username: str


@dataclass(frozen=True, slots=True)
class _Application:
    id: Annotated[str, Field(pattern=r"^\d+$")]
    name: str
    flags: int = 0
    bot_public: bool = True
    bot_require_code_grant: bool = False
    integration_types_config: dict[str, object] | None = None
    approximate_guild_count: int | None = None
    interactions_endpoint_url: str | None = None


async def check_discord(config: Config, limit: float = TIME_LIMIT) -> list[Check]:
    """Check the token and the application, and build the invite link."""
    if not config.discord_token:
        cure = "docs/discord.md tells how to get a DISCORD_TOKEN, step by step."
        return [Check(Severity.NOTE, "Discord", "The bot is not on Discord.", cure)]
    base = config.discord_api_url.rstrip("/")
    headers = auth_headers("Bot", config.discord_token) | {
        "User-Agent": "DiscordBot (https://arxiv.org/abs/2310.07653, 0.1)"
    }
    try:
        user = await get_json(f"{base}/users/@me", _User, headers, limit=limit)
        application = await get_json(f"{base}/oauth2/applications/@me", _Application, headers, limit=limit)
    except NoAnswer as error:
        cure = _REMEDIES.get(error.status, "Try again later: discordstatus.com tells whether Discord is well.")
        return [Check(Severity.ERROR, "Discord", f"It {error}.", cure)]
    told = f"The token is valid: bot {user.username} of the application {application.name} ({application.id})."
    server = (
        [await _check_guild(f"{base}/guilds/{config.discord_guild}", headers, limit)] if config.discord_guild else []
    )
    return [
        Check(Severity.OK, "Discord", told),
        *_check_application(config, application),
        *server,
        _check_invite(application),
    ]


_REMEDIES = {
    0: "Check the network, its firewall, and DISCORD_API_URL.",
    401: "Press Reset Token on the Bot page of discord.com/developers/applications; the new one is DISCORD_TOKEN.",
    200: "Correct DISCORD_API_URL.",
    404: "Correct DISCORD_API_URL.",
}


def _check_application(config: Config, application: _Application) -> list[Check]:
    """Check the settings of the application in the Developer Portal."""
    found = [_check_message_content(config, application.flags)]
    if application.bot_require_code_grant:
        cure = "Switch off Requires OAuth2 Code Grant on the Bot page."
        found.append(Check(Severity.ERROR, "Discord", "The invite link cannot work: a code grant is required.", cure))
    if application.interactions_endpoint_url:
        cure = "Empty Interactions Endpoint URL on the General Information page."
        found.append(Check(Severity.ERROR, "Discord", "Commands and buttons are sent elsewhere.", cure))
    who = "Anybody who has the link" if application.bot_public else "Only the application's owner"
    found.append(Check(Severity.OK, "Discord", f"{who} can add the bot to a server (Public Bot, on the Bot page)."))
    personal = USER_INSTALL in (application.integration_types_config or {})
    told = "People can" if personal else "People cannot"
    told += " add it to their own account, for commands everywhere (User Install, on the Installation page)."
    return [*found, Check(Severity.OK if personal else Severity.NOTE, "Discord", told)]


def _check_message_content(config: Config, flags: int) -> Check:
    about = "Message content"
    if config.discord_message_content == "off":
        return Check(Severity.NOTE, about, f"It is not asked for (DISCORD_MESSAGE_CONTENT=off): {WITHOUT_CONTENT}.")
    if flags & (MESSAGE_CONTENT | MESSAGE_CONTENT_LIMITED):
        return Check(Severity.OK, about, "The intent is enabled.")
    cure = "Switch on Message Content Intent on the Bot page to have the rest."
    return Check(Severity.NOTE, about, f"The intent is not enabled: {WITHOUT_CONTENT}.", cure)


async def _check_guild(url: str, headers: Mapping[str, str], limit: float) -> Check:
    try:
        name = (await get_json(url, _Guild, headers, limit=limit)).name
    except NoAnswer as error:
        told = "The bot is not in the server DISCORD_GUILD." if error.status in (403, 404) else f"Discord {error}."
        return Check(Severity.ERROR, "Discord", told, "Open the invite link for that server, or correct the id.")
    return Check(Severity.OK, "Discord", f"Commands are registered at once in {name} (DISCORD_GUILD).")


def _check_invite(application: _Application) -> Check:
    servers = application.approximate_guild_count or 0
    link = f"https://discord.com/oauth2/authorize?client_id={application.id}&scope=bot+applications.commands"
    told = f"The bot is in {format_count(servers, 'server')}." if servers else "The bot is in no server yet."
    mark = Severity.OK if servers else Severity.NOTE
    return Check(mark, "Discord", told, f"Add it to one: {link}&permissions={sum(PERMISSIONS.values())}")
