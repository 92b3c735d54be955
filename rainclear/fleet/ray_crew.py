"""Workers as actors of a Ray cluster: the only module that imports Ray."""

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from rainclear.errors import ConfigError, DeviceError, RainclearError
from rainclear.fleet.plan import FleetTask
from rainclear.fleet.pool import Hand, WorkerLost
from rainclear.fleet.settings import FleetSettings
from rainclear.fleet.shares import Share, shares
from rainclear.fleet.worker import Progress, Worker, WorkerInfo
from rainclear.runtime.jobs import JobReport

__all__ = ["RayCrew", "import_ray"]

# Ray keeps videos out of its object store: only the model and reports pass through it.
_OBJECT_STORE = 256 * 2**20
_ANSWER = 10.0  # seconds in which an address has to answer
_GOODBYE = 10.0  # seconds that workers get to give up a file and remove what they wrote


def import_ray() -> Any:
    """Ray, told before it is imported to report nothing to anyone.

    Raises:
        ConfigError: The extra ``ray`` is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs Ray; install it: pip install 'rainclear[ray]'"
        ) from error
    return ray


class RayCrew:
    """A cluster, and how many workers fit into it; a context manager.

    Args:
        settings: How files are derained.
        address: ``auto`` for the cluster that this machine belongs to, ``HOST:PORT`` for another;
            ``None`` takes what ``RAY_ADDRESS`` names, and starts one on this machine for as long
            as the block lasts if there is none.
        workers: Workers; ``None`` for one a GPU, or one for every four processors.
        cpus: Processors of a cluster that is started here; ``None`` for all.

    Raises:
        ConfigError: Ray is not installed, does not answer at the address, or there is no room for
            that many workers.
        DeviceError: The cluster has no GPU, though one was asked for.
    """

    def __init__(
        self,
        settings: FleetSettings,
        *,
        address: str | None = None,
        workers: int | None = None,
        cpus: int | None = None,
    ) -> None:
        address = address or os.environ.get("RAY_ADDRESS") or "local"
        if address == "local" and "ray" not in sys.modules:
            _ask_for_a_token()
        self._ray = import_ray()
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect(address, cpus)
        try:
            self._share = self._choose(settings.device, workers)
            self._settings = self._ray.put(settings)
        except BaseException:
            self._end()
            raise
        self.size = self._share.workers
        self._actor = self._ray.remote(Worker)

    @property
    def share(self) -> Share:
        """What each worker gets."""
        return self._share

    def hire(self) -> Hand:
        """Begin to start an actor with its share of processors and GPU."""
        share = self._share
        actor = self._actor.options(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            # One thread derains, the other answers how far it is. Lost workers are the pool's.
            max_concurrency=2,
            max_restarts=0,
            max_task_retries=0,
        ).remote(
            self._settings,
            device="cuda" if share.gpus else "cpu",
            threads=max(1, int(share.cpus)),
        )
        return _RayHand(self._ray, actor)

    def wait(self, hands: Sequence[Hand], seconds: float) -> list[Hand]:
        """Those that ended what they were doing, after ``seconds`` at the latest."""
        by_ref = {hand.ref: hand for hand in hands if isinstance(hand, _RayHand)}
        if not by_ref:
            time.sleep(seconds)
            return []
        # All that ended, not only the first, and nothing is copied here yet.
        ready, _ = self._ray.wait(list(by_ref), timeout=seconds, fetch_local=False)
        if ready and len(by_ref) > 1:
            ready, _ = self._ray.wait(
                list(by_ref), num_returns=len(by_ref), timeout=0, fetch_local=False
            )
        return [by_ref[ref] for ref in ready]

    def close(self, hands: Sequence[Hand]) -> None:
        """Ask all to stop, wait a little, and end those that did not."""
        actors = [hand.actor for hand in hands if isinstance(hand, _RayHand) and hand.started]
        asked = [actor.stop.remote() for actor in actors]
        if asked:
            with suppress(self._ray.exceptions.RayError):
                self._ray.wait(asked, num_returns=len(asked), timeout=_GOODBYE)
        for hand in hands:
            hand.dismiss()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _connect(self, address: str, cpus: int | None) -> None:
        _check_reachable(address)
        here = {"num_cpus": cpus, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
        try:
            self._ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(here if address == "local" else {}),
            )
        except Exception as error:  # Ray raises plain ones too, for a start that takes too long
            where = "Ray cannot be started here" if address == "local" else f"no Ray at {address}"
            raise ConfigError(f"{where}: {str(error).strip() or type(error).__name__}") from error
        _quiet()

    def _choose(self, device: str, workers: int | None) -> Share:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = [float(node.get("GPU", 0)) for node in nodes]
        if device.startswith("cuda") and not any(gpus):
            raise DeviceError("the cluster has no GPU; use --device cpu")
        return shares(
            [float(node.get("CPU", 0)) for node in nodes],
            gpus if device != "cpu" else [0.0] * len(nodes),
            workers,
        )

    def _end(self) -> None:
        if self._own:
            self._ray.shutdown()


class _RayHand:
    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self.actor = ray, actor
        self.ref = actor.start.remote()
        self.started = False
        self._asked: Any = None

    def give(self, task: FleetTask) -> None:
        self.ref, self._asked = self.actor.derain.remote(task), None

    def result(self) -> WorkerInfo | JobReport | RainclearError:
        try:
            result: WorkerInfo | JobReport | RainclearError = self._ray.get(self.ref)
        except self._ray.exceptions.RayTaskError:
            raise  # a mistake of ours, not a lost worker
        except self._ray.exceptions.RayError as error:
            raise WorkerLost(_reason(error)) from error
        self.started = True
        return result

    def look(self) -> Progress | None:
        if self._asked is None:
            self._asked = self.actor.progress.remote()
            return None
        if not self._ray.wait([self._asked], timeout=0)[0]:
            return None
        asked, self._asked = self._asked, None
        with suppress(self._ray.exceptions.RayError):  # result() will tell
            progress: Progress = self._ray.get(asked)
            return progress
        return None

    def dismiss(self) -> None:
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(self.actor)


def _reason(error: Exception) -> str:
    """The part of Ray's message that says what happened, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "creation task" in str(error):  # a traceback, and its error at the end
        lines = lines[-1:]
    told = [line for line in lines if "exit detail" in line]
    return (told or lines or [type(error).__name__])[0].rstrip(".")[:300]


def _check_reachable(address: str) -> None:
    """Find out in seconds what Ray finds out in minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"no Ray at {address}: {error}") from error


def _ask_for_a_token() -> None:
    """Have a cluster that is started here refuse strangers; Ray listens on all interfaces."""
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        if "RAY_AUTH_TOKEN_PATH" not in os.environ:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _quiet() -> None:
    """Ray prints the end of each lost worker on stdout; the pool tells of it in its own words."""
    with suppress(ImportError, AttributeError, KeyError):
        from ray._private.ray_logging import global_worker_stdstream_dispatcher as dispatcher

        dispatcher.remove_handler("ray_print_logs")
