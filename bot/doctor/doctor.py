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

from bot.config import Config, worker_environment
from bot.doctor.checks import TIME_LIMIT, Finding, Mark, NoAnswer, bearer, get, origin
from bot.doctor.discord import discord
from bot.doctor.images_api import images
from bot.doctor.slack import slack
from bot.errors import ConfigError
from bot.formatting import count_of

_BESIDE_US = Path(__file__).parents[2]  # contains `render`; the bot may have been started in another folder
_LOOK = (sys.executable, "-m", "render.worker.gpu_info")
SLOWEST_IMPORT = 120.0  # seconds: torch is large, and the disk may be slow
LEAST_SPACE = 2**30  # bytes
OPENAI = "https://api.openai.com/v1"


def run(load: Callable[[], Config], version: int, console: Console | None = None) -> int:
    """Check the configuration that `load` returns, and print the results; 1 if there is an error.

    `version` is that of the protocol of the workers.
    """
    console, marks = console or Console(), list[Mark]()

    def show(finding: Finding) -> None:
        marks.append(finding.mark)
        console.print(_line(finding), soft_wrap=True)

    try:
        config = load()
    except ConfigError as error:
        for fault in str(error).splitlines():
            show(Finding(Mark.WRONG, "Configuration", fault))
    else:
        show(Finding(Mark.GOOD, "Configuration", "All settings are understood."))
        asyncio.run(examine(config, version, show))
    wrong = marks.count(Mark.WRONG)
    console.print(f"{count_of(wrong, 'thing is', 'things are')} wrong." if wrong else "Nothing is wrong.")
    return 1 if wrong else 0


async def examine(config: Config, version: int, show: Callable[[Finding], None]) -> None:
    """Run all checks at once, and show their results in order."""
    async with asyncio.TaskGroup() as group:
        checks = [
            group.create_task(check)
            for check in (
                asyncio.to_thread(data, config.data_dir),
                chat(config),
                drawing(config, version),
                discord(config),
                slack(config),
            )
        ]
        for task in checks:
            for finding in await task:
                show(finding)


def _line(finding: Finding) -> Text:
    style = {Mark.GOOD: "green", Mark.NOTE: "yellow", Mark.WRONG: "bold red"}[finding.mark]
    words = f" {finding.about}: {finding.told} {finding.cure}".rstrip()
    plain = "".join(letter if letter.isprintable() else " " for letter in words)  # a part of it comes from servers
    return Text.assemble((finding.mark.value, style), plain)


# This machine


def data(folder: Path, least: int = LEAST_SPACE) -> list[Finding]:
    """Check that the folder of the database and images can be written and has `least` bytes free."""
    cure = "Let the bot's user write there, or set another DATA_DIR."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            locked = [path.name for path in folder.iterdir() if not os.access(path, os.W_OK)]
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return [Finding(Mark.WRONG, "Data", f"{folder} cannot be written: {error.strerror}.", cure)]
    if locked:
        return [Finding(Mark.WRONG, "Data", f"{', '.join(sorted(locked))} in {folder} cannot be written.", cure)]
    told = f"{free / 2**30:,.1f} GiB are free."
    enough = free >= least
    space = Finding(Mark.GOOD if enough else Mark.WRONG, "Disk", told, "" if enough else "Make room, or move DATA_DIR.")
    return [Finding(Mark.GOOD, "Data", f"{folder} can be written."), space]


async def drawing(config: Config, version: int, limit: float = TIME_LIMIT) -> list[Finding]:
    """Check that images can be rendered: by an images API, by the configured workers, or on this machine."""
    if config.hosted_model:
        return await images(config, config.hosted_model, limit)
    if config.render_urls:
        asked = (_worker(url, config.render_token, version, limit) for url in config.render_urls)
        return list(await asyncio.gather(*asked))
    seen = await look(_LOOK, SLOWEST_IMPORT)
    return [seen if isinstance(seen, Finding) else devices(config, seen), picture_model(config.picture_model)]


@dataclass(frozen=True, slots=True)
class _Slots:
    slots: int = 0
    model: str = ""
    trouble: str | None = None
    version: int = 0


async def _worker(url: str, token: SecretStr | None, version: int, limit: float) -> Finding:
    about = f"Render worker {origin(url)}"
    try:
        told = await get(f"{url.rstrip('/')}/slots", _Slots, bearer("Bearer", token), limit=limit)
    except NoAnswer as error:
        refused = error.status in (401, 403)
        cure = "Give RENDER_TOKEN the worker's value." if refused else "Start the worker, or correct RENDER_URLS."
        return Finding(Mark.WRONG, about, f"It {error}.", cure)
    if told.version != version:
        return Finding(Mark.WRONG, about, "It is of another version than the bot.", "Update the older one.")
    if told.trouble:
        return Finding(Mark.WRONG, about, f"It cannot paint: {told.trouble}", "Its log says more.")
    if not told.slots:
        return Finding(Mark.NOTE, about, "It still loads its model.", "Ask again in a minute.")
    return Finding(Mark.GOOD, about, f"It paints with {told.model}.")


@dataclass(frozen=True, slots=True)
class Seen:
    """The render environment of this machine: missing modules, and the names of the GPUs."""

    missing: list[str]
    gpus: list[str]


