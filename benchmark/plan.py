"""What a score would cost and take, before it is run: the dry run.

Costs follow from the tokenized examples alone. Time and memory are measured, on one batch of candidates and one of
gradients of a middling and of the longest example, and on what a language model that guides the attack is asked about
the longest. They are scaled to the case that every example holds for the whole budget, with a gradient in every
iteration; a victim that breaks takes less.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from ..tasks import EvaluationSet
from .attacks import Attack, GuidedAttack, is_guided
from .batch import BatchSize
from .budget import TIERS, forward_cost
from .engine import ROUNDING, gradient_rows, kept_by, scored_together
from .iteration import dearest_iteration, proposing_cost
from .machine import peak_memory
from .pass_base import Unit
from .passes import passes_for
from .position import OFFICIAL_POSITION, Position
from .proposal import proposal_for
from .screening import Bar, scorer_for
from .settings import Settings
from .slot import Slot, prepare_slot
from .victim import Victim


@dataclass(frozen=True)
class Plan:
    """A score that has not been run. Costs are FLOP per example, for an example of median length.

    proposing_cost: of an iteration, for the passes of the language model that guides the attack; proposing_seconds:
    what these take. gradient_seconds: of a gradient, among those of other examples. iterations: whole iterations that
    fit each tier up to the budget. seconds: at most, if nothing breaks. memory: peak bytes with one batch of the
    longest example; available: bytes free now.
    """

    examples: int
    truncated: int
    parameters: int
    median_tokens: int
    longest_tokens: int
    forward_cost: int
    iteration_cost: int
    proposing_cost: int
    proposing_seconds: float
    gradient_seconds: float
    iterations: dict[float, int]
    candidates_per_second: float
    seconds: float
    memory: int
    available: int


def plan(
    victim: Victim,
    evaluation: EvaluationSet,
    attack: Attack,
    settings: Settings,
    *,
    position: Position = OFFICIAL_POSITION,
    proposal: Victim | None = None,
    batch_size: int | None = None,
) -> Plan:
    """Work out a score without running it. proposal: the language model of an attack that is guided by one.

    Raises: CheckpointError when the victim cannot be attacked, or the proposal does not fit it; UsageError when one is
    lacking; ResourceError when not even one sequence finds memory.
    """
    examples = evaluation.examples[: settings.examples]
    slots = [prepare_slot(each, victim.vocabulary, attack.length, victim.context, position) for each in examples]
    slots.sort(key=lambda slot: slot.tokens)
    middling, longest = slots[len(slots) // 2], slots[-1]
    victim.logits(longest.clean)  # says what is wrong with a victim that cannot be run at all
    batch = BatchSize(batch_size, victim.device)
    passes = passes_for(victim)
    together = scored_together(attack)
    scorer = scorer_for(victim, passes, batch, together=together)

    def rate(slot: Slot) -> float:
        """Candidates per second, of as many examples like this one as fill a batch."""
        examples = max(1, batch.rows // together)
        strings = victim.vocabulary.draw(np.random.default_rng(0), examples * together, attack.length)
        ready, bar = scorer.prepare(slot), Bar(slot.example.label, kept_by(attack), np.inf, ROUNDING)
        of_each = list(strings.reshape(examples, together, attack.length))
        return len(strings) / _seconds(
            lambda: scorer.logits([ready] * examples, of_each, [None] * examples, [bar] * examples)
        )

    def gradient(slot: Slot) -> float:
        """Seconds of one, in a batch of several."""
        if not attack.uses_gradient:
            return 0.0
        strings = victim.vocabulary.draw(np.random.default_rng(0), 1, attack.length)
        units = [Unit(passes.prepare(slot), strings)] * min(gradient_rows(batch.rows), len(slots))
        return _seconds(lambda: passes.slot_gradient(units).cpu()) / len(units)

    # The longest first: batches that fit its text fit the others.
    longest_rate, longest_gradient = batch.fitting(lambda: (rate(longest), gradient(longest)))
    middling_rate, middling_gradient = rate(middling), gradient(middling)
    of_longest = attack.candidates / longest_rate + longest_gradient
    of_middling = attack.candidates / middling_rate + middling_gradient
    proposing = _proposing_seconds(victim, attack, longest, proposal) if is_guided(attack) else 0.0
    iterations = sum(int(settings.budget // _iteration_cost(victim, attack, slot)) for slot in slots)
    tiers = [tier for tier in TIERS if tier < settings.budget] + [settings.budget]
    iteration = _iteration_cost(victim, attack, middling)
    return Plan(
        examples=len(slots),
        truncated=sum(slot.truncated for slot in slots),
        parameters=victim.parameters,
        median_tokens=middling.tokens,
        longest_tokens=longest.tokens,
        forward_cost=forward_cost(victim.parameters, middling.tokens),
        iteration_cost=iteration,
        proposing_cost=_proposing_cost(attack, middling),
        proposing_seconds=proposing,
        gradient_seconds=middling_gradient,
        iterations={tier: int(tier // iteration) for tier in tiers},
        candidates_per_second=middling_rate,
        seconds=iterations * (max(of_middling, of_longest / 2) + proposing),
        memory=peak_memory(victim.device),
        available=_available(victim.device),
    )


def _iteration_cost(victim: Victim, attack: Attack, slot: Slot) -> int:
    return dearest_iteration(attack, victim.parameters, slot.tokens)


def _proposing_cost(attack: Attack, slot: Slot) -> int:
    """FLOP of asking for the last token, which is the dearest."""
    if not is_guided(attack):
        return 0
    return proposing_cost(attack, slot.tokens - attack.length, (attack.width, attack.length - 1))


def _proposing_seconds(victim: Victim, attack: GuidedAttack, slot: Slot, model: Victim | None) -> float:
    """The same, in seconds."""
    proposal = proposal_for(attack, victim, list, model)
    assert proposal is not None
    prepared, rng = proposal.prepare(slot), np.random.default_rng(0)
    asked = [victim.vocabulary.draw(rng, *ask) for ask in attack.asks(attack.width, attack.length - 1)]
    each = attack.candidates // attack.width
    return _seconds(lambda: [proposal.next_tokens(prepared, strings, each, rng) for strings in asked])


def _seconds(run: Callable[[], object]) -> float:
    """What a call takes that ends with its numbers on the processor, after a first one; the mean over a second."""
    run()
    started, times = time.perf_counter(), 0
    while times == 0 or time.perf_counter() - started < 1.0:
        run()
        times += 1
    return (time.perf_counter() - started) / times


def _available(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
