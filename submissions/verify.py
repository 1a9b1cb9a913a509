"""Verify entries: every recorded string through the victim again, and evidence written for what proved true.

The work on what strangers sent is done in processes with limits (`bounded`), which write nothing. Data sets and
checkpoints from the Hub are fetched here, where nothing of an entry is opened, and so is the evidence written: whole
or not at all, inside the entry's folder or the one that was asked for. What has current evidence is not verified
again, so a verification that was interrupted goes on where it was.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from ..benchmark import get_attack
from ..benchmark.attacks import keeps_a_beam
from ..benchmark.records import write_atomically
from ..benchmark.settings import training_texts
from ..tasks import EvaluationSet, HoldfastError, RecordError, get_task
from .bounded import Limits, StoppedError, bounded
from .declared import Checkpoint
from .entry import Key, file_of
from .evidence import Evidence, Level, evidence_json
from .manifest import TaskEntry
from .sealed import sealed_parts, sealed_proposals, weight_bytes
from .verdicts import Found, Job, Overview, Reproducing, Verdict, judge, look_over

MEMORY = 4_000_000_000
"""Bytes that a verification may take, beside four times the weights: as they are stored, in 16 and in 32 bits."""
SECONDS = 3_600.0
"""Wall time for one entry."""
_KEY = re.compile(r"[a-z0-9_-]+/[a-z0-9_-]+/[a-z0-9]+")


_CARDS = Path("/dev/nvidiactl")
"""There where the machine has NVIDIA cards."""


def _threads() -> int:
    """As PyTorch counts them, which the caller does not load."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else os.cpu_count() or 1


@dataclass(frozen=True)
class Request:
    """How entries are verified.

    by: who vouches. again: verify what has current evidence too. out: write evidence to `out/<slug>/evidence/` instead
    of into the entries. seconds: for one entry. memory: bytes; by default MEMORY and four times the weights.
    jobs: entries at a time.
    """

    by: str
    reproducing: Reproducing = field(default_factory=Reproducing)
    again: bool = False
    out: Path | None = None
    device: str | None = None
    mirror: Path | None = None
    seconds: float = SECONDS
    memory: int | None = None
    jobs: int = 1

    def limits(self, weights: int = 0) -> Limits:
        return Limits(
            seconds=self.seconds,
            memory=self.memory or MEMORY + 4 * weights,
            threads=max(1, _threads() // self.jobs),
            allocation=self.device == "cpu" or not _CARDS.exists(),
        )


@dataclass(frozen=True)
class ResultReport:
    """What became of one result. kept: its evidence was current. near_ties, seconds: None where it was not replayed."""

    key: Key
    level: Level
    examples: int
    problems: tuple[str, ...] = ()
    kept: bool = False
    near_ties: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class EntryReport:
    """What became of one entry. problems: (file inside the entry, or nothing; what is wrong), found before replaying.

    curves: figures from a publication, which cannot be replayed.
    """

    folder: Path
    problems: tuple[tuple[str, str], ...] = ()
    results: tuple[ResultReport, ...] = ()
    curves: int = 0
    seconds: float = 0.0

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.problems and not any(result.problems for result in self.results)


class Evaluations:
    """The official examples of tasks, and their training texts; each loaded once."""

    def __init__(self, mirror: Path | None) -> None:
        self._mirror = mirror
        self._loaded: dict[str, EvaluationSet] = {}
        self._texts: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, task: str) -> EvaluationSet:
        """Raises: DataError, UsageError."""
        with self._lock:
            if task not in self._loaded:
                self._loaded[task] = get_task(task).evaluation(mirror=self._mirror)
            return self._loaded[task]

    def texts_of(self, task: str) -> tuple[str, ...]:
        """Raises: DataError, UsageError."""
        with self._lock:
            if task not in self._texts:
                self._texts[task] = tuple(training_texts(task, self._mirror))
            return self._texts[task]


def verify_entries(
    folders: Sequence[Path],
    request: Request,
    *,
    registry: Path | None = None,
    on_result: Callable[[ResultReport], None] | None = None,
) -> Iterator[EntryReport]:
    """Verify entries, `request.jobs` at a time: a report each, as they are done.

    registry: the folder with `entries/` and `checkpoints/`; by default the one that each entry lies in.
    """
    evaluations = Evaluations(request.mirror)
    cancelled = threading.Event()
    with ThreadPoolExecutor(request.jobs) as pool:
        try:
            waiting = [
                pool.submit(verify_entry, folder, request, evaluations, registry, on_result, cancelled)
                for folder in folders
            ]
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            # Interrupted, or nobody wants to hear the rest.
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


