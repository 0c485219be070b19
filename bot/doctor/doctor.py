"""`python -m bot doctor`: checks everything that an operator can get wrong, with remedies. Prints no secret."""

import asyncio
import os
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile

from pydantic import SecretStr, TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from bot.config import Config, old_variable_warnings, worker_environment
from bot.doctor.checks import TIME_LIMIT, Check, NoAnswer, Severity, auth_headers, get_json, origin
from bot.doctor.discord import check_discord
from bot.doctor.images_api import check_images_api
from bot.doctor.slack import check_slack
from bot.errors import ConfigError
from bot.formatting import format_count

_PROJECT_ROOT = Path(__file__).parents[2]  # where `render` is, from wherever the bot was started
_GPU_INFO_COMMAND = (sys.executable, "-m", "render.worker.gpu_info")
SLOWEST_IMPORT = 120.0  # seconds: torch is large, and the disk may be slow
LEAST_SPACE = 2**30  # bytes
OPENAI = "https://api.openai.com/v1"


def run(load: Callable[[], Config], version: int, console: Console | None = None) -> int:
    """Check the configuration that `load` returns, and print the results; 1 if there is an error.

    `version` is that of the protocol of the workers.
    """
    console, marks = console or Console(), list[Severity]()

    def show(finding: Check) -> None:
        marks.append(finding.severity)
        console.print(_format_check(finding), soft_wrap=True)

    try:
        config = load()
    except ConfigError as error:
        for fault in str(error).splitlines():
            show(Check(Severity.ERROR, "Configuration", fault))
    else:
        show(Check(Severity.OK, "Configuration", "All settings are understood."))
        for warning in old_variable_warnings():
            show(Check(Severity.NOTE, "Configuration", warning))
        asyncio.run(run_checks(config, version, show))
    wrong = marks.count(Severity.ERROR)
    console.print(f"{format_count(wrong, 'thing is', 'things are')} wrong." if wrong else "Nothing is wrong.")
    return 1 if wrong else 0


async def run_checks(config: Config, version: int, show: Callable[[Check], None]) -> None:
    """Run all checks at once, and show their results in order."""
    async with asyncio.TaskGroup() as group:
        checks = [
            group.create_task(check)
            for check in (
                asyncio.to_thread(check_data_folder, config.data_dir),
                check_chat_model(config),
                check_rendering(config, version),
                check_discord(config),
                check_slack(config),
            )
        ]
        for task in checks:
            for finding in await task:
                show(finding)


def _format_check(check: Check) -> Text:
    style = {Severity.OK: "green", Severity.NOTE: "yellow", Severity.ERROR: "bold red"}[check.severity]
    words = f" {check.subject}: {check.message} {check.remedy}".rstrip()
    plain = "".join(letter if letter.isprintable() else " " for letter in words)  # it may contain text of servers
    return Text.assemble((check.severity.value, style), plain)


# This machine


def check_data_folder(folder: Path, least: int = LEAST_SPACE) -> list[Check]:
    """Check that the folder of the database and images can be written and has `least` bytes free."""
    cure = "Let the bot's user write there, or set another DATA_DIR."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            locked = [path.name for path in folder.iterdir() if not os.access(path, os.W_OK)]
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [Check(Severity.ERROR, "Data", f"{folder} cannot be written: {error.strerror}.", cure)]
    if locked:
        return [Check(Severity.ERROR, "Data", f"{', '.join(sorted(locked))} in {folder} cannot be written.", cure)]
    told = f"{free / 2**30:,.1f} GiB are free."
    enough = free >= least
    space = Check(
        Severity.OK if enough else Severity.ERROR, "Disk", told, "" if enough else "Make room, or move DATA_DIR."
    )
    return [Check(Severity.OK, "Data", f"{folder} can be written."), space]


async def check_rendering(config: Config, version: int, limit: float = TIME_LIMIT) -> list[Check]:
    """Check that images can be rendered: by an images API, by the configured workers, or on this machine."""
    if config.images_api_model:
        return await check_images_api(config, config.images_api_model, limit)
    if config.render_urls:
        asked = (_check_worker(url, config.render_token, version, limit) for url in config.render_urls)
        return list(await asyncio.gather(*asked))
    seen = await inspect_environment(_GPU_INFO_COMMAND, SLOWEST_IMPORT)
    return [seen if isinstance(seen, Check) else check_devices(config, seen), check_image_model(config.image_model)]


@dataclass(frozen=True, slots=True)
class _WorkerSlots:
    slots: int = 0
    model: str = ""
    trouble: str | None = None
    version: int = 0


async def _check_worker(url: str, token: SecretStr | None, version: int, limit: float) -> Check:
    about = f"Render worker {origin(url)}"
    try:
        told = await get_json(f"{url.rstrip('/')}/slots", _WorkerSlots, auth_headers("Bearer", token), limit=limit)
    except NoAnswer as error:
        refused = error.status in (401, 403)
        cure = "Give RENDER_TOKEN the worker's value." if refused else "Start the worker, or correct RENDER_URLS."
        return Check(Severity.ERROR, about, f"It {error}.", cure)
    if told.version != version:
        return Check(Severity.ERROR, about, "It is of another version than the bot.", "Update the older one.")
    if told.trouble:
        return Check(Severity.ERROR, about, f"It cannot paint: {told.trouble}", "Its log says more.")
    if not told.slots:
        return Check(Severity.NOTE, about, "It still loads its model.", "Ask again in a minute.")
    return Check(Severity.OK, about, f"It paints with {told.model}.")


@dataclass(frozen=True, slots=True)
class RenderEnvironment:
    """The render environment of this machine: missing modules, and the names of the GPUs."""

    missing: list[str]
    gpus: list[str]


