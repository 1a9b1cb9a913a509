"""A worker's place in a run on a Ray cluster: who has it, what it is doing, and what is heard from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from ..tasks import UsageError
from .checkpoint import first_line
from .executor import Job
from .ray_worker import Ready, Report
from .shards import Shard


class LostError(Exception):
    """A worker, or its node, is gone; says why."""


@dataclass(frozen=True)
class Ended:
    """A shard that its worker is done with, or that was lost with it. latest: the last report about it."""

    shard: Shard
    latest: Report | None
    lost: str | None


class Seat:
    """A worker's place: who has it, what is awaited from it, and the shard that it is at.

    ready: what it said when it was made ready for the present task. loaded: whether it has ever been ready. latest: its
    last report about the shard.
    """

    def __init__(self, hire: Callable[[], Any]) -> None:
        self._hire = hire
        self.take()

    def take(self) -> None:
        """A new worker takes the place."""
        self.worker = self._hire()
        self.ready: Ready | None = None
        self.loaded = False
        self.awaited: Any = None
        self.shard: Shard | None = None
        self.latest: Report | None = None

    @property
    def idle(self) -> bool:
        return self.ready is not None and self.awaited is None

    def prepare(self, task: str) -> None:
        self.ready = None
        self.awaited = self.worker.ready.remote(task)

    def begin(self, job: Job, shard: Shard) -> None:
        self.shard, self.latest = shard, None
        self.awaited = self.worker.attack.options(num_returns="streaming").remote(job, shard.examples)

    def hear(self) -> Ready | Report | Ended:
        """What was awaited, once there is something. Raises: LostError, and what went wrong on the worker."""
        if self.shard is None:
            ready: Ready = got(self.awaited)
            self.ready, self.loaded, self.awaited = ready, True, None
            return ready
        try:
            report: Report = got(next(self.awaited))
        except StopIteration:
            return self.leave(None)
        self.latest = report
        return report

    def leave(self, lost: str | None) -> Ended:
        """The shard is no longer at this place."""
        assert self.shard is not None
        ended = Ended(self.shard, self.latest, lost)
        self.shard = self.latest = self.awaited = None
        return ended


def got(reference: Any) -> Any:
    """What a worker returned. Raises: LostError when it is gone; what it raised itself."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        # Ray's own has the whole traceback for its message.
        raise (error.cause if isinstance(error.cause, Exception) else error) from None
    except RayError as error:
        if "No module named 'holdfast'" in str(error):
            raise UsageError(
                "A node of the cluster has no holdfast in the Python that Ray runs there; install the same version on "
                "all nodes."
            ) from error
        raise LostError(first_line(error)) from error
