# SPDX-License-Identifier: Apache-2.0
"""Functions on several processes or machines, over Ray."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["LOCAL", "Cluster", "accelerator_share"]

T = TypeVar("T")

# Address of a Ray of our own, whatever else runs.
LOCAL = "local"

# Memory of a Ray of our own for arguments and results, which are small; the least it takes is less.
_STORE_BYTES = 1 << 27

# Between two looks at what goes on.
_SECONDS = 1.0

# Seconds for a machine to answer.
_PATIENCE = 10.0


def _require_answer(address: str) -> None:
    """Raise unless something listens there; Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"Address of a Ray must be host:port or {LOCAL}, not {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"Ray must answer at {address}, and does not: {error}") from error


def accelerator_share(workers: int, accelerators: int) -> float:
    """Return the part of an accelerator for each worker, so that all of them can run at once."""
    return 1 / math.ceil(workers / accelerators) if accelerators else 0.0


class Cluster:
    """A Ray that runs already, or one that lives as long as this context.

    Every machine of it must have this package, and the folders that the functions work on, at the
    same place.

    Parameters
    ----------
    workers : calls at the same time; None: as many as there are processors for.
    threads : processors that a call takes.
    accelerated : a call takes its share of an accelerator where the cluster has some.
    address : host:port of a Ray, ``local`` for one of our own, None for one that runs on this
        machine, and one of our own where there is none.

    Raises
    ------
    ModuleNotFoundError : Ray is not installed.
    ConnectionError : nothing answers at that address.
    ValueError : not an address, or no machine of the cluster has so many processors.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int = 1,
        accelerated: bool = False,
        address: str | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"Workers must be at least 1, not {workers}")
        if threads < 1:
            raise ValueError(f"Threads must be at least 1, not {threads}")
        self._workers, self._threads, self._address = workers, threads, address
        self._accelerated = accelerated

    def __enter__(self) -> Cluster:
        # Ray reports its use to its makers otherwise; a user can still ask for it.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Seconds; its own 30 are too few where trainings keep all processors busy.
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "120")
        import ray

        quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        own: dict[str, Any] = {
            "address": LOCAL,
            "num_cpus": self._workers and self._workers * self._threads,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
        if self._address == LOCAL:
            ray.init(**own, **quiet)
        elif self._address is not None:
            _require_answer(self._address)
            ray.init(address=self._address, **quiet)
        else:
            try:
                ray.init(address="auto", **quiet)
            except ConnectionError:
                ray.init(**own, **quiet)
        try:
            self._measure(ray)
        except BaseException:
            ray.shutdown()
            raise
        return self

    def _measure(self, ray: Any) -> None:
        """Take over what the cluster has."""
        nodes = [node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]]
        if max(nodes) < self._threads:
            raise ValueError(
                f"Threads of a task must be at most {max(nodes):.0f}, the processors of the "
                f"largest machine, not {self._threads}"
            )
        fitting = int(sum(processors // self._threads for processors in nodes))
        self.workers = min(fitting, self._workers or fitting)
        accelerators = int(ray.cluster_resources().get("GPU", 0)) if self._accelerated else 0
        self.share = accelerator_share(self.workers, accelerators)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import ray

        ray.shutdown()

    def run(
        self,
        function: Callable[..., T],
        calls: Sequence[tuple[Any, ...]],
        watch: Callable[[], None] = lambda: None,
    ) -> Iterator[tuple[int, T | Exception]]:
        """Yield index and result of each call as it is done; an exception where it failed.

        Calls start in their order, ``workers`` at a time. A call whose machine is lost is repeated.

        Parameters
        ----------
        function : of a module that the workers can import.
        calls : positional arguments of each call.
        watch : called about once a second.
        """
        import ray

        task = ray.remote(num_cpus=self._threads, num_gpus=self.share)(function)
        waiting = list(enumerate(calls))[::-1]
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < self.workers:
                index, arguments = waiting.pop()
                running[task.remote(*arguments)] = index
            done, _ = ray.wait(list(running), timeout=_SECONDS)
            watch()
            for reference in done:
                index = running.pop(reference)
                try:
                    yield index, ray.get(reference)
                except ray.exceptions.RayError as error:
                    yield index, error
