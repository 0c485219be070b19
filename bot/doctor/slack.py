"""Checks of the Slack tokens and their scopes, over HTTP alone, before the bot connects."""

import re
from dataclasses import dataclass

from pydantic import SecretStr

from bot.config import Config
from bot.doctor.checks import TIME_LIMIT, Finding, Mark, NoAnswer, bearer, post

SCOPES = {  # as in deploy/slack-manifest.json, with what fails without each scope
    "app_mentions:read": "a mention is heard of only as a message, where the scopes that end in :history allow it",
    "channels:history": "in public channels only mentions are answered, and no thread is read back",
    "chat:write": "it cannot answer at all",
    "commands": "there is no /imagine, no /minidalle, and nothing in the menu of a message",
    "files:read": "there are no pictures, neither people's nor its own",
    "files:write": "the words come without pictures",
    "groups:history": "in private channels only mentions are answered, and no thread is read back",
    "im:history": "direct messages are not heard of",
    "mpim:history": "in conversations of several people only mentions are answered, and no thread is read back",
    "usergroups:read": "no user group can be named in the settings that list people",
    "users:read": "people have no names, and nobody is a manager",
}
SPARED = frozenset({"usergroups:read"})  # most teams do not need it
GRANTED = "X-OAuth-Scopes"  # a header of every response; Slack's documentation, authentication/best-practices
_APP_OF = re.compile(r"xapp-\d+-(A[A-Z0-9]+)-")
_REINSTALL = (
    "Add it on the OAuth & Permissions page of api.slack.com/apps, and reinstall the app on its Install App page."
)
_NO_SLACK = {
    0: "Check the network, its firewall, and SLACK_API_URL.",
    200: "Correct SLACK_API_URL.",
    404: "Correct SLACK_API_URL.",
}
_LATER = "Try again later: slack-status.com tells whether Slack is well."


@dataclass(frozen=True, slots=True)
class _Known:
    """Slack's answer about a bot token; without `ok` there is an `error`."""

    ok: bool
    error: str = ""
    team: str | None = None
    user: str | None = None
    bot_id: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """Slack's answer to an app token. Its WebSocket address is secret and not read."""

    ok: bool
    error: str = ""


async def slack(config: Config, limit: float = TIME_LIMIT) -> list[Finding]:
    """Check the tokens, their workspace, and the missing scopes."""
    if not config.slack_bot_token:
        cure = "docs/slack.md tells how to get a SLACK_BOT_TOKEN, step by step."
        return [Finding(Mark.NOTE, "Slack", "The bot is not on Slack.", cure)]
    base = config.slack_api_url
    try:
        known, headers = await post(f"{base}auth.test", _Known, bearer("Bearer", config.slack_bot_token), limit=limit)
    except NoAnswer as error:
        return [Finding(Mark.WRONG, "Slack", f"It {error}.", _NO_SLACK.get(error.status, _LATER))]
    if not known.ok:
        cure = "Copy the Bot User OAuth Token of the OAuth & Permissions page once more: it is SLACK_BOT_TOKEN."
        told = f"SLACK_BOT_TOKEN is refused ({known.error})."
        return [Finding(Mark.WRONG, "Slack", told, _LATER if known.error in _PASSING else cure)]
    told = f"The token is valid: bot {known.user} in the workspace {known.team}."
    reached = await _reached(config, known.app_id, limit)
    return [Finding(Mark.GOOD, "Slack", told), *_scopes(headers.get(GRANTED)), reached]


_PASSING = (
    "internal_error",
    "fatal_error",
    "ratelimited",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
)


def _scopes(granted: str | None) -> list[Finding]:
    """Return a check for each missing scope, or one check if none is missing or Slack does not list the scopes."""
    about = "Slack scopes"
    if granted is None:
        return [Finding(Mark.NOTE, about, "Slack did not tell which are granted.")]
    missing = SCOPES.keys() - {scope.strip() for scope in granted.split(",")}
    if not missing:
        return [Finding(Mark.GOOD, about, "All are granted.")]
    return [
        Finding(_weight(scope), about, f"{scope} is missing: {SCOPES[scope]}.", _REINSTALL) for scope in sorted(missing)
    ]


def _weight(scope: str) -> Mark:
    return Mark.NOTE if scope in SPARED else Mark.WRONG


async def _reached(config: Config, app: str | None, limit: float) -> Finding:
    """Check how events from Slack reach the bot: over HTTP requests or Socket Mode."""
    if not config.slack_app_token:
        told = f"Slack's requests are waited for on port {config.slack_port}, signed with SLACK_SIGNING_SECRET."
        cure = "Whether they get there, only Slack can say: it does when the request URLs are saved."
        return Finding(Mark.NOTE, "Slack events", told, cure)
    return await _socket(config.slack_api_url, config.slack_app_token, app, limit)


async def _socket(base: str, token: SecretStr, app: str | None, limit: float) -> Finding:
    about = "Slack events"
    cure = "Make a token with connections:write under App-Level Tokens, on the Basic Information page."
    try:
        opened, _ = await post(f"{base}apps.connections.open", _Opened, bearer("Bearer", token), limit=limit)
    except NoAnswer as error:
        return Finding(Mark.WRONG, about, f"Slack {error}.", _NO_SLACK.get(error.status, _LATER))
    if not opened.ok:
        told = f"SLACK_APP_TOKEN is refused ({opened.error})."
        return Finding(Mark.WRONG, about, told, _LATER if opened.error in _PASSING else cure)
    mine = _APP_OF.match(token.get_secret_value())
    if app and mine and mine[1] != app:
        return Finding(Mark.WRONG, about, f"SLACK_APP_TOKEN is of another app than SLACK_BOT_TOKEN ({app}).", cure)
    return Finding(Mark.GOOD, about, "SLACK_APP_TOKEN is valid: they come over Socket Mode, and need no address.")