async def look(command: Sequence[str], limit: float) -> Seen | Finding:
    """Inspect the GPUs in a child process, because the bot itself never imports torch. `limit` is in seconds."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=DEVNULL, env=worker_environment(), cwd=_BESIDE_US
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), limit)
        return TypeAdapter(Seen).validate_json(out.splitlines()[-1])
    except TimeoutError:
        told = f"torch was not loaded within {limit:g} s."
        return Finding(Mark.WRONG, "Drawing", told, "See whether the GPU hangs, with nvidia-smi, or the disk.")
    except (IndexError, ValidationError):
        told = "torch is installed, but cannot be loaded."
        return Finding(Mark.WRONG, "Drawing", told, f"Run `{' '.join(command)}`, and mend what it says.")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def devices(config: Config, seen: Seen) -> Finding:
    """Check that the configured devices exist."""
    if seen.missing:
        cure = "Install the `render` extra with `make install`, or name a worker elsewhere in RENDER_URLS."
        return Finding(Mark.WRONG, "Drawing", f"{', '.join(seen.missing)} cannot be found.", cure)
    gpus = ", ".join(f"cuda:{number} {name}" for number, name in enumerate(seen.gpus)) or "none"
    lacking = []
    for device in config.render_devices:
        kind, _, number = device.partition(":")
        if kind == "cuda" and not int(number if number.isdecimal() else 0) < len(seen.gpus):
            lacking.append(device)
    if lacking:
        cure = "Correct RENDER_DEVICES, or the GPU's driver: `nvidia-smi` must list it."
        return Finding(Mark.WRONG, "Drawing", f"There is no {', '.join(lacking)} here; GPUs: {gpus}.", cure)
    if seen.gpus:
        return Finding(Mark.GOOD, "Drawing", f"torch is installed; GPUs: {gpus}.")
    if config.picture_model == "builtin":
        return Finding(Mark.GOOD, "Drawing", "torch is installed; no GPU is seen, and the built-in model needs none.")
    told = "torch is installed, but sees no GPU: the processor paints, which takes minutes a picture."
    return Finding(Mark.NOTE, "Drawing", told, "With a GPU, install its driver and a torch that is built for it.")


def picture_model(name: str) -> Finding:
    """Check that the image model exists, as far as possible without loading it."""
    about, folder = "Picture model", Path(name)
    if name == "builtin":
        return Finding(Mark.GOOD, about, "The built-in one.")
    if folder.is_dir():
        if (folder / "model_index.json").is_file():
            return Finding(Mark.GOOD, about, f"The folder {name}.")
        told = f"The folder {name} holds no diffusers pipeline: it has no model_index.json."
        return Finding(Mark.WRONG, about, told, "Correct PICTURE_MODEL.")
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return Finding(Mark.NOTE, about, f"{name} is fetched from the Hugging Face hub, unless it was before.")
    told = f"{name} is neither a folder nor the hub id of a model, such as owner/name."
    return Finding(Mark.WRONG, about, told, "Correct PICTURE_MODEL; `~` and variables are not replaced in it.")


# The chat server


@dataclass(frozen=True, slots=True)
class _Listed:
    id: str
    owned_by: str | None = None


@dataclass(frozen=True, slots=True)
class _Models:
    data: list[_Listed] | None  # Ollama sends null if it has no models


async def chat(config: Config, limit: float = TIME_LIMIT) -> list[Finding]:
    """Check that the chat server answers, and has the configured models."""
    about = "Chat model"
    if not config.has_chat_server:
        if {"llm_model", "llm_models"} & config.model_fields_set:
            cure = "Set OPENAI_BASE_URL or OPENAI_API_KEY, too."
            return [Finding(Mark.WRONG, about, "A model is named, but no server: the built-in one talks.", cure)]
        return [Finding(Mark.GOOD, about, "The built-in one; OPENAI_BASE_URL or OPENAI_API_KEY connects a real one.")]
    base = (config.openai_base_url or OPENAI).rstrip("/")
    server = f"The server {origin(base)}"
    headers = bearer("Bearer", config.openai_api_key)
    try:  # a proxy in the environment is used, as by the client of the chat model
        listed = (await get(f"{base}/models", _Models, headers, limit=limit, trust_env=True)).data or []
    except NoAnswer as error:
        if error.status in (404, 405) and base.endswith("/v1"):
            return [Finding(Mark.NOTE, about, f"{server} answers, but lists no models: {config.llm_model} is a guess.")]
        cures = {401: "Check OPENAI_API_KEY.", 403: "Check OPENAI_API_KEY."}
        cures |= dict.fromkeys((200, 404, 405), "Check OPENAI_BASE_URL: with most servers it ends in /v1.")
        cure = cures.get(error.status, "See whether it runs and can be reached from here, or correct OPENAI_BASE_URL.")
        return [Finding(Mark.WRONG, about, f"{server} {error}.", cure)]
    names = [each.id for each in listed]
    if [each.owned_by for each in listed] == ["llamacpp"]:  # it serves its one model under any name
        return [Finding(Mark.GOOD, about, f"{server} talks with {names[0]}.")]
    return [_listed(server, model, names) for model in dict.fromkeys((config.llm_model, *config.llm_models))]


def _listed(server: str, model: str, names: Sequence[str]) -> Finding:
    if {model, f"{model}:latest", f"models/{model}"} & set(names):  # Ollama and Gemini list them so
        return Finding(Mark.GOOD, "Chat model", f"{server} has {model}.")
    there = ", ".join(get_close_matches(model, names, 3, 0.3) or names[:3]) or "none"
    cure = f"Correct LLM_MODEL or LLM_MODELS, or load it there. Of those that are there: {there}."
    return Finding(Mark.WRONG, "Chat model", f"{server} has no {model}.", cure)
