"""Scoring by the workers of a Ray cluster: many cards, many machines, one run.

Each worker is an actor that loads the victim once and then attacks one shard of examples after another; what it
finishes is streamed to this process, which writes it down exactly as if it had been attacked here. So this process
needs neither the model nor a card, and when it is killed the same command goes on. A worker that is lost, with its node
or without, loses the examples it was at: a new one takes its place, and they are handed out again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import ray

from ..tasks import CheckpointError, Example, ResourceError, Task, UsageError
from .attacks import Attack, is_guided
from .engine import lanes_for
from .executor import How, Job, OnProgress
from .outcome import Progress, Record
from .position import Position
from .ray_cluster import Team, room_for
from .ray_seat import Ended, LostError, Seat, got
from .ray_worker import Ready, Report, Source, Worker
from .records import Effort
from .results import VictimPart
from .shards import Shards

TRIES = 3
"""Workers that may be lost in a row with the same examples, or for each place before any has loaded the victim."""
LISTEN = 10.0
"""Seconds after which somebody who waits for workers looks whether there can be any."""
DESERTED = 300.0
"""Seconds without any worker, in a cluster that has no room for one, after which a run is given up."""


class RayHost:
    """A host whose victim is loaded by the workers of the cluster that this process belongs to."""

    def __init__(self, source: Source, team: Team) -> None:
        self.team = team
        kind = ray.remote(Worker).options(
            num_gpus=team.gpus, num_cpus=team.reserved, max_restarts=0, scheduling_strategy="SPREAD"
        )
        self.seats = [Seat(lambda: kind.remote(source, team.cpus)) for _ in range(team.workers)]
        self._task = ""
        self._first: Ready | None = None
        self._failed_starts = 0
        self._somebody = time.monotonic()
        """When there last was a worker."""

    def __enter__(self) -> "RayHost":
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self.seats:
            ray.kill(seat.worker)

    def executor(self, task: Task) -> "RayExecutor":
        """Raises: CheckpointError and the like when the victim cannot be loaded, ResourceError when workers are lost
        over it.
        """
        self._task, self._first = task.name, None
        for seat in self.seats:
            seat.prepare(task.name)
        seat = self.somebody()
        assert seat.ready
        return RayExecutor(self, task.name, seat.ready)

    def guided(self, attack: Attack) -> Attack:
        """To be asked once there is an executor."""
        return self.ask(lambda worker: worker.guided.remote(attack)) if is_guided(attack) else attack

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """An idle worker's answer. question: calls a method of the worker it is given."""
        lost = ""
        for _ in range(TRIES):
            seat = self.somebody()
            try:
                return got(question(seat.worker))
            except LostError as error:
                lost = str(error)
                self._replace(seat)
        raise given_up("over the same question", lost)

    def somebody(self) -> Seat:
        """A place whose worker has nothing to do; waits for one."""
        while True:
            for seat in self.seats:
                if seat.idle:
                    return seat
            self.news()

    def news(self) -> Ready | Report | Ended | None:
        """Waits for what any worker says next; None where one was lost that had no shard. A lost worker is replaced.

        Raises: ResourceError when workers are lost in a row and none has loaded the victim, or there is room for none.
        """
        seat = self._speaking()
        try:
            heard = seat.hear()
        except LostError as error:
            ended = seat.leave(str(error)) if seat.shard else None
            self._replace(seat)
            # A node takes all its workers with it, and others may work well: given up is a victim that nobody loads.
            self._failed_starts += ended is None and not any(each.loaded for each in self.seats)
            if self._failed_starts >= TRIES * len(self.seats):
                raise given_up("while they loaded the victim", str(error), self._failed_starts) from error
            return ended
        if isinstance(heard, Ready):
            self._failed_starts = 0
            self._first = self._first or heard
            _check_alike(self._first, heard)
        return heard

    def _speaking(self) -> Seat:
        """The next place from which there is something to hear."""
        while True:
            awaited = [seat.awaited for seat in self.seats if seat.awaited is not None]
            if any(seat.ready for seat in self.seats):
                self._somebody = time.monotonic()
            heard, _ = ray.wait(awaited, timeout=LISTEN)
            if heard:
                return next(seat for seat in self.seats if seat.awaited is heard[0])
            if time.monotonic() - self._somebody > DESERTED and not room_for(self.team):
                raise ResourceError(
                    "No worker is left, and the cluster has no room for a new one; every finished example is saved: "
                    "bring nodes back, and run the same command again to go on."
                )

    def _replace(self, lost: Seat) -> None:
        """A new worker takes the place. Who has nothing to do is asked whether it is still there, and is given nothing
        before it answers: else what was lost could be lost again with everybody on the same node.
        """
        lost.take()
        for seat in self.seats:
            if seat is lost or seat.idle:
                seat.prepare(self._task)


