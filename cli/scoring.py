"""Scoring as `score` and `sweep` do it: one victim on one task by some attacks, with progress and remarks."""

import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from .options import title
from .progress import shown
from .terminal import InterruptedRunError, err

if TYPE_CHECKING:
    from ..benchmark import Attack, Result, Settings
    from ..benchmark.executor import Host
    from ..benchmark.position import Position
    from ..tasks import EvaluationSet, Task


def read_evaluations(
    tasks: "Sequence[Task]", settings: "Settings", mirror: Path | None, accept_other_data: bool
) -> "list[EvaluationSet]":
    """The tasks' examples, as far as they may be scored on; says where they are not the official ones."""
    from ..benchmark.scoring import check_evaluation

    evaluations = [each.evaluation(mirror=mirror) for each in tasks]
    for evaluation in evaluations:
        check_evaluation(evaluation, settings, accept_other_data)
        if not evaluation.matches:
            err.print(f"{evaluation.mismatch}", style="yellow", markup=False, soft_wrap=True)
    return evaluations


def score_on(
    host: "Host",
    task: "Task",
    evaluation: "EvaluationSet",
    attacks: "Sequence[tuple[Attack, Position]]",
    settings: "Settings",
    target: Path,
    *,
    accept_other_data: bool,
) -> "list[Result]":
    """Results in `target`, one per attack. Raises: InterruptedRunError on Ctrl-C, and what scoring raises."""
    from ..benchmark import format_gpu_time
    from ..benchmark.scoring import score_by

    results = []
    try:
        with err.status("making the victim ready") if err.is_terminal else nullcontext():
            executor = host.executor(task)
        for attack, place in attacks:
            with shown(f"{task.name} × {title(attack, place)}") as display:
                result = score_by(
                    executor,
                    evaluation,
                    host.guided(attack),
                    settings,
                    target,
                    position=place,
                    accept_other_data=accept_other_data,
                    on_progress=display,
                )
            if result.summary.clean_correct and not any(record.iterations for record in result.records):
                err.print(
                    f"No iteration of {attack.name} fits a budget of {format_gpu_time(settings.budget)} for a victim "
                    "of this size: nothing was attacked, and robust accuracy is clean accuracy. A larger --profile or "
                    "--budget is needed.",
                    style="yellow",
                    soft_wrap=True,
                )
            results.append(result)
    except KeyboardInterrupt:
        again = shlex.join(["holdfast", *sys.argv[1:]])
        raise InterruptedRunError(
            f"Interrupted. Every finished example is saved in {target}; to go on:\n  {again}"
        ) from None
    return results