async def inspect_environment(command: Sequence[str], limit: float) -> RenderEnvironment | Check:
    """Inspect the GPUs in a child process, because the bot itself never imports torch. `limit` is in seconds."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=DEVNULL, env=worker_environment(), cwd=_PROJECT_ROOT
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), limit)
        return TypeAdapter(RenderEnvironment).validate_json(out.splitlines()[-1])
    except TimeoutError:
        told = f"torch was not loaded within {limit:g} s."
        return Check(Severity.ERROR, "Drawing", told, "See whether the GPU hangs, with nvidia-smi, or the disk.")
    except (IndexError, ValidationError):
        told = "torch is installed, but cannot be loaded."
        return Check(Severity.ERROR, "Drawing", told, f"Run `{' '.join(command)}`, and mend what it says.")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def check_devices(config: Config, environment: RenderEnvironment) -> Check:
    """Check that the configured devices exist."""
    if environment.missing:
        cure = "Install the `render` extra with `make install`, or name a worker elsewhere in RENDER_URLS."
        return Check(Severity.ERROR, "Drawing", f"{', '.join(environment.missing)} cannot be found.", cure)
    gpus = ", ".join(f"cuda:{number} {name}" for number, name in enumerate(environment.gpus)) or "none"
    lacking = []
    for device in config.render_devices:
        kind, _, number = device.partition(":")
        if kind == "cuda" and not int(number if number.isdecimal() else 0) < len(environment.gpus):
            lacking.append(device)
    if lacking:
        cure = "Correct RENDER_DEVICES, or the GPU's driver: `nvidia-smi` must list it."
        return Check(Severity.ERROR, "Drawing", f"There is no {', '.join(lacking)} here; GPUs: {gpus}.", cure)
    if environment.gpus:
        return Check(Severity.OK, "Drawing", f"torch is installed; GPUs: {gpus}.")
    if config.image_model == "builtin":
        return Check(Severity.OK, "Drawing", "torch is installed; no GPU is seen, and the built-in model needs none.")
    told = "torch is installed, but sees no GPU: the processor paints, which takes minutes a picture."
    return Check(Severity.NOTE, "Drawing", told, "With a GPU, install its driver and a torch that is built for it.")


def check_image_model(name: str) -> Check:
    """Check that the image model exists, as far as possible without loading it."""
    about, folder = "Picture model", Path(name)
    if name == "builtin":
        return Check(Severity.OK, about, "The built-in one.")
    if folder.is_dir():
        if (folder / "model_index.json").is_file():
            return Check(Severity.OK, about, f"The folder {name}.")
        told = f"The folder {name} holds no diffusers pipeline: it has no model_index.json."
        return Check(Severity.ERROR, about, told, "Correct IMAGE_MODEL.")
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return Check(Severity.NOTE, about, f"{name} is fetched from the Hugging Face hub, unless it was before.")
    told = f"{name} is neither a folder nor the hub id of a model, such as owner/name."
    return Check(Severity.ERROR, about, told, "Correct IMAGE_MODEL; `~` and variables are not replaced in it.")


# The chat server


@dataclass(frozen=True, slots=True)
class _ListedModel:
    id: str
    owned_by: str | None = None


@dataclass(frozen=True, slots=True)
class _ModelList:
    data: list[_ListedModel] | None  # Ollama's word for none


async def check_chat_model(config: Config, limit: float = TIME_LIMIT) -> list[Check]:
    """Check that the chat server answers, and has the configured models."""
    about = "Chat model"
    if not config.has_chat_server:
        if {"llm_model", "llm_models"} & config.model_fields_set:
            cure = "Set OPENAI_BASE_URL or OPENAI_API_KEY, too."
            return [Check(Severity.ERROR, about, "A model is named, but no server: the built-in one talks.", cure)]
        return [Check(Severity.OK, about, "The built-in one; OPENAI_BASE_URL or OPENAI_API_KEY connects a real one.")]
    base = (config.openai_base_url or OPENAI).rstrip("/")
    server = f"The server {origin(base)}"
    headers = auth_headers("Bearer", config.openai_api_key)
    try:  # a proxy in the environment is taken, as the chat model's own client does
        listed = (await get_json(f"{base}/models", _ModelList, headers, limit=limit, trust_env=True)).data or []
    except NoAnswer as error:
        if error.status in (404, 405) and base.endswith("/v1"):
            return [
                Check(Severity.NOTE, about, f"{server} answers, but lists no models: {config.llm_model} is a guess.")
            ]
        cures = {401: "Check OPENAI_API_KEY.", 403: "Check OPENAI_API_KEY."}
        cures |= dict.fromkeys((200, 404, 405), "Check OPENAI_BASE_URL: with most servers it ends in /v1.")
        cure = cures.get(error.status, "See whether it runs and can be reached from here, or correct OPENAI_BASE_URL.")
        return [Check(Severity.ERROR, about, f"{server} {error}.", cure)]
    names = [each.id for each in listed]
    if [each.owned_by for each in listed] == ["llamacpp"]:  # it serves its one model under any name
        return [Check(Severity.OK, about, f"{server} talks with {names[0]}.")]
    return [
        _check_listed_model(server, model, names) for model in dict.fromkeys((config.llm_model, *config.llm_models))
    ]


def _check_listed_model(server: str, model: str, names: Sequence[str]) -> Check:
    if {model, f"{model}:latest", f"models/{model}"} & set(names):  # Ollama and Gemini list them so
        return Check(Severity.OK, "Chat model", f"{server} has {model}.")
    there = ", ".join(get_close_matches(model, names, 3, 0.3) or names[:3]) or "none"
    cure = f"Correct LLM_MODEL or LLM_MODELS, or load it there. Of those that are there: {there}."
    return Check(Severity.ERROR, "Chat model", f"{server} has no {model}.", cure)