class RayExecutor:
    """The workers, ready for one task."""

    def __init__(self, host: RayHost, task: str, ready: Ready) -> None:
        self.victim: VictimPart = ready.victim
        self._host = host
        self._task = task
        self._ready = ready

    def attack(self, job: Job, examples: Sequence[Example], on_progress: OnProgress | None) -> "RayAttempt":
        return RayAttempt(self._host, self._ready.how, job, examples, on_progress)

    def flags(self, examples: Sequence[Example], *, length: int, position: Position) -> list[str]:
        return self._host.ask(lambda worker: worker.flags.remote(self._task, examples, length, position))


class RayAttempt:
    """Examples that the workers attack. usual: how a worker runs the victim, before it has begun."""

    def __init__(
        self, host: RayHost, usual: How, job: Job, examples: Sequence[Example], on_progress: OnProgress | None
    ) -> None:
        self._host = host
        self._job = job
        self._examples = examples
        self._on_progress = on_progress
        self._hows = {"": replace(usual, executor="ray")}
        self._finished: dict[str, Record] = {}
        self._left_behind = Effort()
        """What shards took that are at no worker any more."""
        # An engine tries twice the batch that it begins with.
        self._shards = Shards(examples, len(host.seats), lanes_for(job.attack, 2 * usual.batch_size))

    def records(self) -> Iterator[Record]:
        """Raises: ResourceError when workers are lost over the same examples again and again."""
        while len(self._finished) < len(self._examples) or any(seat.shard for seat in self._host.seats):
            for seat in self._host.seats:
                if seat.idle and (shard := self._shards.take()):
                    seat.begin(self._job, shard)
            heard = self._host.news()
            if isinstance(heard, Ended):
                self._end(heard)
            elif isinstance(heard, Report):
                self._hows[heard.worker] = replace(heard.how, executor="ray")
                self._finished.update((record.example_id, record) for record in heard.records)
                self._tell()
                yield from heard.records

    @property
    def effort(self) -> Effort:
        return sum((report.effort for report in self._reports()), self._left_behind)

    @property
    def how(self) -> How:
        """Of all workers that took part."""
        hows = [how for worker, how in self._hows.items() if worker] or list(self._hows.values())
        return replace(
            hows[0],
            device=" and ".join(sorted({how.device for how in hows})),
            threads=max(how.threads for how in hows),
            passes=" and ".join(sorted({how.passes for how in hows})),
            batch_size=max(how.batch_size for how in hows),
            workers=len(hows),
        )

    def _reports(self) -> list[Report]:
        return [seat.latest for seat in self._host.seats if seat.latest]

    def _end(self, ended: Ended) -> None:
        if ended.latest:
            self._left_behind += ended.latest.effort
        if ended.lost is None:
            return
        again = self._shards.give_back(ended.shard, self._finished)
        if again and again.lost >= TRIES:
            raise given_up("with the same examples", ended.lost)

    def _tell(self) -> None:
        if self._on_progress is None:
            return
        records = self._finished.values()
        # What is spent on examples that are not finished, in whole examples.
        underway = sum(
            report.progress.spent * report.progress.total - report.progress.done for report in self._reports()
        )
        self._on_progress(
            Progress(
                done=len(records),
                total=len(self._examples),
                broken=sum(record.break_cost is not None for record in records),
                wrong=sum(not record.clean_correct for record in records),
                candidates=self.effort.candidates,
                spent=(len(records) + underway) / len(self._examples),
            )
        )


def given_up(over: str, reason: str, workers: int = TRIES) -> ResourceError:
    return ResourceError(
        f"{workers} workers in a row were lost {over} ({reason}); every finished example is saved: see whether the "
        "nodes have enough memory, and run the same command again to go on."
    )


def _check_alike(first: Ready, other: Ready) -> None:
    """Raises: CheckpointError or UsageError when two workers have not loaded the same."""
    for name in ("digest", "revision", "kind", "dtype"):
        one, two = getattr(first.victim, name), getattr(other.victim, name)
        if one != two:
            raise CheckpointError(
                f"The workers on {first.node} and {other.node} loaded different victims, with the {name} {one} and "
                f"{two}; let all nodes see the same files and cards, or name --dtype."
            )
    for name, one in first.how.versions.items():
        if other.how.versions[name] != one:
            raise UsageError(
                f"The nodes {first.node} and {other.node} have different versions of {name}, {one} and "
                f"{other.how.versions[name]}; install the same on all, as scores could differ."
            )
