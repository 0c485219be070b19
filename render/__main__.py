"""`python -m render`: a render worker. It prints its address as one line of JSON when it listens."""

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from aiohttp import web

from bot.environment import describe_old_variables, rename_old_variables
from render.image_model import Options
from render.worker.device import DEVICE_ENVIRONMENT, HANG_TIMEOUT
from render.worker.device_process import configure_logging, load_diffusers_model
from render.worker.result_cache import ResultCache, default_folder
from render.worker.server import WorkerServer

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ENVIRONMENT = """
environment:
  RENDER_TOKEN     bearer token that every request must carry
  RENDER_BATCH     largest number of images in one batch; the default depends on the device and the model
  RENDER_TIMEOUT   seconds without an event from the device during a batch, after which its process is killed
                   and restarted (default 120; three times as long for the first batch after a start)
  RENDER_QUANTIZE  `8bit` or `4bit`: less memory, slightly different images; needs bitsandbytes and a GPU
  RENDER_OFFLOAD   `parts` or `layers` of the model take turns on the device: less memory; slower or much slower
  RENDER_COMPILE   1: compile the network after loading, which makes every image after that faster
  RENDER_STEP_CACHE  skip work in steps that change less than this difference (such as 0.1): different images
  RENDER_ATTENTION name of an attention backend of diffusers
  RENDER_ALLOW_PICKLES  the model whose pickled weights may be loaded, although pickles can run code
  RENDER_IP_ADAPTER  an IP-Adapter for the model, OWNER/NAME/FOLDER/FILE or a path: large changes keep the subject
  STYLES_DIR       folder of style files (LoRA)
  RENDER_CACHE     folder for the images of the last ten minutes; the default is under the temporary folder
"""
_ALLOWED_VALUES = {
    "RENDER_QUANTIZE": ("8bit", "4bit"),
    "RENDER_OFFLOAD": ("parts", "layers"),
    "RENDER_COMPILE": ("0", "1"),
    "RENDER_STEP_CACHE": (),
    "RENDER_ATTENTION": (),
    "RENDER_ALLOW_PICKLES": (),
    "RENDER_IP_ADAPTER": (),
}


def main() -> None:
    """Listen until interrupted; with --attached, until standard input is closed."""
    warnings = describe_old_variables(os.environ)
    os.environ.update(rename_old_variables(os.environ))
    parser = argparse.ArgumentParser(
        prog="python -m render",
        description="Render worker: owns one device, speaks HTTP.",
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", default="127.0.0.1:7801", help="address and port; port 0 picks a free port")
    parser.add_argument(
        "--model", default=os.environ.get("IMAGE_MODEL") or "builtin", help="`builtin`, a folder or a hub id"
    )
    parser.add_argument("--device", default="auto", help="`auto`, `cpu`, `cuda`, `cuda:1`, ...")
    parser.add_argument("--attached", action="store_true", help="exit when standard input is closed")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    token = os.environ.get("RENDER_TOKEN") or None
    if host not in LOOPBACK and not token:
        parser.error(f"--listen {options.listen} can be reached by others: set RENDER_TOKEN, or use 127.0.0.1")
    largest_batch, hang_timeout = _positive_int(parser, "RENDER_BATCH"), _positive_int(parser, "RENDER_TIMEOUT")
    level = os.environ.get("LOG_LEVEL") or "INFO"
    configure_logging(level)
    for warning in warnings:
        logging.getLogger(__name__).warning("%s", warning)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    for name, value in DEVICE_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    load = partial(load_diffusers_model, options.model, options.device, largest_batch, level, _model_options(parser))
    worker = WorkerServer(load, token, cache=_open_cache(), hang_timeout=hang_timeout or HANG_TIMEOUT)
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(worker, host, int(port), options.attached))


def _positive_int(parser: argparse.ArgumentParser, name: str) -> int | None:
    told = os.environ.get(name) or None
    if told is None:
        return None
    if not told.isdecimal() or int(told) < 1:
        parser.error(f"{name} must be a whole number from 1, not {told!r}")
    return int(told)


def _model_options(parser: argparse.ArgumentParser) -> Options:
    """Read from the environment how the model is loaded and used."""
    told = {name: os.environ.get(name) or "" for name in _ALLOWED_VALUES}
    for name, choices in _ALLOWED_VALUES.items():
        if told[name] and choices and told[name] not in choices:
            parser.error(f"{name} must be {' or '.join(choices)}, not {told[name]!r}")
    try:
        step_cache = float(told["RENDER_STEP_CACHE"]) if told["RENDER_STEP_CACHE"] else None
    except ValueError:
        parser.error(f"RENDER_STEP_CACHE must be a number such as 0.1, not {told['RENDER_STEP_CACHE']!r}")
    return Options(
        quantise=told["RENDER_QUANTIZE"],
        offload=told["RENDER_OFFLOAD"],
        allow_pickles=told["RENDER_ALLOW_PICKLES"],
        ip_adapter=told["RENDER_IP_ADAPTER"],
        styles=os.environ.get("STYLES_DIR") or "",
        compile=told["RENDER_COMPILE"] == "1",
        step_cache=step_cache,
        attention=told["RENDER_ATTENTION"],
    )


def _open_cache() -> ResultCache | None:
    folder = Path(os.environ.get("RENDER_CACHE") or default_folder())
    try:
        return ResultCache(folder)
    except OSError as error:
        logging.getLogger(__name__).warning("the result cache is off: %s", error)
        return None


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
