"""Health checks: whether a victim's robustness is only apparent, as far as a handful of its answers can tell.

They are run with every score, on a few of the examples that are scored and apart from the attack: they have random
streams, passes and costs of their own, so that a record is the same with them and without. What they measure is in
`readings`, with the thresholds that turn it into flags. All is in float32 as verdicts are, but for the gradient, which
is the attack's own. For people it is written down in docs/health-checks.md.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..tasks import CheckpointError, Example, ResourceError
from .batch import out_of_memory
from .engine import margins
from .pass_base import Passes, Unit
from .passes import full_text, passes_for
from .position import OFFICIAL_POSITION, Position
from .readings import REPEATED, Readings
from .slot import Slot, prepare_slot, survivors
from .victim import Victim, one_thread_on_cpu

HANDFUL = 8
"""Examples looked at: evenly spread over the lengths of those that are scored, the shortest and the longest among them.
"""
PADDED = 4
"""Of them, those in a padded batch: the shortest and the longest, and some between."""
ASKED = 2
"""Times that each text is judged on its own."""
LONG = 2048
"""Tokens of the long texts, where the victim's context is not shorter. The longest official example has 1,818 for the
tokenizer of Pythia.
"""
OFFSET = 0.01
"""Share of the largest logit that a typical margin counts for at least: of what is lost in logits that are large beside
their difference, float32 keeps no more.
"""
STRINGS = 256
"""Random strings drawn in search of one that survives."""

Made = TypeVar("Made")


def health_flags(
    victim: Victim, examples: Sequence[Example], *, length: int = 10, position: Position = OFFICIAL_POSITION
) -> list[str]:
    """The flags that a victim raises on examples, in alphabetic order. length: tokens in an attack string."""
    return health_readings(victim, examples, length=length, position=position).flags


def health_readings(
    victim: Victim, examples: Sequence[Example], *, length: int = 10, position: Position = OFFICIAL_POSITION
) -> Readings:
    """Measure a victim on a handful of examples."""
    with one_thread_on_cpu(victim.device):
        return _Checkup(victim, handful(examples), length, position).readings()


def handful(examples: Sequence[Example]) -> list[Example]:
    """A few examples, evenly spread over their lengths in characters, the shortest first."""
    ordered = sorted(examples, key=lambda example: (len(example.text()), example.id))
    return [ordered[place] for place in _spread(len(ordered), HANDFUL)]


def _spread(total: int, count: int) -> list[int]:
    """`count` places evenly spread over so many, the first and the last among them; all where there are no more."""
    return np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()


@dataclass(frozen=True)
class _Probe:
    """An example with a random string in its slot. string: (1, length) int64. text: the full text."""

    slot: Slot
    string: np.ndarray
    text: str


class _Checkup:
    """One examination. What memory does not suffice for is left out, as a check must never cost a score."""

    def __init__(self, victim: Victim, examples: Sequence[Example], length: int, position: Position) -> None:
        self.victim = victim
        self.judging = victim.in_float32()
        self.examples = examples
        self.length = length
        self.position: Position = position
        self._passes = passes_for(victim)
        self._rng = np.random.default_rng(0)

    def readings(self) -> Readings:
        asked = [probe for example in self.examples if (probe := self._probe(example, self.victim.context))]
        logits = _where_memory_suffices(lambda: self._alone(asked)) if asked else None
        if logits is None:
            return Readings()
        finite = np.isfinite(logits).all(axis=(1, 2))
        lost = (math.nan,) * int((~finite).sum())
        if not finite.any():
            return Readings(promises=lost)
        probes, answers = [asked[i] for i in np.flatnonzero(finite)], logits[finite]
        alone = _differences(answers[:, 0])
        unit = max(float(np.median(np.abs(alone))), OFFSET * float(np.abs(answers).max())) or 1.0
        repeated = float(np.ptp(_differences(answers), axis=1).max()) / unit
        # What differs from one time to the next need not be in a batch for it.
        steady = repeated <= REPEATED and len(probes) > 1
        promises = _where_memory_suffices(lambda: self._promises(probes, answers, unit))
        long = _where_memory_suffices(self._long_answers) or []
        return Readings(
            repeated=repeated,
            batched=_where_memory_suffices(lambda: self._batched(probes, alone) / unit) if steady else None,
            promises=None if promises is None else lost + promises,
            closest=float(np.diff(np.sort(alone)).min()) / unit if len(alone) > 1 else None,
            long_spread=float(np.ptp(long)) / unit if len(long) > 1 else None,
            refuses_long=not np.isfinite(long).all(),
        )

    def _probe(self, example: Example, context: int) -> _Probe | None:
        """The example with a random string that survives in its slot; None where none does."""
        vocabulary = self.victim.vocabulary
        try:
            slot = prepare_slot(example, vocabulary, self.length, context, self.position)
        except CheckpointError:
            return None
        strings = vocabulary.draw(self._rng, STRINGS, self.length)
        [(alive, texts)] = survivors(vocabulary, [(slot, strings)])
        first = int(alive.argmax())
        return _Probe(slot, strings[first : first + 1], slot.example.text(texts[first])) if alive[first] else None

    def _alone(self, probes: Sequence[_Probe]) -> np.ndarray:
        """Logits of the public path, several times over: (probes, times, 2)."""
        return np.array([[self._sought(probe) for _ in range(ASKED)] for probe in probes])

    def _sought(self, probe: _Probe) -> np.ndarray:
        return self.victim.verdict(probe.text, probe.slot.example.label, attacked=True)

    def _batched(self, probes: Sequence[_Probe], alone: np.ndarray) -> float:
        """Largest difference in margin between texts alone, (probes,), and in a batch: padded, or the attack's own."""
        own = self._passes if self.victim.exact else passes_for(self.judging)
        full = full_text(self.judging)
        # Every row costs as much as the longest, so not all are padded.
        batches: list[tuple[Passes, list[int]]] = [(full, _spread(len(probes), PADDED))]
        if own.name != full.name:
            batches.extend((own, places) for places in _alike(probes))
        largest = 0.0
        for passes, places in batches:
            units = [Unit(passes.prepare(probes[i].slot), probes[i].string) for i in places]
            logits = passes.logits(units)[:, 0].cpu().numpy()
            largest = max(largest, float(np.abs(_differences(logits) - alone[places]).max()))
        return largest

    def _promises(self, probes: Sequence[_Probe], answers: np.ndarray, unit: float) -> tuple[float, ...]:
        """Per text that is answered rightly, the largest fall of the loss that one swap of a token promises.

        The loss is that of the attack, the cross-entropy of the wrong label: where the answer is right it falls at
        least half as fast as the margin, however sure the victim is.
        """
        promises: list[float] = []
        for probe, logits in zip(probes, answers[:, 0], strict=True):
            if int(logits.argmax()) != probe.slot.example.label:
                continue
            prepared = Unit(self._passes.prepare(probe.slot), probe.string)
            try:
                promises.append(self._promise(self._passes.slot_gradient([prepared])[0], probe.string[0]) / unit)
            except (RuntimeError, TypeError, ValueError) as error:
                if isinstance(error, RuntimeError) and out_of_memory(error):
                    raise
                # Nothing leads from the answer back to the tokens.
                promises.append(0.0)
        return tuple(promises)

    def _promise(self, values: Tensor, string: np.ndarray) -> float:
        """What the best swap promises. values: (length, vocabulary) gradient; string: (length,). nan: not finite."""
        if not bool(values.isfinite().all()):
            return math.nan
        places = torch.from_numpy(np.searchsorted(self.victim.vocabulary.ids, string)).to(values.device)
        return float((values.gather(1, places[:, None])[:, 0] - values.min(dim=1).values).max())

    def _long_answers(self) -> list[float]:
        """Margins of different long texts, each with a random string in its slot; nan where one is refused.

        Raises: ResourceError when memory does not suffice.
        """
        tokens = min(LONG, self.victim.context)
        found = []
        for place in sorted({0, len(self.examples) // 2}):
            probe = self._probe(self._longer(place, tokens), tokens)
            if probe is None:
                continue
            try:
                with _checked_lookups(self.victim.judges):
                    logits = self._sought(probe)
                found.append(float(_differences(logits)) if np.isfinite(logits).all() else math.nan)
            except ResourceError:
                raise
            except Exception:  # whatever it says: this is a text within its context
                found.append(math.nan)
            if math.isnan(found[-1]):
                break
        return found

    def _longer(self, place: int, tokens: int) -> Example:
        """An example behind so many of the others that it has at least so many tokens."""
        example = self.examples[place]
        others = "".join(f"{each.text()}\n" for each in (*self.examples[place:], *self.examples[:place]))
        encoded = self.victim.tokenizer.backend_tokenizer.encode(others, add_special_tokens=False)
        return replace(example, before=others * (1 + tokens // max(1, len(encoded.ids))) + example.before)


def _differences(logits: np.ndarray) -> np.ndarray:
    """Logit of label 1 minus that of label 0: (..., 2) -> (...)."""
    return margins(logits, 1)


def _alike(probes: Sequence[_Probe]) -> list[list[int]]:
    """Places of the probes that can share a pass: with equally many tokens behind the slot."""
    groups: dict[int, list[int]] = {}
    for place, probe in enumerate(probes):
        groups.setdefault(len(probe.slot.suffix), []).append(place)
    return list(groups.values())


def _where_memory_suffices(check: Callable[[], Made]) -> Made | None:
    """What a check finds; None when memory runs out."""
    try:
        return check()
    except ResourceError:
        return None
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return None


@contextmanager
def _checked_lookups(models: Sequence[nn.Module]) -> Iterator[None]:
    """Within this context an index beyond an embedding table is an error that can be caught: on a card it would end
    the process's use of that card.
    """

    def check(table: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(table, nn.Embedding)
        if inputs and inputs[0].numel() and int(inputs[0].max()) >= table.num_embeddings:
            raise IndexError("index beyond an embedding table")

    tables = [module for model in models for module in model.modules() if isinstance(module, nn.Embedding)]
    hooks = [table.register_forward_pre_hook(check) for table in tables]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
