"""`python -m render`: a render worker. It prints its address as one line of JSON when it listens."""

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from textwrap import wrap

from aiohttp import web

from bot.errors import ConfigError
from render.worker.device_process import configure_logging, load_diffusers_model
from render.worker.result_cache import open_cache
from render.worker.server import WorkerServer
from render.worker.settings import (
    WorkerSettings,
    load_worker_settings,
    old_worker_variable_warnings,
    set_device_environment,
)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main() -> None:
    """Listen until interrupted; with --attached, until standard input is closed."""
    parser = argparse.ArgumentParser(
        prog="python -m render",
        description="Render worker: owns one device, speaks HTTP.",
        epilog=_describe_environment(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", default="127.0.0.1:7801", help="address and port; port 0 picks a free port")
    parser.add_argument("--model", help="`builtin`, a folder or a hub id; the default is IMAGE_MODEL")
    parser.add_argument("--device", default="auto", help="`auto`, `cpu`, `cuda`, `cuda:1`, ...")
    parser.add_argument("--attached", action="store_true", help="exit when standard input is closed")
    options = parser.parse_args()
    try:
        settings = load_worker_settings()
    except ConfigError as error:
        parser.error(str(error))
    host, _, port = options.listen.rpartition(":")
    if host not in LOOPBACK and not settings.token:
        parser.error(f"--listen {options.listen} can be reached by others: set RENDER_TOKEN, or use 127.0.0.1")
    configure_logging(settings.log_level)
    for warning in old_worker_variable_warnings():
        logging.getLogger(__name__).warning("%s", warning)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    set_device_environment()
    model = settings.image_model if options.model is None else options.model
    load = partial(
        load_diffusers_model,
        model,
        options.device,
        settings.render_batch,
        settings.log_level,
        settings.model_options,
    )
    cache = open_cache(settings.render_cache)
    worker = WorkerServer(load, settings.token, cache=cache, hang_timeout=settings.render_timeout)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(worker, host, int(port), options.attached))


def _describe_environment() -> str:
    lines = ["environment:"]
    for name, field in WorkerSettings.model_fields.items():
        default = f" (default {field.default})" if field.default else ""
        text = f"{field.description}{default}"
        lines += wrap(text, 118, initial_indent=f"  {name.upper():<22}", subsequent_indent=" " * 24)
    return "\n".join(lines)


async def _serve(worker: WorkerServer, host: str, port: int, attached: bool) -> None:
    runner = web.AppRunner(worker.app(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    address = runner.addresses[0]
    print(json.dumps({"listening": f"http://{address[0]}:{address[1]}"}), flush=True)
    if attached:
        await asyncio.to_thread(sys.stdin.buffer.read)
        os._exit(0)  # the bot is gone: nobody waits for the running batch, and the device process exits too
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
