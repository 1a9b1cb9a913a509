"""Score one victim on one task by one attack: from examples to a result on disk, resumable at every moment.

What needs the model is an executor's; without one that is named, this process does it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..tasks import DataError, EvaluationSet, RecordError, UsageError
from .attacks import Attack, attack_parameters, deciding_parameters, full_name
from .executor import Executor, How, InProcess, Job, OnProgress, for_task
from .flags import OTHER_DATA, answer_flags
from .machine import device_name, software_versions
from .outcome import Progress
from .position import OFFICIAL_POSITION, Position
from .records import Effort, RecordFile, locked, write_atomically
from .results import (
    AttackPart,
    Result,
    RunPart,
    Seconds,
    TaskPart,
    VictimPart,
    example_parts,
    read_result,
    result_json,
    sha256,
    summarize,
    trace_bytes,
)
from .settings import Files, Settings
from .victim import Victim

__all__ = ["check_evaluation", "device_name", "for_task", "score", "score_by", "scored_before", "software_versions"]


def score(
    victim: Victim,
    evaluation: EvaluationSet,
    attack: Attack,
    settings: Settings,
    out: Path,
    *,
    position: Position = OFFICIAL_POSITION,
    proposal: Victim | None = None,
    mirror: Path | None = None,
    batch_size: int | None = None,
    accept_other_data: bool = False,
    on_progress: OnProgress | None = None,
) -> Result:
    """Attack the first examples of an evaluation set and write result and trace into `out`.

    proposal: the language model of an attack that is guided by one. mirror: a local copy of the Hub's layout, for
    attacks that learn from the task's training text.
    Finished examples are on disk at once; after an interruption the same call goes on where it was and ends with the
    same result. A score that is already there is read, not run again. Raises: DataError when the examples are not the
    official ones and `accept_other_data` is not set, UsageError when there are fewer than asked for, RecordError when
    `out` is in use or holds another run, ResourceError when memory or disk run out.
    """
    executor = InProcess(victim, proposal, mirror, batch_size)
    return score_by(
        executor,
        evaluation,
        attack,
        settings,
        out,
        position=position,
        accept_other_data=accept_other_data,
        on_progress=on_progress,
    )


def score_by(
    executor: Executor,
    evaluation: EvaluationSet,
    attack: Attack,
    settings: Settings,
    out: Path,
    *,
    position: Position = OFFICIAL_POSITION,
    accept_other_data: bool = False,
    on_progress: OnProgress | None = None,
) -> Result:
    """The same by an executor. Raises: what `score` raises, and what is the executor's own to raise."""
    check_evaluation(evaluation, settings, accept_other_data)
    files = Files.of(out, evaluation.task, full_name(attack), position)
    task_part = _task_part(evaluation)
    attack_part = AttackPart(name=attack.name, position=position, parameters=attack_parameters(attack))
    victim_part = executor.victim
    identity = _identity(task_part, attack_part, victim_part, settings)
    with locked(out):
        if files.result.exists():
            return _already_scored(files.result, identity)
        records = RecordFile(files.records, identity)
        examples = evaluation.examples[: settings.examples]
        attempt = executor.attack(
            Job(evaluation.task, attack, position, settings.budget, settings.seed),
            [example for example in examples if example.id not in records.records],
            _after(records, len(examples), on_progress),
        )
        for record in attempt.records():
            records.add(record, attempt.effort)
        ordered = [records.records[example.id] for example in examples]
        trace = trace_bytes(ordered)
        # Before the health checks, so that what the attack took is without them.
        run = _run_part(attempt.how, records.effort(attempt.effort), sum(record.cost for record in ordered))
        raised = executor.flags(examples, length=attack.length, position=position)
        result = Result(
            task=task_part,
            attack=attack_part,
            victim=victim_part,
            seed=settings.seed,
            profile=settings.profile,
            budget=settings.budget,
            summary=summarize(ordered),
            records=example_parts(ordered),
            flags=sorted([*answer_flags(ordered), *raised, *([] if evaluation.matches else [OTHER_DATA])]),
            trace_sha256=sha256(trace),
            run=run,
        )
        write_atomically(files.trace, trace)
        write_atomically(files.result, result_json(result))
        records.remove()
        return result


