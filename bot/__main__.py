"""`python -m bot`: the command line, and the one place where the pieces are put together."""

import argparse
import asyncio
import fcntl
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.console import Console
from adapters.web.server import WebPage
from bot import doctor, queue_command, record_command, styles
from bot.abilities import Abilities, Dialect, Refining
from bot.config import Config, load_config, worker_environment
from bot.desk import Desk
from bot.domain import Operation, Picture
from bot.errors import BotError, ConfigError
from bot.evaluation import evaluate
from bot.files import PictureFiles
from bot.inbox import Conversations, Rules
from bot.lineage import tree
from bot.lineup import Lineup
from bot.llm import OpenAICompatible
from bot.moderation import Moderator
from bot.offline_llm import OfflineModel
from bot.panel import Settings
from bot.papers import Papers
from bot.ports import ChatModel, Platform
from bot.probe import settle
from bot.profiles import profile, settled
from bot.prompts import check
from bot.replay import replay
from bot.retention import Retention
from bot.store import Store
from render import images_api, models_command
from render.engine import WorkerEngine
from render.forecast import forecast
from render.hosted import HostedEngine
from render.lineup import lineup, load
from render.metrics import Counted, Metrics
from render.pictures import sanitise
from render.queue import Line
from render.scaling import RayScaler, keep_scaled
from render.scaling import Rules as Range
from render.supervisor import Supervisor
from render.wire import VERSION

if TYPE_CHECKING:
    from adapters.discord.gateway import Discord
    from adapters.slack.socket import Slack

log = logging.getLogger("bot")

DATABASE = "minidalle.sqlite"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="A bot for teams that talks and draws.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="serve the web page, and every platform that has a token (the default)")
    chat = commands.add_parser("chat", help="talk in this terminal")
    chat.add_argument("--name", default="You", help="the name you speak under")
    told = commands.add_parser("replay", help="tell what the bot would make of recorded answers of a chat model")
    told.add_argument("file", type=Path, help="a file of JSON Lines, see docs/chat-models.md")
    judged = commands.add_parser("evaluate", help="judge the chat model that is set: does it draw when it should?")
    judged.add_argument("--suite", required=True, help="`decisions`, `interleaving`, `abilities`, or a file")
    judged.add_argument("--limit", type=int, help="only the first so many dialogues or questions")
    judged.add_argument(
        "--questions",
        type=Path,
        action="append",
        default=[],
        help="a file that is asked in the place of those that are shipped; may be given several times",
    )
    judged.add_argument("--out", type=Path, help="a JSON file for the report (default: in DATA_DIR)")
    queue_command.add_arguments(commands)
    record_command.add_arguments(commands)
    models_command.add_arguments(commands)
    commands.add_parser("doctor", help="try everything that is set, and tell what is wrong and how to mend it")
    options = parser.parse_args(arguments)
    try:
        if options.command == "replay":
            for line in replay(options.file):
                print(line)
            return 0
        if options.command == "doctor":
            return doctor.run(load_config, VERSION)
        config = load_config()
        if options.command in record_command.COMMANDS:
            record_command.run(options, config.data_dir / DATABASE, config.data_dir / "pictures")
            return 0
        if options.command == "queue":
            queue_command.run(options, config.data_dir / DATABASE, forecast)
            return 0
        if options.command == "models":
            models_command.run(options, config.picture_model)
            return 0
        level = logging.WARNING if options.command in ("chat", "evaluate") else config.log_level
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for noisy in ("httpx2", "httpcore2", "openai"):  # at debug level they log people's words
            logging.getLogger(noisy).setLevel(logging.WARNING)
        check()
        if options.command == "evaluate":
            asyncio.run(_until_told(_evaluate(config, options)))
            return 0
        asyncio.run(_until_told(_serve(config, options.name if options.command == "chat" else None)))
    except BotError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


