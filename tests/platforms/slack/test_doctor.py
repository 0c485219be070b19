"""The doctor's checks of Slack against a local server: what it finds, and what it keeps secret."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.__main__ import main
from bot.config import Config
from bot.doctor.checks import Check, Severity
from bot.doctor.slack import OPTIONAL_SCOPES, SCOPES, SCOPES_HEADER, check_slack
from tests.support.paths import ROOT
from tests.support.slack_server import APP_TOKEN as DOUBLE_APP_TOKEN
from tests.support.slack_server import BOT_TOKEN as DOUBLE_BOT_TOKEN
from tests.support.slack_server import SlackDouble

BOT_TOKEN, APP_TOKEN = "xoxb-1-hunter2", "xapp-1-A0STUDIO001-2-hunter3"
MANIFEST = json.loads((ROOT / "deploy" / "slack-manifest.json").read_text("utf-8"))
AUTH, OPEN = "/api/auth.test", "/api/apps.connections.open"
ME = {"ok": True, "team": "Workshop", "user": "minidalle", "team_id": "T1", "user_id": "U1", "bot_id": "B1"}
SOCKET = {"ok": True, "url": "wss://wss.slack.example/link/?ticket=hunter4"}


@dataclass
class Server:
    """Says what it is told to say at each path, to a client with the right token."""

    says: dict[str, Any] = field(default_factory=lambda: {AUTH: ME, OPEN: SOCKET})
    granted: str | None = ",".join(SCOPES)
    status: int = 200
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """What is to be said there."""
        self.asked.append((request.method, request.path))
        token = {AUTH: BOT_TOKEN, OPEN: APP_TOKEN}[request.path]
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response({"ok": False, "error": "invalid_auth"})
        headers = {SCOPES_HEADER.lower(): self.granted} if self.granted is not None else {}
        return web.json_response(self.says[request.path], status=self.status, headers=headers)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Config.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # away from anybody's .env


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A Slack server with one app that has all scopes."""
    double = Server()
    app = web.Application()
    app.router.add_post("/{path:.*}", double.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    yield double
    await runner.cleanup()


def on(server: Server, bot: str = BOT_TOKEN, app: str = APP_TOKEN, **more: Any) -> Config:
    """Return the configuration of a bot for that server."""
    tokens: dict[str, Any] = {"slack_bot_token": SecretStr(bot)} | ({"slack_app_token": SecretStr(app)} if app else {})
    return Config(slack_api_url=f"{server.url}/api/", **tokens, **more)


def printed(findings: list[Check]) -> str:
    """Return all that the doctor prints about the checks."""
    return "\n".join(f"{each.severity} {each.subject}: {each.message} {each.remedy}".rstrip() for each in findings)


async def test_a_complete_setup_passes_all_checks(server: Server) -> None:
    """The name of the bot, workspace, scopes and transport are shown, and no secret."""
    found = await check_slack(on(server))
    assert printed(found) == (
        "✓ Slack: The token is valid: bot minidalle in the workspace Workshop.\n"
        "✓ Slack scopes: All are granted.\n"
        "✓ Slack events: SLACK_APP_TOKEN is valid: they come over Socket Mode, and need no address."
    )
    assert server.asked == [("POST", AUTH), ("POST", OPEN)]


def test_each_scope_of_the_manifest_has_its_reason() -> None:
    """The doctor checks exactly the scopes that the manifest requests."""
    assert sorted(SCOPES) == MANIFEST["oauth_config"]["scopes"]["bot"]


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_missing_scope_is_reported_with_its_effect(server: Server, scope: str) -> None:
    """An app that was made by hand lacks one; the other scopes are not mentioned."""
    server.granted = ", ".join(SCOPES.keys() - {scope})
    (finding,) = [each for each in await check_slack(on(server)) if each.subject == "Slack scopes"]
    assert finding.severity is (Severity.NOTE if scope in OPTIONAL_SCOPES else Severity.ERROR)
    assert finding.message == f"{scope} is missing: {SCOPES[scope]}." and "reinstall" in finding.remedy


async def test_unknown_and_additional_scopes_are_no_fault(server: Server) -> None:
    """A proxy may remove the header; additional scopes do no harm."""
    server.granted = None
    assert "- Slack scopes: Slack did not tell which are granted." in printed(await check_slack(on(server)))
    server.granted = ",".join([*SCOPES, "reactions:write"])
    assert "✓ Slack scopes: All are granted." in printed(await check_slack(on(server)))


async def test_refused_tokens_are_reported_with_a_remedy(server: Server) -> None:
    """Each is named and never printed."""
    (finding,) = await check_slack(on(server, bot="xoxb-wrong-hunter5"))
    assert finding.severity is Severity.ERROR and finding.message == "SLACK_BOT_TOKEN is refused (invalid_auth)."
    assert "OAuth & Permissions" in finding.remedy
    *fine, wrong = await check_slack(on(server, app="xapp-wrong-hunter6"))
    assert {each.severity for each in fine} == {Severity.OK} and wrong.severity is Severity.ERROR
    assert wrong.message == "SLACK_APP_TOKEN is refused (invalid_auth)." and "connections:write" in wrong.remedy
    assert "hunter" not in printed([finding, *fine, wrong])


async def test_tokens_of_two_apps_are_found(server: Server) -> None:
    """Both are valid, but no mention would arrive."""
    server.says[AUTH] = ME | {"app_id": "A0STUDIO001"}
    assert (await check_slack(on(server)))[-1].severity is Severity.OK
    server.says[AUTH] = ME | {"app_id": "A0OTHER"}
    last = (await check_slack(on(server)))[-1]
    assert last.severity is Severity.ERROR and "of another app" in last.message and "hunter" not in printed([last])


async def test_over_http_incoming_requests_are_not_checked(server: Server) -> None:
    """The doctor cannot test whether Slack's requests arrive; no app token is needed."""
    last = (await check_slack(on(server, app="", slack_signing_secret=SecretStr("hunter7"))))[-1]
    assert last.severity is Severity.NOTE and "port 3000" in last.message and "request URLs" in last.remedy
    assert server.asked == [("POST", AUTH)] and "hunter" not in printed([last])


@pytest.mark.parametrize(
    ("says", "status", "cure"),
    [
        ({"ok": False, "error": "internal_error"}, 200, "Try again later"),
        ("hello", 200, "SLACK_API_URL"),
        ({}, 404, "SLACK_API_URL"),
        ({}, 503, "Try again later"),
    ],
)
async def test_a_failing_server_is_reported(server: Server, says: Any, status: int, cure: str) -> None:
    """One line without a traceback, which blames no token."""
    server.says[AUTH], server.status = says, status
    (finding,) = await check_slack(on(server))
    assert finding.severity is Severity.ERROR and cure in finding.remedy


async def test_the_doctor_sends_only_valid_requests() -> None:
    """Its calls match Slack's method reference."""
    async with SlackDouble() as double:
        bot, app = SecretStr(DOUBLE_BOT_TOKEN), SecretStr(DOUBLE_APP_TOKEN)
        found = await check_slack(Config(slack_api_url=double.api_url, slack_bot_token=bot, slack_app_token=app))
        assert {each.severity for each in found} == {Severity.OK, Severity.NOTE} and double.violations == []


async def test_without_a_token_the_doctor_explains_how_to_get_one() -> None:
    """That is no fault: the web app works without Slack."""
    (finding,) = await check_slack(Config())
    assert finding.severity is Severity.NOTE and "docs/slack.md" in finding.remedy


def test_a_bot_token_alone_is_a_fault_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The app token and the signing secret are both named, before any call of Slack."""
    monkeypatch.setenv("SLACK_BOT_TOKEN", BOT_TOKEN)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "SLACK_APP_TOKEN" in out and "SLACK_SIGNING_SECRET" in out and "hunter" not in out
