"""A Ray cluster of one machine for the tests: started on loopback, and ended to its last process."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from tests.support.paths import ROOT
from tests.support.worker_conformance import Place

BIN = Path(os.environ.get("RAY_VENV") or ROOT / ".venv-ray").absolute() / "bin"
MARK = "RENDER_TEST_CLUSTER"  # in the environment of each of the cluster's processes, by which they are found again
ROUTE = "pictures"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class Cluster:
    """A head that is also the only node, and Serve with two replicas on it."""

    def __init__(self, image_model: str = "tests.support.fake_models.quiet:QuietModel", **more: str) -> None:
        """`image_model` names the class or function of the model; `more` is added to the environment."""
        self._image_model = image_model
        self.mark = secrets.token_hex(8)
        self.token = secrets.token_hex(8)  # the desk's
        self.cluster_token = secrets.token_hex(32)  # Ray's own, of at least 32 characters
        self.port, self._gcs, self._dashboard, self._agent = (free_port() for _ in range(4))
        self.dashboard = f"http://127.0.0.1:{self._dashboard}"
        self._known: set[int] = set()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            MARK: self.mark,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.cluster_token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ADDRESS": f"127.0.0.1:{self._gcs}",
            "RENDER_TOKEN": self.token,
        }
        self._environment |= more

    def place(self) -> Place:
        """Where the bot finds it."""
        return Place(f"http://127.0.0.1:{self.port}/{ROUTE}", self.token)

    def start(self, folder: Path) -> None:
        """Start the head, and hand it the deployment of `deploy/serve.yaml` with a model that needs no GPU."""
        self._environment["RENDER_CACHE"] = str(folder / "kept")
        head = f"ray start --head --node-ip-address=127.0.0.1 --port={self._gcs} --dashboard-host=127.0.0.1"
        head += f" --dashboard-agent-listen-port={self._agent}"  # Ray's own choice may be the port of the proxy
        head += f" --dashboard-port={self._dashboard} --num-cpus=8 --object-store-memory=200000000"
        self.command(*head.split(), f"--temp-dir={folder}")
        script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
        yaml = (ROOT / "deploy" / "serve.yaml").read_text(encoding="utf-8")
        config = json.loads(self.command("python", "-c", script, stdin=yaml))
        config["http_options"] = {"host": "127.0.0.1", "port": self.port}
        application = config["applications"][0]
        application["args"]["studio"] = self._image_model
        worker = next(deployment for deployment in application["deployments"] if deployment["name"] == "Replica")
        worker["ray_actor_options"] = {"num_cpus": 0.1, "num_gpus": 0}
        (folder / "serve.json").write_text(json.dumps(config), encoding="utf-8")
        self.deploy(folder)

    def deploy(self, folder: Path) -> None:
        """Hand it the deployment (again)."""
        self.command("serve", "deploy", str(folder / "serve.json"), "--address", self.dashboard)

    def status(self) -> str:
        """What `serve status` says."""
        return self.command("serve", "status", "--address", self.dashboard)

    def command(self, *words: str, stdin: str = "") -> str:
        """What a command of the cluster's own environment prints."""
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            input=stdin,
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Every process of the cluster and what it calls itself.

        A process that gave itself a name may have written over its environment: it is known by its parent.
        """
        parents, names = {}, {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
                marked = f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0")
                name = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            except OSError:  # it has just ended
                continue
            if state != "Z":
                parents[int(process.name)], names[int(process.name)] = int(parent), name
                if marked:
                    self._known.add(int(process.name))
        self._known &= parents.keys()
        while children := {pid for pid, parent in parents.items() if parent in self._known} - self._known:
            self._known |= children
        return {pid: names[pid] for pid in sorted(self._known)}

    def workers(self) -> list[int]:
        """The processes of the painters, without those of their devices."""
        return sorted(pid for pid, name in self.processes().items() if f"ServeReplica:{ROUTE}:Replica" in name)

    def kill(self, *pids: int) -> None:
        """As a power cut would."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End every process of it, however it got there."""
        until = time.monotonic() + 20
        while pids := self.processes():
            assert time.monotonic() < until, f"these do not end: {pids}"
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)


@contextmanager
def cluster(**options: str) -> Iterator[Cluster]:
    """A cluster that serves with two replicas, and is gone afterwards whatever happened."""
    assert (BIN / "ray").exists(), f"no ray at {BIN}: use `make ray-test`, or set RAY_VENV"
    there = Cluster(**options)
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        try:
            there.start(Path(folder))
            yield there
        finally:
            there.stop()


async def ready(there: Cluster, workers: int = 2, hang_timeout: float = 90.0, idle: bool = True) -> Place:
    """Wait until so many painters are there, and idle; says what Serve says if that never comes."""
    place = there.place()
    try:
        async with asyncio.timeout(hang_timeout):
            while True:
                try:
                    slots = await place.slots()
                    if slots.slots == workers and (slots.free == workers or not idle):
                        return place
                except (OSError, aiohttp.ClientError):  # nobody listens yet, or there is no such route yet
                    pass
                await asyncio.sleep(0.05)
    except TimeoutError:
        await place.session.close()
        raise AssertionError(f"no {workers} painters after {hang_timeout} s:\n{there.status()}") from None