def scored_before(
    digest: str,
    evaluation: EvaluationSet,
    attack: Attack,
    settings: Settings,
    out: Path,
    position: Position = OFFICIAL_POSITION,
    dtype: str | None = None,
) -> Result | None:
    """The result that `out` has of this score, of the victim with a digest; None where it has none, or of another.

    dtype: the one that is asked for, where one is.
    """
    path = Files.of(out, evaluation.task, full_name(attack), position).result
    if not path.exists():
        return None
    result = read_result(path)
    attack_part = AttackPart(name=attack.name, position=position, parameters=attack_parameters(attack))
    asked = _identity(_task_part(evaluation), attack_part, result.victim, settings)
    asked |= {"victim digest": digest, "dtype": dtype or result.victim.dtype}
    return result if asked == _identity_of(result) else None


def check_evaluation(evaluation: EvaluationSet, settings: Settings, accept_other_data: bool) -> None:
    """Raises: DataError when the examples are not the official ones and that is not accepted, UsageError if too few."""
    if not evaluation.matches and not accept_other_data:
        raise DataError(
            f"{evaluation.mismatch} To score on it all the same, with the difference recorded, add --accept-other-data."
        )
    if settings.examples > len(evaluation.examples):
        raise UsageError(
            f"The task {evaluation.task} has {len(evaluation.examples)} examples; ask for at most so many, not "
            f"{settings.examples}."
        )


def _task_part(evaluation: EvaluationSet) -> TaskPart:
    return TaskPart(
        name=evaluation.task, version=evaluation.version, digest=evaluation.digest, official=evaluation.matches
    )


def _identity_of(result: Result) -> dict[str, Any]:
    settings = Settings(result.profile, result.summary.examples, result.budget, result.seed)
    return _identity(result.task, result.attack, result.victim, settings)


def _identity(task: TaskPart, attack: AttackPart, victim: VictimPart, settings: Settings) -> dict[str, Any]:
    """What makes two runs the same run: everything that the score depends on."""
    return {
        "task": task.name,
        "task version": task.version,
        "data digest": task.digest,
        "attack": attack.name,
        "attack parameters": deciding_parameters(attack.parameters),
        "victim digest": victim.digest,
        "dtype": victim.dtype,
        "seed": settings.seed,
        "examples": settings.examples,
        "budget": settings.budget,
    }


def _already_scored(path: Path, identity: dict[str, Any]) -> Result:
    result = read_result(path)
    found = _identity_of(result)
    for name, value in identity.items():
        if found[name] != value:
            raise RecordError(
                f"{path} is the result of another run, with another {name}; choose another --out, or move that file "
                f"away."
            )
    return result


def _after(records: RecordFile, total: int, on_progress: OnProgress | None) -> OnProgress | None:
    """Progress that counts what an earlier, interrupted stretch had finished."""
    if on_progress is None:
        return None
    earlier = list(records.records.values())
    broken = sum(record.break_cost is not None for record in earlier)
    wrong = sum(not record.clean_correct for record in earlier)

    def report(now: Progress) -> None:
        done = len(earlier)
        on_progress(
            Progress(
                done=done + now.done,
                total=total,
                broken=broken + now.broken,
                wrong=wrong + now.wrong,
                candidates=now.candidates,
                spent=(done + now.spent * now.total) / total,
            )
        )

    return report


def _run_part(how: How, effort: Effort, canonical: float) -> RunPart:
    return RunPart(
        versions=how.versions,
        executor=how.executor,
        workers=how.workers,
        device=how.device,
        threads=how.threads,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=Seconds(
            total=effort.model_seconds + effort.tokenization_seconds + effort.other_seconds,
            model=effort.model_seconds,
            tokenization=effort.tokenization_seconds,
            rest=effort.other_seconds,
        ),
        canonical_flop=canonical,
        executed_flop=effort.executed,
        candidates=effort.candidates,
        passes=how.passes,
        batch_size=how.batch_size,
        peak_memory=effort.peak_memory,
    )
