"""What a verification does inside its process with limits (`bounded`): look an entry over, then replay its results.

Nothing here writes; what is found goes back to `verify`, which does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..benchmark.attacks import is_guided, recorded_attack
from ..benchmark.results import parse_result, sha256
from ..tasks import EvaluationSet, HoldfastError
from .check import check_entry
from .entry import Key, evidence_for, file_of, keys_in
from .evidence import Evidence
from .limits import RESULT_BYTES, TRACE_BYTES, read_limited
from .manifest import MANIFEST_FILE, TaskEntry, read_manifest


class Found(BaseModel):
    """One result of an entry, before it is verified. result, trace: SHA-256 of the files. correct: examples that are
    right without an attack. proposal: the language model that guided the attack, where one did. evidence: what
    belongs to the files as they are.
    """

    model_config = ConfigDict(frozen=True)

    key: Key
    result: str
    trace: str
    examples: int
    correct: int
    proposal: str | None = None
    evidence: Evidence | None


class Overview(BaseModel):
    """An entry, looked over. problems: (file inside the entry, message). curves: how many there are instead.

    victims: by task, as the manifest declares them.
    """

    model_config = ConfigDict(frozen=True)

    problems: list[tuple[str, str]]
    results: list[Found] = []
    curves: int = 0
    victims: dict[str, TaskEntry] = {}


class Verdict(BaseModel):
    """One result, verified: the record to write, or what disagrees."""

    model_config = ConfigDict(frozen=True)

    key: Key
    problems: list[str]
    evidence: Evidence | None


@dataclass(frozen=True)
class Job:
    """One task of an entry to verify. declared: its victim; folders: its checkpoints in order, sealed. texts: the
    task's training texts, where the victim is calibrated on them, or an attack that learned from them is run again.
    proposals: of attacks that are run again, by reference; sealed, too.
    """

    declared: TaskEntry
    folders: tuple[Path, ...]
    evaluation: EvaluationSet
    results: tuple[Found, ...]
    texts: tuple[str, ...] = ()
    proposals: dict[str, Path] = field(default_factory=dict)

    @property
    def victim(self) -> tuple[str, tuple[Path, ...]]:
        """Equal for jobs with the same victim."""
        return self.declared.composition, self.folders


@dataclass(frozen=True)
class Reproducing:
    """How much is attacked again: examples per result, the seed of the draw, and FLOP per example at most."""

    examples: int = 0
    seed: int = 0
    budget: float | None = None


FEWEST = 6
"""Examples to reproduce at least: of five that all differ one way, the test could not say that this is no chance."""


def look_over(folder: Path, registry: Path, evidence: Path) -> Iterator[Any]:
    """Check an entry without its models: one `Overview`. evidence: the folder that its records are in."""
    problems = []
    replaced = {file_of(folder, "evidence", key) for key in keys_in(folder, "results")}
    for problem in check_entry(folder, registry, proposals=False):
        # A record that is no good is replaced when the result proves true.
        if problem.file not in replaced or problem.file.is_symlink() or not problem.file.is_file():
            file = problem.file.relative_to(folder).as_posix() if problem.file != folder else ""
            problems.append((file if problem.line is None else f"{file}:{problem.line}", problem.message))
    if problems:
        yield Overview(problems=problems).model_dump(mode="json")
        return
    manifest = read_manifest(folder / MANIFEST_FILE)
    yield Overview(
        problems=[],
        results=[_found(folder, key, evidence) for key in keys_in(folder, "results")],
        curves=len(keys_in(folder, "curves")),
        victims={name: task for name, task in manifest.tasks.items() if task.checkpoints},
    ).model_dump(mode="json")


def _found(folder: Path, key: Key, evidence: Path) -> Found:
    content = read_limited(file_of(folder, "results", key), RESULT_BYTES)
    trace = sha256(read_limited(file_of(folder, "traces", key), TRACE_BYTES))
    result = parse_result(content, file_of(folder, "results", key))
    try:
        known = evidence_for(evidence, key, sha256(content), trace)
    except HoldfastError:
        # A record that cannot be read is none; it is replaced.
        known = None
    attack = recorded_attack(result.attack.name, result.attack.parameters)
    return Found(
        key=key,
        result=sha256(content),
        trace=trace,
        examples=len(result.records),
        correct=result.summary.clean_correct,
        proposal=attack.proposal if is_guided(attack) else None,
        evidence=known,
    )


def judge(folder: Path, jobs: Sequence[Job], by: str, reproducing: Reproducing, device: str | None) -> Iterator[Any]:
    """Replay results, and attack some of their examples again: a `Verdict` each, as soon as it is found."""
    # The caller names this function and only its child runs it; so the caller starts without PyTorch.
    from .judging import judge_results

    yield from judge_results(folder, jobs, by, reproducing, device)
