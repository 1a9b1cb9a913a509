"""What an attack is: it proposes strings for one example at a time, and sees how the best one fares.

Everything else is the engine's: running the victim, checking that strings survive as text, cost, budget, stopping,
records. An attack therefore has no state of its own; what it learns about an example is in the `Search` it is handed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeGuard, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    # Attacks are named and listed where no model is, so this must load without PyTorch.
    from torch import Tensor

    from ..vocabulary import AttackVocabulary

GRADIENT_NOISE = 1e-5
"""Differences in gradient, relative to the largest shown, that rounding in a batch could turn around."""


@dataclass
class GradientBatch:
    """Gradients of several examples with respect to the one-hot tokens of their slots, from one pass.

    values: (examples, length, vocabulary) float32; let go of as soon as tokens are chosen by them, as they are large.
    current: (examples, length) ids, the strings at which they are.
    """

    values: "Tensor | None"
    current: np.ndarray
    vocabulary: "AttackVocabulary"
    _found: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def tells(self, k: int) -> bool:
        """Whether `top_k` can be had of it, which is of the first k that it is asked for."""
        return k in self._found or self.values is not None

    def top_k(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `SlotGradient.top_k`, for all examples, so that a device is waited for once: (examples, length, k) ids.

        And for each example whether rounding could not turn the choice around: (examples,) bool.
        """
        if k not in self._found:
            import torch

            from ..transfer import sent

            assert self.values is not None
            standing = sent(self.vocabulary.places(self.current), self.values.device)[:, :, None]
            with torch.inference_mode():
                # What stands there comes last, as no number does.
                self.values.scatter_(2, standing, float("nan"))
                lowest, chosen = self.values.topk(k + 1, largest=False, sorted=True)
                self.values = None
                gaps = lowest[..., k] - lowest[..., k - 1]
                close = (gaps <= GRADIENT_NOISE * lowest[..., 0].abs()).any(dim=1)
            found = np.sort(chosen[..., :k].cpu().numpy(), axis=2)
            self._found[k] = self.vocabulary.ids[found], ~close.cpu().numpy()
        return self._found[k]


@dataclass
class SlotGradient:
    """Gradient of the loss with respect to the one-hot tokens of the slot, at the best string so far.

    batch: the gradients that it was computed with. place: its own among them.
    alone: computes it again outside any batch: (length, vocabulary).
    settles: whether that is done where the batch's rounding could decide.
    """

    batch: GradientBatch
    place: int
    alone: Callable[[], "Tensor"]
    settles: bool = True
    _by_itself: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def top_k(self, k: int) -> np.ndarray:
        """Per position, the k most promising tokens other than the one that stands there: (length, k) token ids.

        In ascending order of id. Where the k-th and the next value lie within rounding of each other, the gradient is
        computed again on its own, so that the choice does not depend on what shared the batch.
        """
        batch = self.batch
        width = min(k, len(batch.vocabulary.ids) - 1)
        if batch.tells(width):
            chosen, clear = batch.top_k(width)
            if clear[self.place] or not self.settles:
                return chosen[self.place]
        if width not in self._by_itself:
            own = batch.current[self.place : self.place + 1]
            self._by_itself[width] = GradientBatch(self.alone()[None], own, batch.vocabulary).top_k(width)[0][0]
        return self._by_itself[width]


@dataclass
class Search:
    """The attack's view of one example.

    best: (length,) the string with the lowest margin so far; at first a random one.
    gradient: at `best`, for attacks that use gradients.
    fresh: whether `best` is that random one, and nothing has been scored beside it.
    beam: (strings, tokens) what a beam attack kept of its last iteration; at first no string of no tokens.
    next_tokens: for beam attacks; see `Proposal.next_tokens`, without its slot and generator.
    """

    rng: np.random.Generator
    vocabulary: "AttackVocabulary"
    best: np.ndarray
    gradient: SlotGradient | None = None
    fresh: bool = True
    beam: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    next_tokens: Callable[[np.ndarray, int], np.ndarray] = field(default=lambda strings, count: strings, repr=False)


