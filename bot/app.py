"""The composition root: creates store, models, render queue and platforms, and connects them."""

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.console import Console
from adapters.web.server import WebApp
from bot.capabilities import Dialect, ModelCapabilities, RefineMode
from bot.commands.lineage import build_tree
from bot.commands.slash_commands import SlashCommands
from bot.commands.thread_export import ThreadExport
from bot.config import Config, old_variable_warnings, worker_environment
from bot.conversation.dispatcher import Dispatcher, DispatcherOptions
from bot.conversation.retention import Retention
from bot.errors import BotError
from bot.evaluation import evaluate
from bot.evaluation.protocol_probe import choose_protocol
from bot.llm.client import OpenAICompatible
from bot.llm.model_profiles import find_profile, override_profile
from bot.llm.moderation import Moderator
from bot.offline_llm import OfflineModel
from bot.ports import ChatModel, Platform
from bot.prompting.system_prompt import check_templates
from bot.queue_status import QueueStatus
from bot.settings import styles
from bot.settings.values import Settings
from bot.storage.data_lock import lock_data_dir
from bot.storage.picture_files import AsyncPictureFiles, PictureFiles
from bot.storage.store import Store
from render.images_api import request as images_api
from render.images_api.engine import ImagesApiEngine
from render.models.image_files import sanitize_upload
from render.queue.autoscaler import RayScaler, run_autoscaler
from render.queue.autoscaler import ScalingPolicy as Range
from render.queue.metrics import CountingRenderer, Metrics
from render.queue.queue import RenderQueue
from render.queue.status import measure_load, snapshot_queue
from render.worker.client import WorkerEngine
from render.worker.local_workers import LocalWorker

if TYPE_CHECKING:
    from adapters.discord.platform import Discord
    from adapters.slack.platform import Slack

log = logging.getLogger("bot")


def run(config: Config, console_user: str | None) -> None:
    """Run the bot until SIGINT or SIGTERM. Raises BotError.

    `console_user` is the name of the user in the terminal; None starts the web page and the other platforms.
    """
    _configure_logging("WARNING" if console_user else config.log_level)
    check_templates()
    asyncio.run(_run_until_signal(_serve(config, console_user)))


def run_evaluation(config: Config, suite: str, questions: Sequence[Path], limit: int | None, out: Path | None) -> None:
    """Evaluate the configured chat model and write the report into `out`, by default in DATA_DIR. Raises BotError."""
    _configure_logging("WARNING")
    check_templates()
    asyncio.run(_run_until_signal(_evaluate(config, suite, questions, limit, out)))


def _configure_logging(level: str) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx2", "httpcore2", "openai"):  # at debug level they log the text of users
        logging.getLogger(name).setLevel(logging.WARNING)
    for warning in old_variable_warnings():
        log.warning("%s", warning)


async def _serve(config: Config, console_user: str | None) -> None:
    """Create all components and run them until cancelled.

    `console_user` is the name of the user in the terminal; None starts the web page and the other platforms.
    """
    with lock_data_dir(config.data_dir):
        store = Store(config.database)
        files = PictureFiles(config.pictures_dir)
        async_files = AsyncPictureFiles(files, sanitize_upload)
        retention = Retention(store, async_files, config.retention_days) if config.retention_days else None
        if retention:
            await retention.delete_old_threads(include_open=True)
        async with open_queue(config, store, files) as line, _open_chat_models(config) as (model, others):
            metrics = Metrics(lambda: _queue_status(line), lambda job: _was_cancelled(store, job))
            line.on_batch_start(metrics.record_batch)
            refining = (
                config.improve_prompts if config.has_chat_server else RefineMode.OFF
            )  # rules cannot write prompts
            moderator = _create_moderator(config)
            desk = SlashCommands(
                store,
                queue_status=lambda: _queue_status(line),
                defaults=Settings(persona=config.persona, improve_prompts=refining),
                chat_models=(config.llm_model, *others) if others else (),
                styles=styles.load_styles(config.styles_dir),
            )
            inbox = Dispatcher(
                store,
                model,
                CountingRenderer(line, metrics),
                async_files,
                DispatcherOptions(),
                commands=desk,
                thread_export=ThreadExport(files.read),
                other_models=others,
                moderate=moderator.check if moderator else None,
            )
            platforms: Mapping[str, Platform]
            if console_user:
                platforms = {"console": Console(console_user, config.pictures_dir)}
            else:
                others_there = _create_discord(config, store, files, desk) | _create_slack(config, store, files)
                token = config.web_token.get_secret_value() if config.web_token else None
                page = WebApp(
                    store,
                    files.path,
                    config.web_host,
                    config.web_port,
                    token,
                    _print_address,
                    queue_status=lambda: _queue_status(line),
                    metrics=metrics.exposition,
                    health=lambda: {name: each.health() for name, each in others_there.items()},
                    lineage=lambda thread: build_tree(store.pictures(thread)),
                )
                platforms = {"web": page, **others_there}
            beside = [asyncio.create_task(_probe_protocol(config, model, line))]
            beside += [asyncio.create_task(retention.run_daily())] if retention else []
            try:
                await inbox.run(platforms)
            finally:
                for task in beside:
                    task.cancel()
                if moderator:
                    await moderator.close()


