"""What of a score needs the model, behind a small seam, and the plain way to do it: in this process.

`scoring` asks a host for an executor per task, and the executor for records, for the effort they took and for health
flags; all else it does itself. So the model may be loaded here, or wherever an executor reaches (see `ray_executor`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch

from ..tasks import Example, Task
from .attacks import Attack, is_guided
from .engine import Engine
from .health import health_flags
from .machine import device_name, peak_memory, software_versions
from .model_proposal import guided_by
from .outcome import Progress, Record
from .position import Position
from .proposal import proposal_for
from .records import Effort
from .results import VictimPart
from .settings import training_texts
from .victim import Victim

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Job:
    """What is done to examples. task: names the random streams, with the seed. budget: FLOP per example."""

    task: str
    attack: Attack
    position: Position
    budget: float
    seed: int


@dataclass(frozen=True)
class How:
    """How examples were attacked, as the part `run` of a result tells it."""

    versions: dict[str, str]
    device: str
    threads: int
    passes: str
    batch_size: int
    executor: Literal["process", "ray"] = "process"
    workers: int = 1


class Attempt(Protocol):
    """Examples under attack."""

    def records(self) -> Iterator[Record]:
        """A record per example, as soon as it is finished."""
        ...

    @property
    def effort(self) -> Effort:
        """What was spent on these examples so far."""
        ...

    @property
    def how(self) -> How: ...


class Executor(Protocol):
    """A victim that is ready for one task, wherever it is loaded."""

    @property
    def victim(self) -> VictimPart: ...

    def attack(self, job: Job, examples: Sequence[Example], on_progress: OnProgress | None) -> Attempt: ...

    def flags(self, examples: Sequence[Example], *, length: int, position: Position) -> list[str]:
        """See `health.health_flags`."""
        ...


class Host(Protocol):
    """Has a victim loaded, and makes it ready for one task after another."""

    def executor(self, task: Task) -> Executor: ...

    def guided(self, attack: Attack) -> Attack:
        """The attack, which names the host's proposal if it is one that a language model guides."""
        ...


@dataclass(frozen=True)
class InProcess:
    """An executor with its victim in this process.

    proposal: the language model of attacks that are guided by one. mirror: a local copy of the Hub's layout.
    """

    model: Victim
    proposal: Victim | None = None
    mirror: Path | None = None
    batch_size: int | None = None

    @property
    def victim(self) -> VictimPart:
        model = self.model
        return VictimPart(
            reference=model.reference,
            revision=model.revision,
            digest=model.digest,
            architecture=model.architecture,
            kind=model.kind,
            filter_threshold=model.filter_threshold,
            parameters=model.parameters,
            context=model.context,
            dtype=str(model.dtype).removeprefix("torch."),
        )

    def attack(self, job: Job, examples: Sequence[Example], on_progress: OnProgress | None) -> "EngineAttempt":
        return EngineAttempt(self.engine(job, on_progress), examples)

    def engine(self, job: Job, on_progress: OnProgress | None) -> Engine:
        return Engine(
            self.model,
            job.attack,
            budget=job.budget,
            seed=job.seed,
            task=job.task,
            position=job.position,
            proposal=proposal_for(job.attack, self.model, lambda: training_texts(job.task, self.mirror), self.proposal),
            batch_size=self.batch_size,
            on_progress=on_progress,
        )

    def flags(self, examples: Sequence[Example], *, length: int, position: Position) -> list[str]:
        return health_flags(self.model, examples, length=length, position=position)


class EngineAttempt:
    """Examples that an engine attacks, which may have attacked others before."""

    def __init__(self, engine: Engine, examples: Sequence[Example]) -> None:
        self._engine = engine
        self._examples = examples
        self._before = _spent(engine)

    def records(self) -> Iterator[Record]:
        return self._engine.run(self._examples)

    def rounds(self) -> Iterator[list[Record]]:
        """What was finished in every round of the engine, which may be nothing."""
        return self._engine.rounds(self._examples)

    @property
    def effort(self) -> Effort:
        return _spent(self._engine).since(self._before)

    @property
    def how(self) -> How:
        return how_run(self._engine.victim, self._engine.scorer.name, self._engine.batch.rows)


def how_run(victim: Victim, passes: str, batch_size: int) -> How:
    """How this process runs a victim."""
    cards = len({parameter.device for parameter in victim.model.parameters()})
    device = f"{cards} × {device_name(victim.device)}" if cards > 1 else device_name(victim.device)
    return How(software_versions(), device, torch.get_num_threads(), passes, batch_size)


def _spent(engine: Engine) -> Effort:
    seconds = engine.stopwatch.seconds()
    return Effort(
        model_seconds=seconds["model"],
        tokenization_seconds=seconds["tokenization"],
        other_seconds=seconds["rest"],
        executed=engine.executed,
        candidates=engine.candidates,
        peak_memory=peak_memory(engine.victim.device),
    )


@dataclass(frozen=True)
class InThisProcess:
    """A host with everything in this process; the fields are as those of `InProcess`."""

    model: Victim
    proposal: Victim | None = None
    mirror: Path | None = None
    batch_size: int | None = None

    def executor(self, task: Task) -> InProcess:
        return InProcess(for_task(self.model, task, self.mirror), self.proposal, self.mirror, self.batch_size)

    def guided(self, attack: Attack) -> Attack:
        return guided_by(attack, self.proposal) if self.proposal and is_guided(attack) else attack


def for_task(victim: Victim, task: Task, mirror: Path | None = None) -> Victim:
    """A victim as it answers a task. mirror: a local copy of the Hub's layout. Raises: CheckpointError, DataError."""
    return victim.for_labels(task.labels).calibrated(lambda: training_texts(task.name, mirror))
