"""`python -m render`: a render worker. It prints its address as one line of JSON when it listens."""

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import suppress

from aiohttp import web

from render.worker import Studio, Worker

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main() -> None:
    """Listen until interrupted; with --attached, until standard input is closed."""
    parser = argparse.ArgumentParser(
        prog="python -m render", description="Render worker: owns one device, speaks HTTP."
    )
    parser.add_argument("--listen", default="127.0.0.1:7801", help="address and port; port 0 takes a free one")
    parser.add_argument(
        "--model", default=os.environ.get("PICTURE_MODEL") or "builtin", help="`builtin`, a folder or a hub id"
    )
    parser.add_argument("--device", default="auto", help="`auto`, `cpu`, `cuda`, `cuda:1`, ...")
    parser.add_argument("--attached", action="store_true", help="end when standard input is closed")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    token = os.environ.get("RENDER_TOKEN") or None
    if host not in LOOPBACK and not token:
        parser.error(f"--listen {options.listen} can be reached by others: set RENDER_TOKEN, or use 127.0.0.1")
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL") or "INFO", format="%(asctime)s worker %(levelname)s %(message)s"
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

    # On a CPU that others use too, threads that spin while they wait make a picture twenty times slower. Read by
    # OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

    def load() -> Studio:
        from render.diffusion import Studio as Diffusion  # torch takes seconds: the worker answers meanwhile

        return Diffusion(options.model, options.device)

    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(Worker(load, token), host, int(port), options.attached))


async def _serve(worker: Worker, host: str, port: int, attached: bool) -> None:
    runner = web.AppRunner(worker.app(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    address = runner.addresses[0]
    print(json.dumps({"listening": f"http://{address[0]}:{address[1]}"}), flush=True)
    if attached:
        await asyncio.to_thread(sys.stdin.buffer.read)
        os._exit(0)  # the bot is gone: nobody waits for what the device's thread still does
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