def _create_moderator(config: Config) -> Moderator | None:
    """Create the client of the moderation service; None if no address is configured."""
    if config.moderation_url is None:
        return None
    key = config.moderation_key.get_secret_value() if config.moderation_key else ""
    return Moderator(config.moderation_url, key, config.moderation_model)


def _create_discord(
    config: Config, store: Store, files: PictureFiles, desk: SlashCommands
) -> "dict[str, Discord | Slack]":
    """Create the Discord platform if a token is configured."""
    if config.discord_token is None:
        return {}
    from adapters.discord.platform import Account, Discord  # importing discord.py is slow

    account = Account(
        config.discord_token.get_secret_value(),
        config.discord_api_url,
        config.discord_gateway_url or "",
        config.discord_cdn_url,
        message_content=config.discord_message_content == "auto",
        guild=config.discord_guild,
    )
    return {"discord": Discord(account, store, store.posts, files.read, desk.set_note)}


def _create_slack(config: Config, store: Store, files: PictureFiles) -> "dict[str, Discord | Slack]":
    """Create the Slack platform if a token is configured."""
    if config.slack_bot_token is None:
        return {}
    from adapters.slack.platform import Account, Slack  # importing Slack's libraries is slow, too

    account = Account(
        config.slack_bot_token.get_secret_value(),
        config.slack_app_token.get_secret_value() if config.slack_app_token else "",
        config.slack_signing_secret.get_secret_value() if config.slack_signing_secret else "",
        config.slack_api_url,
        port=config.slack_port,
    )
    return {"slack": Slack(account, store, store.posts, files.read)}


def _queue_status(queue: RenderQueue) -> QueueStatus:
    return snapshot_queue(queue, asyncio.get_running_loop().time())


def _was_cancelled(store: Store, job_id: str) -> bool:
    return any(row.state == "cancelled" for row in store.jobs.find([job_id]))


def _print_address(address: str) -> None:
    print(f"\n  Mini-DALL·E 3 is at {address}\n", flush=True)  # noqa: T201


async def _evaluate(config: Config, suite: str, questions: Sequence[Path], limit: int | None, out: Path | None) -> None:
    """Evaluate the chat model with the prompts that fit the configured image model; no image is rendered."""
    abilities = _configured_capabilities(config)
    config.data_dir.mkdir(parents=True, exist_ok=True)
    out = out or config.data_dir / f"evaluation-{Path(suite).stem}.json"
    async with _open_chat_models(config) as (model, _):
        if isinstance(model, OpenAICompatible) and config.llm_protocol == "auto":
            await choose_protocol(model, config.data_dir / "probe.json", abilities)
        await evaluate(
            model,
            suite,
            name=config.llm_model if config.has_chat_server else "built-in",
            capabilities=abilities,
            persona=config.persona,
            questions=questions,
            limit=limit,
            out=out,
        )
    print(f"The whole report is in {out}.")  # noqa: T201


