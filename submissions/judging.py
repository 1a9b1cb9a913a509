"""Replaying the results of an entry, inside the process with limits: a verdict on each, as soon as it is found.

Apart from `verdicts`, because only this needs PyTorch, and only the child should load it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from ..benchmark.machine import device_name, software_versions
from ..benchmark.results import parse_result, sha256
from ..benchmark.victim import Victim, load_victim
from ..tasks import CheckpointError, ResourceError, get_task
from .declared import name_of
from .entry import file_of
from .evidence import Digests, Evidence
from .limits import RESULT_BYTES, TRACE_BYTES, read_limited
from .omitted_flags import omitted_flags
from .replay import Replayer
from .reproduce import reproduce
from .sealed import refuse_unsafe
from .traces import read_trace
from .verdicts import Found, Job, Reproducing, Verdict
from .victim_file import assembled

MOST_PROBLEMS = 20
"""Told per result; a wrong checkpoint would otherwise be 500 sentences."""


def judge_results(
    folder: Path, jobs: Sequence[Job], by: str, reproducing: Reproducing, device: str | None
) -> Iterator[Any]:
    """Replay results, and attack some of their examples again: a `Verdict` each, as soon as it is found."""
    for _, of_victim in groupby(jobs, key=lambda job: job.victim):
        loader = _Loader(device)
        for job in of_victim:
            replayer: Replayer | None = None
            for found in job.results:
                evidence = None
                try:
                    _refuse_unsafe(job, found)
                    if replayer is None:
                        replayer = Replayer(loader.victim(job, "float32"), job.evaluation)
                    problems, evidence = _verdict(folder, found, replayer, job, loader, by, reproducing)
                except (CheckpointError, ResourceError) as error:
                    problems = [f"its checkpoint cannot be used: {_named(str(error), job)[:500].removesuffix('.')}"]
                if len(problems) > MOST_PROBLEMS:
                    problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more of this kind"]
                yield Verdict(key=found.key, problems=problems, evidence=evidence).model_dump(mode="json")


def _refuse_unsafe(job: Job, found: Found) -> None:
    folders = [*job.folders, *([job.proposals[found.proposal]] if found.proposal in job.proposals else [])]
    for folder in folders:
        try:
            refuse_unsafe(folder)
        except CheckpointError as error:
            raise error if len(folders) == 1 else CheckpointError(f"{folder}: {error}") from error


def _named(message: str, job: Job) -> str:
    """A message with the names of checkpoints in place of the folders that they are sealed in."""
    for folder, checkpoint in zip(job.folders, job.declared.checkpoints.values(), strict=True):
        message = message.replace(str(folder), name_of(checkpoint))
    for reference, folder in job.proposals.items():
        message = message.replace(str(folder), reference)
    return message


class _Loader:
    """The victims of jobs that have the same one: each checkpoint is loaded once in each precision, for all tasks."""

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._parts: dict[tuple[Path, str], Victim] = {}

    def victim(self, job: Job, dtype: str) -> Victim:
        """The victim of a job in a precision, as it answers the task."""
        parts = [self._part(folder, dtype) for folder in job.folders]
        victim = assembled(job.declared.composition, parts, job.declared.reference[0])
        return victim.for_labels(get_task(job.evaluation.task).labels).calibrated(lambda: job.texts)

    def proposal(self, job: Job, found: Found) -> Victim | None:
        """The language model that guided an attack; None for an attack that none did."""
        return None if found.proposal is None else self._part(job.proposals[found.proposal], "float32")

    def _part(self, folder: Path, dtype: str) -> Victim:
        if (folder, dtype) not in self._parts:
            part = self._parts[folder, dtype] = load_victim(folder, dtype=dtype, device=self._device)
            if not part.exact:
                # The float32 model is there already, for replaying; it need not be loaded a second time to judge.
                part.judge = self._parts[folder, "float32"].model
        return self._parts[folder, dtype]


def _verdict(
    folder: Path,
    found: Found,
    replayer: Replayer,
    job: Job,
    loader: _Loader,
    by: str,
    reproducing: Reproducing,
) -> tuple[list[str], Evidence | None]:
    content = read_limited(file_of(folder, "results", found.key), RESULT_BYTES)
    trace = read_limited(file_of(folder, "traces", found.key), TRACE_BYTES)
    if (sha256(content), sha256(trace)) != (found.result, found.trace):
        return ["its files changed while they were verified; verify again"], None
    result = parse_result(content, file_of(folder, "results", found.key))
    problems, replay = replayer.replay(result, read_trace(trace))
    problems = problems or omitted_flags(result, replayer.victim, replayer.evaluation)
    reproduction = None
    if reproducing.examples and found.correct and not problems:
        proposal = loader.proposal(job, found)
        if proposal and proposal.digest != result.attack.parameters["proposal_digest"]:
            return [f"{found.proposal} is another proposal than the one that is recorded, by its SHA-256"], None
        dtype = result.victim.dtype
        victim = replayer.victim if dtype == "float32" else loader.victim(job, dtype)
        problems, reproduction = reproduce(
            result,
            found.result,
            victim,
            replayer.evaluation,
            reproducing.examples,
            reproducing.seed,
            reproducing.budget,
            job.texts,
            proposal,
        )
    if problems:
        return problems, None
    return [], Evidence(
        level="reproduced" if reproduction else "replayed",
        task=found.key.task,
        attack=found.key.attack,
        position=found.key.position,
        verified_by=by,
        verified_at=datetime.now(UTC).replace(microsecond=0),
        device=device_name(replayer.victim.device),
        versions=software_versions(),
        digests=Digests(
            result=found.result, trace=found.trace, victim=replayer.victim.digest, data=replayer.evaluation.digest
        ),
        replay=replay,
        reproduction=reproduction,
    )
