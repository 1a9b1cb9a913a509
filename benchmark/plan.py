"""What a score would cost and take, before it is run: the dry run.

Costs follow from the tokenized examples alone. Time and memory are measured, on one batch of candidates of a middling
and of the longest example, and scaled to the case that every example holds for the whole budget; a victim that breaks
takes less.
"""

import time
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from ..tasks import EvaluationSet
from .attacks import Attack
from .batch import BatchSize
from .budget import TIERS, forward_cost
from .iteration import dearest_iteration
from .machine import peak_memory
from .pass_base import Prepared, Unit
from .passes import passes_for
from .position import OFFICIAL_POSITION, Position
from .settings import Settings
from .slot import Slot, prepare_slot
from .victim import Victim


@dataclass(frozen=True)
class Plan:
    """A score that has not been run. Costs are FLOP per example, for an example of median length.

    iterations: whole iterations that fit each tier up to the budget. seconds: at most, if nothing breaks.
    memory: peak bytes with one batch of the longest example; available: bytes free now.
    """

    examples: int
    truncated: int
    parameters: int
    median_tokens: int
    longest_tokens: int
    forward_cost: int
    iteration_cost: int
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
    batch_size: int | None = None,
) -> Plan:
    """Work out a score without running it. Raises: CheckpointError when the victim cannot be attacked."""
    examples = evaluation.examples[: settings.examples]
    slots = [prepare_slot(each, victim.vocabulary, attack.length, victim.context, position) for each in examples]
    slots.sort(key=lambda slot: slot.tokens)
    middling, longest = slots[len(slots) // 2], slots[-1]
    victim.logits(longest.clean)  # says what is wrong with a victim that cannot be run at all
    batch = BatchSize(batch_size, victim.device)
    passes = passes_for(victim)

    def rate(slot: Slot) -> float:
        """Candidates per second."""
        prepared: Prepared = passes.prepare(slot)
        strings = victim.vocabulary.draw(np.random.default_rng(0), batch.rows, attack.length)
        passes.logits([Unit(prepared, strings)])
        if victim.device.type == "cuda":
            torch.cuda.synchronize(victim.device)
        started, done = time.perf_counter(), 0
        while done == 0 or time.perf_counter() - started < 1.0:
            passes.logits([Unit(prepared, strings)]).cpu()
            done += batch.rows
        return done / (time.perf_counter() - started)

    middling_rate, longest_rate = rate(middling), rate(longest)
    candidates = sum(_candidates(victim, attack, slot, settings.budget) for slot in slots)
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
        iterations={tier: int(tier // iteration) for tier in tiers},
        candidates_per_second=middling_rate,
        seconds=candidates / min(middling_rate, 2 * longest_rate),
        memory=peak_memory(victim.device),
        available=_available(victim.device),
    )


def _iteration_cost(victim: Victim, attack: Attack, slot: Slot) -> int:
    return dearest_iteration(attack, victim.parameters, slot.tokens)


def _candidates(victim: Victim, attack: Attack, slot: Slot, budget: float) -> int:
    return int(budget // _iteration_cost(victim, attack, slot)) * attack.candidates


def _available(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