@asynccontextmanager
async def open_queue(config: Config, store: Store, files: PictureFiles) -> AsyncGenerator[RenderQueue]:
    """Run the render queue with an images API, with the configured workers, or with one own worker for each device."""
    supervisors: list[LocalWorker] = []
    engines: Sequence[ImagesApiEngine | WorkerEngine]
    if config.images_api_model:
        key = config.images_api_key.get_secret_value() if config.images_api_key else None
        at_once = config.images_max_concurrent
        engines = [ImagesApiEngine(config.images_api_model, config.images_base_url, key, max_concurrent=at_once)]
    elif config.render_urls:
        token = config.render_token.get_secret_value() if config.render_token else None
        engines = [WorkerEngine(url, partial(str, url), token) for url in config.render_urls]
    else:
        environment = worker_environment() | {"LOG_LEVEL": logging.getLevelName(logging.getLogger().level)}
        supervisors = [LocalWorker(config.image_model, device, environment) for device in config.render_devices]
        engines = [WorkerEngine(f"this machine, {each.device}", each.get_address, each.token) for each in supervisors]
    line = RenderQueue(
        store.jobs,
        files,
        engines,
        capabilities=_configured_capabilities(config),
        num_inference_steps=config.render_steps,
    )
    beside = [*_start_autoscaler(config, line), *(asyncio.create_task(each.run()) for each in supervisors)]
    try:
        async with asyncio.TaskGroup() as group:  # a bug in the queue ends the bot, so that operators notice it
            serving = group.create_task(line.run())
            yield line
            serving.cancel()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        for engine in engines:
            await engine.close()


def _start_autoscaler(config: Config, queue: RenderQueue) -> list[asyncio.Task[None]]:
    """Start the task that sets the number of replicas of a Ray cluster, if one is configured."""
    if not config.ray_dashboard_url:
        return []
    lowest, highest = map(int, config.ray_replicas.split("-"))
    token = config.ray_token.get_secret_value() if config.ray_token else None
    rules = Range(min_replicas=lowest, max_replicas=max(lowest, highest))
    scaler = RayScaler(config.ray_dashboard_url, config.ray_deployment, rules, token)
    return [asyncio.create_task(run_autoscaler(scaler, partial(measure_load, queue)))]


def _configured_capabilities(config: Config) -> ModelCapabilities:
    """Return the capabilities of the image model by its name; they hold until a worker reports the real ones."""
    if config.images_api_model:
        return images_api.model_capabilities(config.images_api_model)
    return ModelCapabilities(dialect=Dialect.SCENES) if config.image_model == "builtin" else ModelCapabilities()


@asynccontextmanager
async def _open_chat_models(config: Config) -> AsyncGenerator[tuple[ChatModel, dict[str, ChatModel]]]:
    """Open the default chat model, and the others that users may choose, by name."""
    if not config.has_chat_server:
        log.info("no chat server is configured (OPENAI_BASE_URL or OPENAI_API_KEY): using the built-in chat model")
        yield OfflineModel(), {}
        return
    names = dict.fromkeys((config.llm_model, *config.llm_models))
    models = {name: _create_chat_model(config, name) for name in names}
    try:
        yield models[config.llm_model], {name: models[name] for name in names if name != config.llm_model}
    finally:
        for model in models.values():
            await model.close()


def _create_chat_model(config: Config, name: str) -> OpenAICompatible:
    key = config.openai_api_key.get_secret_value() if config.openai_api_key else None
    profile = override_profile(
        find_profile(name, config.openai_base_url or ""),
        protocol=config.llm_protocol,
        vision=config.llm_vision,
        context=config.llm_context,
    )
    return OpenAICompatible(name, config.openai_base_url, key, model_profile=profile)


async def _probe_protocol(config: Config, model: ChatModel, queue: RenderQueue) -> None:
    """Run the protocol probe as soon as the capabilities of the image model are known."""
    if isinstance(model, OpenAICompatible) and config.llm_protocol == "auto":
        await queue.capabilities_ready.wait()
        await choose_protocol(model, config.data_dir / "probe.json", queue.capabilities)


async def _run_until_signal(coroutine: Coroutine[None, None, None]) -> None:
    """Run the coroutine until it ends, or until SIGINT or SIGTERM. Raises the first BotError of an exception group."""
    task = asyncio.ensure_future(coroutine)
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
