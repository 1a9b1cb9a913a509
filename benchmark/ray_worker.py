"""What runs on each worker of a cluster: it loads the victim itself, attacks shards of examples, and reports.

Nothing here knows of Ray; `ray_executor` puts it there.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..tasks import CheckpointError, Example, get_task
from ..tasks.hub import MIRROR_VARIABLE
from .attacks import Attack
from .batch import BatchSize
from .engine import Engine
from .executor import EngineAttempt, How, InProcess, InThisProcess, Job, how_run
from .outcome import Progress, Record
from .passes import passes_for
from .position import Position
from .records import Effort
from .results import VictimPart
from .victim import Victim, load_victim

EVERY = 1.0
"""Seconds between reports in which no example was finished."""


@dataclass(frozen=True)
class Source:
    """Where a worker finds a victim, and how it runs it.

    load: called with a reference, a device and a dtype; must be importable on the worker. reference, proposal: as
    results name them. places: the absolute paths of those that are paths, which all nodes must see.
    """

    load: Callable[..., Victim]
    reference: str
    proposal: str | None
    places: Mapping[str, str]
    device: str | None = None
    dtype: str | None = None
    mirror: Path | None = None
    batch_size: int | None = None

    @staticmethod
    def of(
        load: Callable[..., Victim],
        reference: str,
        *,
        proposal: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        mirror: Path | None = None,
        batch_size: int | None = None,
    ) -> "Source":
        """With what are paths here made absolute, as workers have another working folder."""
        paths = {name: Path(name).expanduser() for name in (reference, proposal) if name}
        places = {name: str(path.absolute()) for name, path in paths.items() if path.exists()}
        variable = os.environ.get(MIRROR_VARIABLE)
        found = mirror or (Path(variable) if variable else None)
        return Source(load, reference, proposal, places, device, dtype, found and found.absolute(), batch_size)


@dataclass(frozen=True)
class Ready:
    """A worker that has loaded its victim and made it ready for a task."""

    victim: VictimPart
    how: How
    node: str


@dataclass(frozen=True)
class Report:
    """How a shard stands. worker: whose it is. records: finished since the last report. effort: on the shard so far."""

    worker: str
    records: tuple[Record, ...]
    progress: Progress
    effort: Effort
    how: How


class Worker:
    """threads: processor threads that it may use."""

    def __init__(self, source: Source, threads: int) -> None:
        os.environ.setdefault("RAYON_NUM_THREADS", str(threads))  # the tokenizers'
        torch.set_num_threads(threads)
        self._source = source
        self._host: InThisProcess | None = None
        self._executors: dict[str, InProcess] = {}
        self._engine: tuple[Job, Engine] | None = None
        self._standing: list[Progress] = []

    def ready(self, task: str) -> Ready:
        """Raises: CheckpointError when the victim cannot be used, DataError when its filter lacks training texts."""
        executor = self._executor(task)
        model, batch_size = executor.model, self._source.batch_size
        how = how_run(model, passes_for(model).name, BatchSize(batch_size, model.device).rows)
        return Ready(executor.victim, how, socket.gethostname())

    def guided(self, attack: Attack) -> Attack:
        """See `executor.Host`."""
        return self._loaded().guided(attack)

    def attack(self, job: Job, examples: Sequence[Example]) -> Iterator[Report]:
        """Attack a shard. Reports whatever is finished at once, and how it stands every second."""
        # The engine of the shard before is kept: it has found its batch size.
        if self._engine is None or self._engine[0] != job:
            self._engine = job, self._executor(job.task).engine(job, lambda now: self._standing.append(now))
        attempt = EngineAttempt(self._engine[1], examples)
        reported = time.monotonic()
        for finished in attempt.rounds():
            latest = self._standing[-1]
            self._standing.clear()
            if finished or time.monotonic() - reported > EVERY:
                yield Report(
                    f"{socket.gethostname()}:{os.getpid()}", tuple(finished), latest, attempt.effort, attempt.how
                )
                reported = time.monotonic()

    def flags(self, task: str, examples: Sequence[Example], length: int, position: Position) -> list[str]:
        return self._executor(task).flags(examples, length=length, position=position)

    def _executor(self, task: str) -> InProcess:
        if task not in self._executors:
            self._executors[task] = self._loaded().executor(get_task(task))
        return self._executors[task]

    def _loaded(self) -> InThisProcess:
        if self._host is None:
            source = self._source
            victim = self._load(source.load, source.reference, source.dtype)
            proposal = None if source.proposal is None else self._load(load_victim, source.proposal, "float32")
            self._host = InThisProcess(victim, proposal, source.mirror, source.batch_size)
        return self._host

    def _load(self, load: Callable[..., Victim], reference: str, dtype: str | None) -> Victim:
        """Raises: CheckpointError for a path that there is not on this node."""
        place = self._source.places.get(reference)
        if place is not None and not Path(place).exists():
            raise CheckpointError(
                f"The node {socket.gethostname()} has no {place}; every worker loads the checkpoint itself, so put it "
                "on a file system that all nodes see, or name it as owner/name@commit."
            )
        victim = load(place or reference, device=self._source.device, dtype=dtype)
        if place is not None:
            victim.reference = reference
        return victim
