"""Checks of the Slack tokens and their scopes, over HTTP alone, before the bot connects."""

import re
from dataclasses import dataclass

from pydantic import SecretStr

from bot.config import Config
from bot.doctor.checks import TIME_LIMIT, Check, NoAnswer, Severity, auth_headers, post_json

SCOPES = {  # the scopes of deploy/slack-manifest.json, and the consequence of each missing scope
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
OPTIONAL_SCOPES = frozenset({"usergroups:read"})  # scopes that most teams do not need
SCOPES_HEADER = "X-OAuth-Scopes"  # a header of every answer; Slack's documentation, authentication/best-practices
_APP_ID = re.compile(r"xapp-\d+-(A[A-Z0-9]+)-")
_REINSTALL = (
    "Add it on the OAuth & Permissions page of api.slack.com/apps, and reinstall the app on its Install App page."
)
_REMEDIES = {
    0: "Check the network, its firewall, and SLACK_API_URL.",
    200: "Correct SLACK_API_URL.",
    404: "Correct SLACK_API_URL.",
}
_TRY_LATER = "Try again later: slack-status.com tells whether Slack is well."


@dataclass(frozen=True, slots=True)
class _AuthTest:
    """Slack's answer about a bot token; without `ok` there is an `error`."""

    ok: bool
    error: str = ""
    team: str | None = None
    user: str | None = None
    bot_id: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class _ConnectionsOpen:
    """Slack's answer to an app token. Its WebSocket address is secret and not read."""

    ok: bool
    error: str = ""


async def check_slack(config: Config, limit: float = TIME_LIMIT) -> list[Check]:
    """Check the tokens, their workspace, and the missing scopes."""
    if not config.slack_bot_token:
        cure = "docs/slack.md tells how to get a SLACK_BOT_TOKEN, step by step."
        return [Check(Severity.NOTE, "Slack", "The bot is not on Slack.", cure)]
    base = config.slack_api_url
    try:
        known, headers = await post_json(
            f"{base}auth.test", _AuthTest, auth_headers("Bearer", config.slack_bot_token), limit=limit
        )
    except NoAnswer as error:
        return [Check(Severity.ERROR, "Slack", f"It {error}.", _REMEDIES.get(error.status, _TRY_LATER))]
    if not known.ok:
        cure = "Copy the Bot User OAuth Token of the OAuth & Permissions page once more: it is SLACK_BOT_TOKEN."
        told = f"SLACK_BOT_TOKEN is refused ({known.error})."
        return [Check(Severity.ERROR, "Slack", told, _TRY_LATER if known.error in _TRANSIENT_ERRORS else cure)]
    told = f"The token is valid: bot {known.user} in the workspace {known.team}."
    reached = await _check_events(config, known.app_id, limit)
    return [Check(Severity.OK, "Slack", told), *_check_scopes(headers.get(SCOPES_HEADER)), reached]


_TRANSIENT_ERRORS = (
    "internal_error",
    "fatal_error",
    "ratelimited",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
)


def _check_scopes(granted: str | None) -> list[Check]:
    """Return a check for each missing scope, or one check if none is missing or Slack does not list the scopes."""
    about = "Slack scopes"
    if granted is None:
        return [Check(Severity.NOTE, about, "Slack did not tell which are granted.")]
    missing = SCOPES.keys() - {scope.strip() for scope in granted.split(",")}
    if not missing:
        return [Check(Severity.OK, about, "All are granted.")]
    return [
        Check(_scope_severity(scope), about, f"{scope} is missing: {SCOPES[scope]}.", _REINSTALL)
        for scope in sorted(missing)
    ]


def _scope_severity(scope: str) -> Severity:
    return Severity.NOTE if scope in OPTIONAL_SCOPES else Severity.ERROR


async def _check_events(config: Config, app: str | None, limit: float) -> Check:
    """Check how events from Slack reach the bot: over HTTP requests or Socket Mode."""
    if not config.slack_app_token:
        told = f"Slack's requests are waited for on port {config.slack_port}, signed with SLACK_SIGNING_SECRET."
        cure = "Whether they get there, only Slack can say: it does when the request URLs are saved."
        return Check(Severity.NOTE, "Slack events", told, cure)
    return await _check_socket_mode(config.slack_api_url, config.slack_app_token, app, limit)


async def _check_socket_mode(base: str, token: SecretStr, app: str | None, limit: float) -> Check:
    about = "Slack events"
    cure = "Make a token with connections:write under App-Level Tokens, on the Basic Information page."
    try:
        opened, _ = await post_json(
            f"{base}apps.connections.open", _ConnectionsOpen, auth_headers("Bearer", token), limit=limit
        )
    except NoAnswer as error:
        return Check(Severity.ERROR, about, f"Slack {error}.", _REMEDIES.get(error.status, _TRY_LATER))
    if not opened.ok:
        told = f"SLACK_APP_TOKEN is refused ({opened.error})."
        return Check(Severity.ERROR, about, told, _TRY_LATER if opened.error in _TRANSIENT_ERRORS else cure)
    mine = _APP_ID.match(token.get_secret_value())
    if app and mine and mine[1] != app:
        return Check(Severity.ERROR, about, f"SLACK_APP_TOKEN is of another app than SLACK_BOT_TOKEN ({app}).", cure)
    return Check(Severity.OK, about, "SLACK_APP_TOKEN is valid: they come over Socket Mode, and need no address.")