def verify_entry(
    folder: Path,
    request: Request,
    evaluations: Evaluations,
    registry: Path | None = None,
    on_result: Callable[[ResultReport], None] | None = None,
    cancelled: threading.Event | None = None,
) -> EntryReport:
    """Check an entry, replay its results and write evidence for each that proves true, as soon as it does."""
    started = time.perf_counter()
    registry = registry or folder.parent.parent
    target = folder if request.out is None else request.out / folder.name
    try:
        [found] = bounded(look_over, (folder, registry, target), request.limits(), cancelled)
        overview = Overview.model_validate(found)
    except (StoppedError, ValidationError, ValueError) as error:
        problem = f"looking it over was stopped: {' '.join(str(error).split())[:300]}."
        return EntryReport(folder, problems=(("", problem),), seconds=time.perf_counter() - started)
    reports: list[ResultReport] = []

    def report(result: ResultReport) -> None:
        reports.append(result)
        if on_result:
            on_result(result)

    wanted = []
    for result in overview.results:
        if result.evidence is not None and not request.again and _enough(result, request.reproducing):
            report(ResultReport(result.key, result.evidence.level, result.examples, kept=True))
        else:
            wanted.append(result)
    with ExitStack() as stack:
        again = bool(request.reproducing.examples)
        jobs, weights = _jobs(wanted, overview.victims, registry, evaluations, stack, report, again=again)
        waiting = {result.key: result for job in jobs for result in job.results}
        try:
            arguments = (folder, jobs, request.by, request.reproducing, request.device)
            for message in bounded(judge, arguments, request.limits(weights), cancelled) if jobs else ():
                verdict = Verdict.model_validate(message)
                report(_conclude(waiting.pop(verdict.key), verdict, target))
        except (StoppedError, ValidationError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            for result in waiting.values():
                report(_failed(result, f"its verification was stopped: {reason}"))
    return EntryReport(
        folder,
        tuple(overview.problems),
        tuple(sorted(reports, key=lambda each: each.key)),
        overview.curves,
        time.perf_counter() - started,
    )


def _enough(found: Found, reproducing: Reproducing) -> bool:
    """Whether the evidence that there is says what is asked for."""
    if not reproducing.examples or not found.correct or found.evidence is None:
        return found.evidence is not None
    reproduction = found.evidence.reproduction
    return reproduction is not None and len(reproduction.examples) >= min(reproducing.examples, found.correct)


def _jobs(
    wanted: Sequence[Found],
    victims: Mapping[str, TaskEntry],
    registry: Path,
    evaluations: Evaluations,
    stack: ExitStack,
    report: Callable[[ResultReport], None],
    *,
    again: bool,
) -> tuple[list[Job], int]:
    """What to replay, by victim so that each is loaded once; and the size of the largest one's weights.

    again: whether attacks are to be run again, too.
    """
    jobs: list[Job] = []
    folders: dict[Checkpoint, Path] = {}
    for task in dict.fromkeys(result.key.task for result in wanted):
        results = tuple(result for result in wanted if result.key.task == task)
        declared = victims[task]
        try:
            parts = sealed_parts(list(declared.checkpoints.values()), registry, folders, stack)
            guides = [each.proposal for each in results if again and each.proposal is not None]
            proposals, lacking = sealed_proposals(guides, registry, folders, stack)
            for result in results:
                if result.proposal in lacking:
                    report(_failed(result, lacking[result.proposal]))
            results = tuple(result for result in results if result.proposal not in lacking)
            learns = again and any(
                result.proposal is None and keeps_a_beam(get_attack(result.key.attack)) for result in results
            )
            texts = evaluations.texts_of(task) if learns or declared.composition == "filter" else ()
            if results:
                jobs.append(Job(declared, parts, evaluations.of(task), results, texts, proposals))
        except HoldfastError as error:
            for result in results:
                report(_failed(result, f"it cannot be replayed here: {str(error).removesuffix('.')}"))
    jobs.sort(key=lambda job: job.victim)
    loaded = [{*job.folders, *job.proposals.values()} for job in jobs]
    return jobs, max((sum(map(weight_bytes, parts)) for parts in loaded), default=0)


def _conclude(found: Found, verdict: Verdict, target: Path) -> ResultReport:
    evidence = verdict.evidence
    if evidence is None:
        refuted = f"the evidence of {found.evidence.verified_by} says otherwise; delete it" if found.evidence else ""
        return _failed(found, *verdict.problems, *filter(None, [refuted]))
    try:
        write_evidence(target, found.key, evidence)
    except HoldfastError as error:
        return _failed(found, f"its evidence cannot be written: {error}")
    reproduction = evidence.reproduction
    return ResultReport(
        found.key,
        evidence.level,
        found.examples,
        near_ties=evidence.replay.near_ties,
        seconds=evidence.replay.seconds + (reproduction.seconds if reproduction else 0),
    )


def _failed(found: Found, *problems: str) -> ResultReport:
    return ResultReport(found.key, "scored", found.examples, problems=problems)


def write_evidence(target: Path, key: Key, evidence: Evidence) -> Path:
    """Write a record under a folder. Raises: RecordError where a name or a link would lead out of it."""
    if not _KEY.fullmatch("/".join(key)) or (evidence.task, evidence.attack, evidence.position) != key:
        raise RecordError(f"{'/'.join(key)!r} is not the name of a result.")
    path = file_of(target, "evidence", key)
    for each in (path.with_name(f".{path.name}.partial"), path, path.parent, path.parent.parent):
        if each.is_symlink():
            raise RecordError(f"{each} is a link; an entry holds plain files only.")
    write_atomically(path, evidence_json(evidence))
    return path
