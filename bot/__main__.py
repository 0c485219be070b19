"""`python -m bot`: the command line, and the one place where the pieces are put together."""

import argparse
import asyncio
import fcntl
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from adapters.console import Console
from adapters.web.server import WebPage
from bot.config import Config, load_config, worker_environment
from bot.domain import Operation, Picture
from bot.errors import BotError, ConfigError
from bot.files import PictureFiles
from bot.inbox import Conversations, Rules
from bot.llm import OpenAICompatible
from bot.offline_llm import OfflineModel
from bot.ports import ChatModel, Platform
from bot.store import Store
from render.engine import WorkerEngine
from render.pictures import sanitise
from render.queue import Line
from render.supervisor import Supervisor

SYSTEM = Path(__file__).parent.parent / "prompts" / "system.md"

log = logging.getLogger("bot")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="A bot for teams that talks and draws.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="serve the web page, and every platform that has a token (the default)")
    chat = commands.add_parser("chat", help="talk in this terminal")
    chat.add_argument("--name", default="You", help="the name you speak under")
    options = parser.parse_args(arguments)
    try:
        config = load_config()
        level = logging.WARNING if options.command == "chat" else config.log_level
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for noisy in ("httpx2", "httpcore2", "openai"):  # at debug level they log people's words
            logging.getLogger(noisy).setLevel(logging.WARNING)
        asyncio.run(_until_told(_serve(config, options.name if options.command == "chat" else None)))
    except BotError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


async def _serve(config: Config, talker: str | None) -> None:
    """Put the pieces together, and run them until cancelled; `talker` is who talks in the terminal, if anybody."""
    with only_bot(config.data_dir):
        store = Store(config.data_dir / "minidalle.sqlite")
        files = PictureFiles(config.data_dir / "pictures")
        async with _renderer(config, store, files) as line, _chat_model(config) as model:
            inbox = Conversations(store, model, line, intake(files), Rules(SYSTEM.read_text(encoding="utf-8")))
            platforms: Mapping[str, Platform]
            if talker:
                platforms = {"console": Console(talker, config.data_dir / "pictures")}
            else:
                token = config.web_token.get_secret_value() if config.web_token else None
                page = WebPage(store, files.path, config.web_host, config.web_port, token, _greet)
                platforms = {"web": page}
            await inbox.run(platforms)


def _greet(address: str) -> None:
    print(f"\n  Mini-DALL·E 3 is at {address}\n", flush=True)


@asynccontextmanager
async def _renderer(config: Config, store: Store, files: PictureFiles) -> AsyncGenerator[Line]:
    """The line before the worker that is named, or before one of our own."""
    supervisor: Supervisor | None = None
    if config.render_url:
        token = config.render_token.get_secret_value() if config.render_token else None
        engine = WorkerEngine(lambda: config.render_url, token)
    else:
        environment = worker_environment() | {"LOG_LEVEL": logging.getLevelName(logging.getLogger().level)}
        supervisor = Supervisor(config.picture_model, config.render_device, environment)
        engine = WorkerEngine(supervisor.where, supervisor.token)
    line = Line(store, files, engine, config.render_steps)
    tasks = [asyncio.create_task(line.run())]
    if supervisor:
        tasks.append(asyncio.create_task(supervisor.run()))
    try:
        yield line
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await engine.close()


@asynccontextmanager
async def _chat_model(config: Config) -> AsyncGenerator[ChatModel]:
    if not config.has_chat_server:
        log.info("no chat server is set: the built-in chat model answers (OPENAI_BASE_URL or OPENAI_API_KEY)")
        yield OfflineModel()
        return
    key = config.openai_api_key.get_secret_value() if config.openai_api_key else None
    model = OpenAICompatible(config.llm_model, config.openai_base_url, key)
    try:
        yield model
    finally:
        await model.close()


def intake(files: PictureFiles) -> Callable[[bytes], "asyncio.Future[Picture]"]:
    """What makes a safe picture of an upload and keeps it; it decodes off the loop, and raises Refused."""

    def take_in(data: bytes) -> Picture:
        png, width, height = sanitise(data)
        digest = files.put(png)
        return Picture(0, digest, width, height, prompt="", alt="An uploaded picture", operation=Operation.UPLOAD)

    def start(data: bytes) -> "asyncio.Future[Picture]":
        return asyncio.get_running_loop().run_in_executor(None, take_in, data)

    return start


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