async def _serve(config: Config, talker: str | None) -> None:
    """Put the pieces together, and run them until cancelled; `talker` is who talks in the terminal, if anybody."""
    with only_bot(config.data_dir):
        store = Store(config.data_dir / DATABASE)
        files = PictureFiles(config.data_dir / "pictures")
        retention = Retention(store, Album(files), config.retention_days) if config.retention_days else None
        if retention:
            await retention.sweep(answering=True)
        async with _renderer(config, store, files) as line, _chat_models(config) as (model, others):
            metrics = Metrics(lambda: _look(line), lambda job: _was_cancelled(store, job))
            line.began = metrics.began
            refining = config.refine if config.has_chat_server else Refining.OFF  # rules cannot write a prompt
            moderator = _moderator(config)
            desk = Desk(
                store,
                lineup=lambda: _look(line),
                defaults=Settings(persona=config.persona, refine=refining),
                chat_models=(config.llm_model, *others) if others else (),
                styles=styles.read(config.styles),
            )
            inbox = Conversations(
                store, model, Counted(line, metrics), Album(files), Rules(),
                desk=desk, papers=Papers(files.read), others=others, moderate=moderator.check if moderator else None,
            )  # fmt: skip
            platforms: Mapping[str, Platform]
            if talker:
                platforms = {"console": Console(talker, config.data_dir / "pictures")}
            else:
                others_there = _discord(config, store, files, desk) | _slack(config, store, files)
                token = config.web_token.get_secret_value() if config.web_token else None
                page = WebPage(
                    store, files.path, config.web_host, config.web_port, token, _greet,
                    lineup=lambda: _look(line), metrics=metrics.page,
                    health=lambda: {name: each.health() for name, each in others_there.items()},
                    lineage=lambda thread: tree(store.pictures(thread)),
                )  # fmt: skip
                platforms = {"web": page, **others_there}
            beside = [asyncio.create_task(_probe(config, model, line))]
            beside += [asyncio.create_task(retention.keep())] if retention else []
            try:
                await inbox.run(platforms)
            finally:
                for task in beside:
                    task.cancel()
                if moderator:
                    await moderator.close()


def _moderator(config: Config) -> Moderator | None:
    """Who is asked about prompts, if anybody."""
    if config.moderation_url is None:
        return None
    key = config.moderation_key.get_secret_value() if config.moderation_key else ""
    return Moderator(config.moderation_url, key, config.moderation_model)


def _discord(config: Config, store: Store, files: PictureFiles, desk: Desk) -> "dict[str, Discord | Slack]":
    """Discord, if there is a token for it."""
    if config.discord_token is None:
        return {}
    from adapters.discord.gateway import Account, Discord  # discord.py takes a while to import

    def tell(note: str) -> None:
        desk.note = note

    account = Account(
        config.discord_token.get_secret_value(),
        config.discord_api_url,
        config.discord_gateway_url or "",
        config.discord_cdn_url,
        content=config.discord_message_content == "auto",
        guild=config.discord_guild,
    )
    return {"discord": Discord(account, store, store.posts, files.read, tell)}


def _slack(config: Config, store: Store, files: PictureFiles) -> "dict[str, Discord | Slack]":
    """Slack, if there is a token for it."""
    if config.slack_bot_token is None:
        return {}
    from adapters.slack.socket import Account, Slack  # so do Slack's libraries

    account = Account(
        config.slack_bot_token.get_secret_value(),
        config.slack_app_token.get_secret_value() if config.slack_app_token else "",
        config.slack_signing_secret.get_secret_value() if config.slack_signing_secret else "",
        config.slack_api_url,
        port=config.slack_port,
    )
    return {"slack": Slack(account, store, store.posts, files.read)}


def _look(line: Line) -> Lineup:
    return lineup(line, asyncio.get_running_loop().time())


def _was_cancelled(store: Store, job_id: str) -> bool:
    return any(row.state == "cancelled" for row in store.jobs.find([job_id]))


def _greet(address: str) -> None:
    print(f"\n  Mini-DALL·E 3 is at {address}\n", flush=True)


async def _evaluate(config: Config, options: argparse.Namespace) -> None:
    """Judge the chat model, as it would be used before the picture model that is set; nothing is painted."""
    abilities = _abilities(config)
    config.data_dir.mkdir(parents=True, exist_ok=True)
    out = options.out or config.data_dir / f"evaluation-{Path(options.suite).stem}.json"
    async with _chat_models(config) as (model, _):
        if isinstance(model, OpenAICompatible) and config.llm_protocol == "auto":
            await settle(model, config.data_dir / "probe.json", abilities)
        await evaluate(
            model,
            options.suite,
            name=config.llm_model if config.has_chat_server else "built-in",
            abilities=abilities,
            persona=config.persona,
            questions=options.questions,
            limit=options.limit,
            out=out,
        )
    print(f"The whole report is in {out}.")


@asynccontextmanager
async def _renderer(config: Config, store: Store, files: PictureFiles) -> AsyncGenerator[Line]:
    """The line before an images API, before the workers that are named, or before our own, one a device."""
    supervisors: list[Supervisor] = []
    engines: Sequence[HostedEngine | WorkerEngine]
    if config.hosted_model:
        key = config.images_api_key.get_secret_value() if config.images_api_key else None
        at_once = config.images_at_once
        engines = [HostedEngine(config.hosted_model, config.images_base_url, key, at_once=at_once)]
    elif config.render_urls:
        token = config.render_token.get_secret_value() if config.render_token else None
        engines = [WorkerEngine(url, partial(str, url), token) for url in config.render_urls]
    else:
        environment = worker_environment() | {"LOG_LEVEL": logging.getLevelName(logging.getLogger().level)}
        supervisors = [Supervisor(config.picture_model, device, environment) for device in config.render_devices]
        engines = [WorkerEngine(f"this machine, {each.device}", each.where, each.token) for each in supervisors]
    line = Line(store.jobs, files, engines, abilities=_abilities(config), num_inference_steps=config.render_steps)
    beside = [*_scaling(config, line), *(asyncio.create_task(each.run()) for each in supervisors)]
    try:
        async with asyncio.TaskGroup() as group:  # a line that met a bug takes the bot along, and so is noticed
            serving = group.create_task(line.run())
            yield line
            serving.cancel()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for engine in engines:
            await engine.close()


