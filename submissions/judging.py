"""Replaying the results of an entry, inside the process with limits: a verdict on each, as soon as it is found.

Apart from `verdicts`, because only this needs PyTorch, and only the child should load it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from ..benchmark.results import parse_result, sha256
from ..benchmark.scoring import device_name, software_versions
from ..benchmark.victim import Victim, load_victim
from ..tasks import CheckpointError, ResourceError, get_task
from .entry import file_of
from .evidence import Digests, Evidence
from .limits import RESULT_BYTES, TRACE_BYTES, read_limited
from .omitted_flags import omitted_flags
from .replay import Replayer
from .reproduce import reproduce
from .sealed import refuse_unsafe
from .traces import read_trace
from .verdicts import Found, Job, Reproducing, Verdict

MOST_PROBLEMS = 20
"""Told per result; a wrong checkpoint would otherwise be 500 sentences."""


def judge_results(
    folder: Path, jobs: Sequence[Job], by: str, reproducing: Reproducing, device: str | None
) -> Iterator[Any]:
    """Replay results, and attack some of their examples again: a `Verdict` each, as soon as it is found."""
    for checkpoint, of_checkpoint in groupby(jobs, key=lambda job: job.folder):
        victims: dict[str, Victim] = {}
        for job in of_checkpoint:
            replayer: Replayer | None = None
            for found in job.results:
                evidence = None
                try:
                    refuse_unsafe(checkpoint)
                    if replayer is None:
                        victim = _victim(victims, checkpoint, "float32", device, job.evaluation.task)
                        replayer = Replayer(victim, job.evaluation)
                    problems, evidence = _verdict(folder, found, replayer, job.texts, victims, by, reproducing)
                except (CheckpointError, ResourceError) as error:
                    said = str(error).replace(str(checkpoint), job.checkpoint)[:500]
                    problems = [f"its checkpoint cannot be used: {said.removesuffix('.')}"]
                if len(problems) > MOST_PROBLEMS:
                    problems = [*problems[:MOST_PROBLEMS], f"and {len(problems) - MOST_PROBLEMS} more of this kind"]
                yield Verdict(key=found.key, problems=problems, evidence=evidence).model_dump(mode="json")


def _victim(victims: dict[str, Victim], folder: Path, dtype: str, device: str | None, task: str) -> Victim:
    """The checkpoint in a precision, loaded once for all tasks, as it answers one of them."""
    if dtype not in victims:
        victims[dtype] = load_victim(folder, dtype=dtype, device=device)
    return victims[dtype].for_labels(get_task(task).labels)


def _verdict(
    folder: Path,
    found: Found,
    replayer: Replayer,
    texts: Sequence[str],
    victims: dict[str, Victim],
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
        ours = replayer.victim
        victim = _victim(victims, ours.folder, result.victim.dtype, str(ours.device), result.task.name)
        if not victim.exact:
            # The float32 model is there already, for replaying; it need not be loaded a second time to judge.
            victim.judge = ours.judge
        problems, reproduction = reproduce(
            result,
            found.result,
            victim,
            replayer.evaluation,
            reproducing.examples,
            reproducing.seed,
            reproducing.budget,
            texts,
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
