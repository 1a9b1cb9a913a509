"""Scoring a candidate exactly as the last release was scored, so that the two can be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..benchmark import Result, Settings, Victim, load_victim, score
from ..benchmark.attacks import GuidedAttack, attack_parameters, is_guided, recorded_attack
from ..benchmark.position import Position
from ..benchmark.scoring import for_task
from ..tasks import RecordError, UsageError, get_task
from .entry import key_of
from .victim_file import load_model


@dataclass(frozen=True)
class Asked:
    """What was asked of a release: tasks by name, attacks by name and position, and the settings of all its scores."""

    tasks: list[str]
    attacks: list[tuple[str, Position]]
    settings: Settings


def asked_of(baseline: Sequence[Result]) -> Asked:
    """What to ask of a candidate of this baseline. Raises: UsageError when its scores differ in their settings."""
    settings = {Settings(each.profile, len(each.records), each.budget, each.seed) for each in baseline}
    if len(settings) > 1:
        raise UsageError(
            "The baseline's results differ in examples, budget or seed; name --task and a --profile or --budget, and "
            "compare one part at a time."
        )
    return Asked(
        tasks=list(dict.fromkeys(each.task.name for each in baseline)),
        attacks=list(dict.fromkeys((key_of(each).attack, each.attack.position) for each in baseline)),
        settings=settings.pop(),
    )


def score_like(
    baseline: Sequence[Result],
    model: str | Path,
    out: Path,
    *,
    device: str | None = None,
    mirror: Path | None = None,
) -> list[Result]:
    """Attack a checkpoint with the tasks, attacks, examples, budget and seed of the baseline's results.

    Finished scores in `out` are read, unfinished ones go on. Raises: RecordError when the baseline was made with other
    versions of a task or attack than are installed here, and what scoring raises.
    """
    tasks = {each.task.name: get_task(each.task.name) for each in baseline}
    for result in baseline:
        # Whatever cannot be repeated is said before anything is attacked.
        task, attack = tasks[result.task.name], recorded_attack(result.attack.name, result.attack.parameters)
        if result.task.digest != task.digest:
            raise RecordError(
                f"The baseline was scored on other examples of {task.name} (version {result.task.version}) than this "
                f"installation has (version {task.version}); score the last release again."
            )
        if result.attack.parameters != attack_parameters(attack):
            raise RecordError(
                f"The baseline was attacked by {attack.name} with other parameters ({result.attack.parameters}) than "
                f"this installation has ({attack_parameters(attack)}); score the last release again."
            )
    proposals = {
        attack.proposal: _proposal(attack, device)
        for result in baseline
        if is_guided(attack := recorded_attack(result.attack.name, result.attack.parameters))
    }
    victim = load_model(model, device=device)
    evaluations = {name: task.evaluation(mirror=mirror) for name, task in tasks.items()}
    scored = []
    for result in baseline:
        settings = Settings(result.profile, len(result.records), result.budget, result.seed)
        attack, position = recorded_attack(result.attack.name, result.attack.parameters), result.attack.position
        scored.append(
            score(
                for_task(victim, tasks[result.task.name], mirror),
                evaluations[result.task.name],
                attack,
                settings,
                out,
                position=position,
                proposal=proposals.get(attack.proposal) if is_guided(attack) else None,
                mirror=mirror,
            )
        )
    return scored


def _proposal(attack: GuidedAttack, device: str | None) -> Victim:
    """The language model that guided an attack of the baseline. Raises: CheckpointError, RecordError."""
    model = load_victim(attack.proposal, device=device, dtype="float32")
    if model.digest != attack.proposal_digest:
        raise RecordError(
            f"{attack.proposal} is another proposal than the one that guided {attack.name} in the baseline; put that "
            "one back, or score the last release again."
        )
    return model