def _scaling(config: Config, line: Line) -> list[asyncio.Task[None]]:
    """Where a Ray cluster is named, it is told how many painters the line needs."""
    if not config.ray_dashboard_url:
        return []
    lowest, highest = map(int, config.ray_painters.split("-"))
    token = config.ray_token.get_secret_value() if config.ray_token else None
    rules = Range(lowest=lowest, highest=max(lowest, highest))
    scaler = RayScaler(config.ray_dashboard_url, config.ray_deployment, rules, token)
    return [asyncio.create_task(keep_scaled(scaler, partial(load, line)))]


def _abilities(config: Config) -> Abilities:
    """What the picture model can do, as far as its name tells, until a worker says it."""
    if config.hosted_model:
        return images_api.abilities(config.hosted_model)
    return Abilities(dialect=Dialect.SCENES) if config.picture_model == "builtin" else Abilities()


@asynccontextmanager
async def _chat_models(config: Config) -> AsyncGenerator[tuple[ChatModel, dict[str, ChatModel]]]:
    """Who answers, and who else may be chosen to."""
    if not config.has_chat_server:
        log.info("no chat server is set: the built-in chat model answers (OPENAI_BASE_URL or OPENAI_API_KEY)")
        yield OfflineModel(), {}
        return
    names = dict.fromkeys((config.llm_model, *config.llm_models))
    models = {name: _on_server(config, name) for name in names}
    try:
        yield models[config.llm_model], {name: models[name] for name in names if name != config.llm_model}
    finally:
        for model in models.values():
            await model.close()


def _on_server(config: Config, name: str) -> OpenAICompatible:
    key = config.openai_api_key.get_secret_value() if config.openai_api_key else None
    manners = settled(
        profile(name, config.openai_base_url or ""),
        protocol=config.llm_protocol,
        vision=config.llm_vision,
        context=config.llm_context,
    )
    return OpenAICompatible(name, config.openai_base_url, key, manners=manners)


async def _probe(config: Config, model: ChatModel, line: Line) -> None:
    """Find out how the chat model asks for pictures best, once it is known what the picture model can do."""
    if isinstance(model, OpenAICompatible) and config.llm_protocol == "auto":
        await line.introduced.wait()
        await settle(model, config.data_dir / "probe.json", line.abilities)


class Album:
    """The files of pictures, off the loop: decoding takes a while."""

    def __init__(self, files: PictureFiles) -> None:
        self._files = files

    async def take_in(self, upload: bytes) -> Picture:
        """A safe picture of an uploaded file, which is kept. Raises Refused."""
        return await asyncio.to_thread(self._take_in, upload)

    async def glance(self, digest: str) -> bytes:
        """The picture as a small JPEG. Raises OSError."""
        return await asyncio.to_thread(self._files.glance, digest)

    async def throw_away(self, digest: str) -> None:
        """Delete the file of a picture, if it is there. Raises OSError."""
        await asyncio.to_thread(self._files.delete, digest)

    def _take_in(self, upload: bytes) -> Picture:
        png, width, height = sanitise(upload)
        digest = self._files.put(png)
        return Picture(0, digest, width, height, prompt="", alt="An uploaded picture", operation=Operation.UPLOAD)


@contextmanager
def only_bot(data_dir: Path) -> Generator[None]:
    """Hold the folder while the bot runs. Raises ConfigError if another bot has it, or it cannot be written."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with (data_dir / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise ConfigError(f"Another bot runs on {data_dir}: stop it, or set another DATA_DIR.") from None
    except PermissionError as error:
        raise ConfigError(f"DATA_DIR {data_dir} cannot be written: {error.strerror}.") from error


async def _until_told(work: Coroutine[None, None, None]) -> None:
    """Run the work until it ends, or until SIGINT or SIGTERM; the first known fault in it is raised as itself."""
    task = asyncio.ensure_future(work)
    for told in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(told, task.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await task
    except ExceptionGroup as group:
        known, _ = group.split(BotError)
        while isinstance(known, ExceptionGroup):
            known = known.exceptions[0]  # type: ignore[assignment]
        raise known or group from None


if __name__ == "__main__":
    sys.exit(main())
