"""The doctor before servers of our own on loopback: what it finds wrong, the cure it tells, what it keeps quiet."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from pydantic import SecretStr
from rich.console import Console

from bot.__main__ import main
from bot.config import Config
from bot.doctor import doctor
from bot.doctor.checks import Check, Severity
from bot.doctor.discord import PERMISSIONS, check_discord
from bot.doctor.doctor import (
    RenderEnvironment,
    check_chat_model,
    check_data_folder,
    check_devices,
    check_image_model,
    check_rendering,
)
from render.protocol import VERSION

TOKEN = "abc.def.hunter2"
USER = {"id": "2", "username": "painter"}
APPLICATION = {
    "id": "172150183260323840",
    "name": "Painter [beta]",
    "flags": 1 << 19,
    "bot_public": False,
    "bot_require_code_grant": False,
    "integration_types_config": {"0": {}, "1": {}},
    "approximate_guild_count": 3,
    "interactions_endpoint_url": None,
}
ME, OAUTH = "/api/v10/users/@me", "/api/v10/oauth2/applications/@me"


@dataclass
class Server:
    """Says what it is told to say at each path, to whoever shows the token; None stands for never."""

    says: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        """What is to be said there."""
        shown = request.headers.get("Authorization")
        self.asked.append((request.path, shown))
        if shown not in (f"Bot {TOKEN}", f"Bearer {TOKEN}"):
            return web.json_response({"message": f"401: {shown}"}, status=401)
        if request.path not in self.says:
            raise web.HTTPNotFound
        if self.says[request.path] is None:
            await asyncio.Event().wait()
        return web.json_response(self.says[request.path], status=self.statuses.get(request.path, 200))


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Config.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)  # away from anybody's .env


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A Discord with one application, three servers and the intent; other paths are for the tests to fill."""
    double = Server({ME: USER, OAUTH: APPLICATION})
    app = web.Application()
    app.router.add_get("/{path:.*}", double.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    double.url = f"http://{host}:{port}"
    yield double
    await runner.cleanup()


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def on(server: Server | str, token: str = TOKEN, **more: Any) -> Config:
    """The configuration of a bot whose Discord is that server."""
    url = server if isinstance(server, str) else server.url
    return Config(discord_token=SecretStr(token), discord_api_url=f"{url}/api/v10", **more)


def output(findings: list[Check]) -> str:
    """All that is printed about them."""
    return "\n".join(f"{each.severity} {each.subject}: {each.message} {each.remedy}" for each in findings)


# Discord


async def test_all_is_well_on_discord(server: Server) -> None:
    """Token, names, intent, who may add the bot, where it is, and the link that adds it."""
    found = await check_discord(on(server))
    assert {each.severity for each in found} == {Severity.OK}
    assert server.asked == [(ME, f"Bot {TOKEN}"), (OAUTH, f"Bot {TOKEN}")]
    for words in (
        "bot painter of the application Painter [beta] (172150183260323840)",
        "Message content: The intent is enabled.",
        "Only the application's owner can add the bot",
        "People can add it to their own account",
        "The bot is in 3 servers.",
    ):
        assert words in output(found)


async def test_the_link_asks_for_what_the_bot_needs_and_no_more(server: Server) -> None:
    """Seven permissions and two scopes, in one link that is not broken over lines."""
    link = urlsplit((await check_discord(on(server)))[-1].remedy.split()[-1])
    assert (link.scheme, link.netloc, link.path) == ("https", "discord.com", "/oauth2/authorize")
    asked = parse_qs(link.query)
    assert asked["client_id"] == [APPLICATION["id"]]
    assert asked["scope"] == ["bot applications.commands"]
    assert asked["permissions"] == ["309237763072"]
    assert sorted(PERMISSIONS) == [
        "Attach Files", "Create Public Threads", "Embed Links", "Read Message History", "Send Messages",
        "Send Messages in Threads", "View Channels",
    ]  # fmt: skip


async def test_a_refused_token_is_reported_with_its_cure_and_never_shown(server: Server) -> None:
    """Discord says 401, and even repeats the token: only the cure is printed."""
    (finding,) = await check_discord(on(server, "wrong.hunter3"))
    assert finding.severity is Severity.ERROR
    assert "refuses the bot (status 401)" in finding.message and "Reset Token" in finding.remedy
    assert "hunter" not in output([finding])


@pytest.mark.parametrize(("flags", "enabled"), [(1 << 18, True), (1 << 19, True), (0, False), (1 << 14, False)])
async def test_the_message_content_intent_is_seen(server: Server, flags: int, enabled: bool) -> None:
    """Reviewed or just switched on; without it the bot works, and the line says what it then reads."""
    server.says[OAUTH] = APPLICATION | {"flags": flags}
    (finding,) = [each for each in await check_discord(on(server)) if each.subject == "Message content"]
    assert finding.severity is (Severity.OK if enabled else Severity.NOTE)
    assert ("only messages that mention it" in finding.message) is not enabled
    assert ("Bot page" in finding.remedy) is not enabled


async def test_an_intent_that_is_not_wanted_needs_no_cure(server: Server) -> None:
    """With DISCORD_MESSAGE_CONTENT=off the line still says what the bot does not read."""
    server.says[OAUTH] = APPLICATION | {"flags": 0}
    found = await check_discord(on(server, discord_message_content="off"))
    (finding,) = [each for each in found if each.subject == "Message content"]
    assert (finding.severity, finding.remedy) == (Severity.NOTE, "")
    assert "only messages that mention it" in finding.message


async def test_what_the_portal_can_be_set_to_wrongly_is_found(server: Server) -> None:
    """A code grant breaks the link, and an endpoint for interactions takes the commands away."""
    server.says[OAUTH] = APPLICATION | {
        "bot_require_code_grant": True,
        "interactions_endpoint_url": "https://elsewhere.example/",
        "bot_public": True,
        "integration_types_config": {"0": {}},
        "approximate_guild_count": 0,
    }
    found = await check_discord(on(server))
    wrong = [each for each in found if each.severity is Severity.ERROR]
    assert [each.remedy.split(" on ")[0] for each in wrong] == [
        "Switch off Requires OAuth2 Code Grant", "Empty Interactions Endpoint URL",
    ]  # fmt: skip
    for words in ("Anybody who has the link can", "People cannot add it", "in no server yet. Add it to one: https://"):
        assert words in output(found)


async def test_the_server_for_development_must_be_one_of_the_bot(server: Server) -> None:
    """The id of another server, or of nothing, is told before the commands are missing."""
    server.says["/api/v10/guilds/7"] = {"id": "7", "name": "Workshop"}
    assert "at once in Workshop" in output(await check_discord(on(server, discord_guild=7)))
    (finding,) = [each for each in await check_discord(on(server, discord_guild=8)) if each.severity is Severity.ERROR]
    assert "not in the server DISCORD_GUILD" in finding.message


async def test_a_discord_that_is_not_there_is_reported() -> None:
    """Nobody listens: that is about the network, not about the token."""
    (finding,) = await check_discord(on(nowhere()))
    assert (finding.severity, finding.message) == (Severity.ERROR, "It cannot be reached.")
    assert "network" in finding.remedy


async def test_a_discord_that_hangs_is_given_up(server: Server) -> None:
    """A time limit ends the wait."""
    server.says[OAUTH] = None
    (finding,) = await check_discord(on(server), limit=0.1)
    assert (finding.severity, finding.message) == (Severity.ERROR, "It does not answer within 0.1 s.")


@pytest.mark.parametrize(("body", "status"), [("hello", 200), ({"id": "x", "name": "x"}, 200), ({}, 500)])
async def test_nonsense_from_discord_is_reported(server: Server, body: object, status: int) -> None:
    """Another program at that address, or a Discord that is ill, ends in a line and not in a traceback."""
    server.says[OAUTH], server.statuses[OAUTH] = body, status
    (finding,) = await check_discord(on(server))
    assert finding.severity is Severity.ERROR and finding.remedy


async def test_without_a_token_the_way_to_one_is_reported() -> None:
    """That is no fault: the web page works without."""
    (finding,) = await check_discord(Config())
    assert finding.severity is Severity.NOTE and "docs/discord.md" in finding.remedy


# The chat server


def talking(server: Server | str, *, key: str = TOKEN, path: str = "/v1", **more: Any) -> Config:
    """The configuration of a bot whose chat model is at that server."""
    url = server if isinstance(server, str) else server.url
    return Config(openai_base_url=url + path, openai_api_key=SecretStr(key), **more)


async def test_the_models_are_looked_for_on_the_chat_server(server: Server) -> None:
    """Each that is named; of one that is not there, those that are called alike are told."""
    server.says["/v1/models"] = {"data": [{"id": "large"}, {"id": "small:latest", "owned_by": None}]}
    found = await check_chat_model(talking(server, llm_model="small", llm_models=("large", "larg")))
    assert [each.severity for each in found] == [Severity.OK, Severity.OK, Severity.ERROR]
    assert "there: large" in found[2].remedy


@pytest.mark.parametrize(
    ("listed", "mark"),
    [
        ({"data": [{"id": "/models/any.gguf", "owned_by": "llamacpp"}]}, Severity.OK),
        ({"data": None}, Severity.ERROR),
        ({"data": []}, Severity.ERROR),
        ({"error": "nothing here"}, Severity.ERROR),
    ],
)
async def test_lists_of_models_as_servers_write_them(server: Server, listed: object, mark: Severity) -> None:
    """A server with one model for every name is fine; one without any is not."""
    server.says["/v1/models"] = listed
    (finding,) = await check_chat_model(talking(server))
    assert finding.severity is mark


async def test_a_wrong_key_and_a_wrong_address_are_distinguished(server: Server) -> None:
    """The cure names the setting; neither the key nor a password in the address is shown."""
    (refused,) = await check_chat_model(talking(server, key="hunter3"))
    (misled,) = await check_chat_model(talking(server, path=""))
    (unlisted,) = await check_chat_model(talking(server))
    (silent,) = await check_chat_model(talking(nowhere().replace("//", "//me:hunter4@")))
    assert "OPENAI_API_KEY" in refused.remedy and "ends in /v1" in misled.remedy and "OPENAI_BASE_URL" in silent.remedy
    assert [each.severity for each in (refused, misled, unlisted, silent)] == [
        Severity.ERROR, Severity.ERROR, Severity.NOTE, Severity.ERROR,
    ]  # fmt: skip
    assert "hunter" not in output([refused, misled, unlisted, silent])


async def test_a_slow_chat_server_is_given_up(server: Server) -> None:
    """A time limit ends the wait."""
    server.says["/v1/models"] = None
    (finding,) = await check_chat_model(talking(server), limit=0.1)
    assert finding.severity is Severity.ERROR and "within 0.1 s" in finding.message


async def test_a_model_without_a_server_is_a_mistake() -> None:
    """Whoever names a chat model does not expect the built-in one."""
    assert [each.severity for each in await check_chat_model(Config())] == [Severity.OK]
    assert [each.severity for each in await check_chat_model(Config(llm_model="large"))] == [Severity.ERROR]


# Drawing


@pytest.mark.parametrize(
    ("slots", "mark", "words"),
    [
        ({"slots": 1, "model": "sdxl", "version": VERSION}, Severity.OK, "paints with sdxl"),
        ({"slots": 0, "model": "", "version": VERSION}, Severity.NOTE, "still loads"),
        ({"slots": 0, "trouble": "No such model.", "version": VERSION}, Severity.ERROR, "No such model."),
        ({"slots": 1, "model": "sdxl", "version": VERSION - 1}, Severity.ERROR, "another version"),
        (None, Severity.ERROR, "within 0.1 s"),
    ],
)
async def test_a_worker_is_asked_what_it_can_take(server: Server, slots: object, mark: Severity, words: str) -> None:
    """Painting, loading, broken, of another version, or silent."""
    server.says["/slots"] = slots
    config = Config(render_urls=(server.url,), render_token=SecretStr(TOKEN))
    (finding,) = await check_rendering(config, VERSION, limit=10 if slots else 0.1)
    assert finding.severity is mark and words in finding.message


async def test_each_worker_has_its_own_line(server: Server) -> None:
    """One refuses the token, the other is not there; the token is in neither line."""
    found = await check_rendering(
        Config(render_urls=(server.url, nowhere()), render_token=SecretStr("hunter3")), VERSION
    )
    assert ["RENDER_TOKEN" in each.remedy for each in found] == [True, False]
    assert "hunter" not in output(found)


@pytest.mark.parametrize(
    ("wanted", "missing", "gpus", "mark"),
    [
        (("auto",), [], [], Severity.OK),
        (("cuda:0", "cuda:1"), [], ["H100", "H100"], Severity.OK),
        (("cuda:0", "cuda:1"), [], ["H100"], Severity.ERROR),
        (("cuda",), [], [], Severity.ERROR),
        (("auto",), ["torch"], [], Severity.ERROR),
    ],
)
def test_the_devices_must_be_there(
    wanted: tuple[str, ...], missing: list[str], gpus: list[str], mark: Severity
) -> None:
    """Each GPU that is named is counted; without any, only the built-in model is at ease."""
    assert check_devices(Config(render_devices=wanted), RenderEnvironment(missing, gpus)).severity is mark
    if not gpus and not missing and wanted == ("auto",):
        assert check_devices(Config(image_model="o/n"), RenderEnvironment([], [])).severity is Severity.NOTE


def test_a_folder_that_is_no_pipeline_is_found(tmp_path: Path) -> None:
    """A folder must be there and hold a pipeline; a hub id is taken at its word."""
    assert check_image_model("builtin").severity is Severity.OK
    assert check_image_model("owner/name-1.0").severity is Severity.NOTE
    for wrong in ("/models/away", "./away", "~/models", "sdxl", str(tmp_path)):
        assert check_image_model(wrong).severity is Severity.ERROR
    (tmp_path / "model_index.json").write_text("{}", encoding="utf-8")
    assert check_image_model(str(tmp_path)).severity is Severity.OK


# The whole


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    """Something in the way, or no space; a good folder is left as it was."""
    assert [each.severity for each in check_data_folder(tmp_path / "data")] == [Severity.OK, Severity.OK]
    assert list((tmp_path / "data").iterdir()) == []
    assert [each.severity for each in check_data_folder(tmp_path, least=2**80)] == [Severity.OK, Severity.ERROR]
    (tmp_path / "file").write_text("", encoding="utf-8")
    (finding,) = check_data_folder(tmp_path / "file")
    assert finding.severity is Severity.ERROR and "DATA_DIR" in finding.remedy


async def test_the_command_prints_a_line_each_and_tells_in_its_status(server: Server) -> None:
    """Nothing wrong is 0; one cross makes it 1. Names are printed as they are, and long lines are not broken."""
    server.says["/slots"] = {"slots": 1, "model": "sdxl", "version": VERSION}
    config = on(server, render_urls=(server.url,), render_token=SecretStr(TOKEN))
    printed = io.StringIO()
    assert await asyncio.to_thread(doctor.run, lambda: config, VERSION, Console(file=printed, width=40)) == 0
    lines = printed.getvalue().splitlines()
    assert lines[-1] == "Nothing is wrong."
    assert all(line.startswith(("✓", "-")) for line in lines[:-1])
    assert any("Painter [beta]" in line for line in lines)
    assert any(line.endswith("permissions=309237763072") for line in lines)
    server.says[OAUTH] = APPLICATION | {"bot_require_code_grant": True, "name": "ill \x1b[2J"}
    assert await asyncio.to_thread(doctor.run, lambda: config, VERSION, Console(file=printed)) == 1
    assert printed.getvalue().endswith("1 thing is wrong.\n")
    assert "\x1b" not in printed.getvalue() and TOKEN not in printed.getvalue()


def test_every_fault_of_the_configuration_has_a_cross(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m bot doctor` does not stop at a setting that the bot would refuse to start with."""
    monkeypatch.setenv("WEB_PORT", "x")
    monkeypatch.setenv("DISCORD_API_URL", "discord.com")
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert out.count("✗ Configuration: ") == 2 and "WEB_PORT" in out and "2 things are wrong." in out