@runtime_checkable
class Attack(Protocol):
    """A search for an attack string.

    name: as in results and on the command line. length: tokens in the slot. candidates: strings scored per iteration.
    uses_gradient: whether each iteration starts from a gradient, and is charged for it.
    adaptive: whether proposals depend on scores; if not, the engine may score many iterations ahead.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[str]
    uses_gradient: ClassVar[bool]
    adaptive: ClassVar[bool]

    @property
    def length(self) -> int: ...

    @property
    def candidates(self) -> int: ...

    def propose(self, search: Search, count: int) -> np.ndarray:
        """`count` candidate strings drawn with `search.rng`: (count, length) int64 token ids.

        The engine drops those that do not survive as text and asks for as many more.
        """
        ...


@runtime_checkable
class BeamAttack(Attack, Protocol):
    """An attack that keeps several strings and makes them longer: `length` is what they have at most.

    width: strings kept, those with the lowest margins of an iteration. shortest: tokens in the shortest one scored.
    """

    @property
    def width(self) -> int: ...

    @property
    def shortest(self) -> int: ...

    def next_length(self, beam_length: int) -> int:
        """Tokens in the strings of an iteration. beam_length: tokens in those kept of the one before; 0 at first."""
        ...


@runtime_checkable
class GuidedAttack(BeamAttack, Protocol):
    """A beam attack whose next tokens a language model proposes, at the attacker's cost.

    proposal: the model, a folder or Hub id. proposal_digest: its SHA-256. proposal_parameters: its N. All are empty
    until a model is chosen.
    """

    @property
    def proposal(self) -> str: ...

    @property
    def proposal_digest(self) -> str: ...

    @property
    def proposal_parameters(self) -> int: ...

    def asks(self, strings: int, tokens: int) -> list[tuple[int, int]]:
        """Passes of the model in an iteration: how many, and over strings of how many tokens.

        strings, tokens: of the beam, and in each string of it; 0 and 0 at first.
        """
        ...


@runtime_checkable
class RestartingAttack(Attack, Protocol):
    """An attack that begins anew from a random string where it gets no further; the best of all searches is recorded.

    patience: iterations without a better string before it does; 0: never.
    """

    @property
    def patience(self) -> int: ...


@runtime_checkable
class LocalAttack(Attack, Protocol):
    """An attack that proposes nothing but a finite number of neighbours of the best string: where all have been scored
    and none is better, it will find nothing more, and the engine ends it.
    """

    def neighbours(self, search: Search) -> int:
        """How many strings it could propose from where the search stands."""
        ...


def keeps_a_beam(attack: Attack) -> TypeGuard[BeamAttack]:
    return _follows(attack, BeamAttack)


def is_guided(attack: Attack) -> TypeGuard[GuidedAttack]:
    return _follows(attack, GuidedAttack)


def begins_anew(attack: Attack) -> TypeGuard[RestartingAttack]:
    return _follows(attack, RestartingAttack)


def is_local(attack: Attack) -> TypeGuard[LocalAttack]:
    return _follows(attack, LocalAttack)


def string_lengths(attack: Attack) -> range:
    """How many tokens a string of an attack may have."""
    return range(attack.shortest if keeps_a_beam(attack) else attack.length, attack.length + 1)


def next_length(attack: Attack, beam_length: int) -> int:
    """Tokens in the strings of an attack's next iteration."""
    return attack.next_length(beam_length) if keeps_a_beam(attack) else attack.length


_following: dict[tuple[type, type], bool] = {}


def _follows(attack: Attack, protocol: type) -> bool:
    """Whether an attack follows a protocol. The search asks in every iteration, and `isinstance` takes its time."""
    asked = (type(attack), protocol)
    if asked not in _following:
        _following[asked] = isinstance(attack, protocol)
    return _following[asked]
