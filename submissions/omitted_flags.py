"""Health checks at a verification: a flag that a result leaves out is a problem; one too many is none.

Apart from `flags`, because only this runs the victim. Results from before there were checks have no flags, and need
none as long as none is raised.
"""

from ..benchmark import Result, health_flags
from ..benchmark.attacks import recorded_attack
from ..benchmark.victim import Victim
from ..tasks import EvaluationSet


def omitted_flags(result: Result, victim: Victim, evaluation: EvaluationSet) -> list[str]:
    """The flags that a victim raises now and its result does not have, a sentence each."""
    raised = health_flags(
        victim,
        evaluation.examples[: len(result.records)],
        length=recorded_attack(result.attack.name, result.attack.parameters).length,
        position=result.attack.position,
    )
    return [
        f"flags: the health check {name} is raised here, and the result does not say so; score it again"
        for name in raised
        if name not in result.flags
    ]
