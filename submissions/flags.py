"""The flags of a result: those that it records, and those that follow from results.

What the answers without an attack say is read from the records again, so that a result from before the checks, or one
that leaves a flag out, says it too. That a gradient attack did worse than random tokens is a fact about two results.
"""

from collections.abc import Sequence

from ..benchmark import Result, get_attack
from ..benchmark.budget import cost_of_iteration
from ..benchmark.curves import holds
from ..benchmark.flags import WORSE_THAN_RANDOM, answer_flags
from ..benchmark.results import ExamplePart
from ..tasks import UsageError
from .adversary import same_examples
from .paired import paired_chances

RANDOM = "random_token"
SIGNIFICANT = 0.05
FEWEST = 10
"""Iterations of the gradient attack that an example's budget must hold for it to count: one that hardly moved says
nothing about gradients.
"""


def flags_of(results: Sequence[Result], beside: Sequence[Result]) -> tuple[str, ...]:
    """All flags of some results, each once, in alphabetic order. beside: what stands with them in an entry or a run."""
    found: set[str] = set()
    for result in results:
        found.update(result.flags, answer_flags(result.records))
        if any(worse_than_random(result, other) for other in beside):
            found.add(WORSE_THAN_RANDOM)
    return tuple(sorted(found))


def worse_than_random(result: Result, other: Result) -> bool:
    """Whether a result of a gradient attack broke significantly fewer examples than random tokens at the same cost.

    Both are given the smaller of the two budgets. The exact McNemar test over the examples that both found right
    without an attack, one-sided at 5 %: of those that only one broke, each is the gradient attack's or the other's by
    the toss of a coin when gradients neither help nor mislead.
    """
    iteration = _iteration(result)
    if iteration is None or other.attack.name != RANDOM or _asked(result) != _asked(other):
        return False
    if not same_examples(result.records, other.records):
        return False
    budget = min(result.budget, other.budget)
    pairs = [
        (holds(one, budget), holds(another, budget))
        for one, another in zip(result.records, other.records, strict=False)
        if one.clean_correct and another.clean_correct and budget >= FEWEST * _cost(one, result, iteration)
    ]
    random_alone = sum(held and not random_held for held, random_held in pairs)
    gradient_alone = sum(random_held and not held for held, random_held in pairs)
    p, _ = paired_chances(random_alone, gradient_alone)
    return p < SIGNIFICANT


def _iteration(result: Result) -> int | None:
    """Strings that an iteration of a gradient attack scores; None for other attacks, and for those not known here."""
    try:
        attack = get_attack(result.attack.name)
    except UsageError:
        return None
    return int(result.attack.parameters.get("candidates", attack.candidates)) if attack.uses_gradient else None


def _cost(record: ExamplePart, result: Result, candidates: int) -> int:
    """FLOP of one iteration of a gradient attack on an example."""
    return cost_of_iteration(result.victim.parameters, record.tokens, candidates, gradient=True)


def _asked(result: Result) -> tuple[object, ...]:
    """What two results must have in common to be compared: task, data, victim, and where strings of what length go."""
    task, attack = result.task, result.attack
    return task.name, task.version, task.digest, result.victim.digest, attack.position, attack.parameters.get("length")
