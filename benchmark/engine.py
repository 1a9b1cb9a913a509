"""The engine: runs any attack on many examples in lockstep, under a budget, and yields a record per example.

It does once what every attack needs: drops strings that do not survive as text, scores candidates in large shared
batches, charges canonical cost, lets a broken example leave the batch at once, and re-checks every claimed success on
the full text.

Records do not depend on batch size, order, threads or interruption. Every example draws from its own random stream;
and since floating-point results shift in the last digits with the composition of a batch, no decision is left to
those digits: where two candidates, or a candidate and the decision boundary, lie within rounding of each other, the
victim's public path decides, one text at a time. (That holds for an attack in fp32. In lower precision, only
successes are re-checked.)
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..tasks import CheckpointError, Example, ResourceError, UsageError
from .attacks import Attack, GradientBatch, Search, SlotGradient, begins_anew, is_guided, is_local, keeps_a_beam
from .batch import BatchSize, Made, one_sequence_on
from .candidate_runs import batches
from .iteration import iteration_cost
from .outcome import Progress, Record, Tally
from .pass_base import Passes, Unit
from .passes import passes_for
from .position import OFFICIAL_POSITION, Position
from .proposal import Proposal
from .remembered import DEAD, UNKNOWN, Remembered
from .screening import Bar, Lookover, scorer_for
from .slot import Slot, prepare_slot
from .stopwatch import Stopwatch
from .survival import Survival
from .victim import Victim, one_thread_on_cpu

ROUNDING = 1e-4
"""Differences in logits, relative to 1 + their size, that the composition of an fp32 batch could turn around."""
LOW_PRECISION = 2e-2
"""The same for a low-precision pass against the fp32 judge."""
ATTEMPTS = 1000
"""Random strings drawn in search of one that survives, before a slot is given up."""
PATIENCE = 64
"""Times that an attack is asked to replace proposals that did not survive, before it goes on with fewer."""
CONTESTED = 8
"""Candidates within rounding of each other that the public path is asked to tell apart, at most."""
LANES = 16
"""Examples in lockstep, at least: their gradients share one pass."""
AHEAD = (16, 256)
"""Strings of a non-adaptive attack scored at once for one example: at first, and at most."""


@dataclass(frozen=True)
class _Found:
    """A string with the public path's logits."""

    string: np.ndarray
    text: str
    logits: np.ndarray


@dataclass
class _Lane:
    """One example under attack.

    example: as it was given; the slot's may be shortened, and is cut where the string goes. settled: whether
    `best_margin` is by the public path. stale: iterations since the search last got further. abandoned: the best string
    of searches that were given up. numbers: of the candidates in `strings`, as `around` has them.
    """

    example: Example
    slot: Slot
    ready: Lookover
    search: Search
    clean_logits: np.ndarray
    best_margin: float = np.inf
    best_text: str | None = None
    settled: bool = False
    stale: int = 0
    abandoned: _Found | None = None
    cost: int = 0
    iterations: int = 0
    ahead: int = AHEAD[0]
    wanted: int = 0
    strings: list[np.ndarray] = field(default_factory=list)
    numbers: list[np.ndarray] = field(default_factory=list)
    around: Remembered = field(default_factory=Remembered)

    @property
    def proposed(self) -> int:
        """Candidates at hand."""
        return sum(map(len, self.strings))

    def iteration_cost(self, victim: Victim, attack: Attack, candidates: int) -> int:
        beam = self.search.beam.shape
        return iteration_cost(attack, victim.parameters, self.slot.tokens, candidates, (beam[0], beam[1]))


class Engine:
    """Runs one attack on one victim.

    budget: FLOP per example; only whole iterations that fit are run. task: names the random streams, with the seed.
    position: where in a text the string goes. proposal: for attacks that grow their strings.
    batch_size: sequences per forward pass; found automatically when None. look_over: whether candidates are looked over
    in bfloat16 before those that matter are run in float32; where that is faster when None.
    """

    def __init__(
        self,
        victim: Victim,
        attack: Attack,
        *,
        budget: float,
        seed: int = 0,
        task: str = "examples",
        position: Position = OFFICIAL_POSITION,
        proposal: Proposal | None = None,
        batch_size: int | None = None,
        look_over: bool | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if not attack.adaptive and attack.candidates != 1:
            raise UsageError(
                f"The attack {attack.name} is not adaptive, so an iteration of it is one string, not "
                f"{attack.candidates}."
            )
        if keeps_a_beam(attack) and proposal is None:
            raise UsageError(f"The attack {attack.name} grows its strings, and needs a proposal of next tokens.")
        if is_guided(attack) and (not proposal or proposal.digest != (attack.proposal_digest or None)):
            raise UsageError(
                f"The attack {attack.name} names no proposal, or another one than it is given; name it by "
                "guided_by(attack, model)."
            )
        self.victim = victim
        self.attack = attack
        self.proposal = proposal
        self.budget = budget
        self.seed = seed
        self.task = task
        self.position: Position = position
        self.passes: Passes = passes_for(victim)
        self.batch = BatchSize(batch_size, victim.device)
        together = scored_together(attack)
        self.scorer = scorer_for(victim, self.passes, self.batch, together=together, look_over=look_over)
        self.survival = Survival(victim.vocabulary, again=attack.adaptive)
        self.stopwatch = Stopwatch()
        self.candidates = 0
        """Strings scored so far, those scored ahead of a success included."""
        self._remembers = attack.adaptive and not keeps_a_beam(attack)
        """Whether a search may propose again what was scored, as one does that stays where it is."""
        self._settles = victim.exact and not self.scorer.looks_over
        """Whether what rounding could turn is settled; not where a search depends on its batches in any case."""
        self._room: float = np.inf
        """Examples whose prefixes fit into memory at once, as far as is known."""
        self._on_progress = on_progress

    @property
    def executed(self) -> float:
        """FLOP really executed so far, the proposal's included."""
        return self.scorer.executed + (0.0 if self.proposal is None else self.proposal.executed)

    def run(self, examples: Sequence[Example]) -> Iterator[Record]:
        """Attack examples and yield a record for each as soon as it is finished, longest examples first.

        Raises: UsageError for examples that are not binary or share an id, CheckpointError when the victim cannot be
        attacked (non-finite logits, context too short), ResourceError when memory runs out on a single sequence.
        """
        for finished in self.rounds(examples):
            yield from finished

    def rounds(self, examples: Sequence[Example]) -> Iterator[list[Record]]:
        """The same, by rounds of the lockstep: the records that each finished, which may be none."""
        _check(examples)
        waiting = deque(self._longest_first(examples))
        lanes: list[_Lane] = []
        tally = Tally(len(examples), self.budget)
        while waiting or lanes:
            finished: list[Record] = []
            self._fill(lanes, waiting, finished)
            lanes = [lane for lane in lanes if not self._spent_up(lane, finished)]
            if lanes:
                self._within_room(lanes, waiting, self._take_gradients)
                self._propose(lanes)
                scores = self._within_room(lanes, waiting, self._score)
                lanes = [
                    lane for lane, logits in zip(lanes, scores, strict=True) if not self._digest(lane, logits, finished)
                ]
            for record in finished:
                tally.count(record)
            if self._on_progress:
                self._on_progress(tally.progress(self.candidates, sum(lane.cost for lane in lanes)))
            yield finished

    def _longest_first(self, examples: Sequence[Example]) -> list[Example]:
        """Neighbours of similar length share batches without padding, and a lack of memory shows at once."""
        with self.stopwatch.section("tokenization"):
            encoded = self.victim.tokenizer.backend_tokenizer.encode_batch_fast(
                [example.text() for example in examples]
            )
        order = sorted(range(len(examples)), key=lambda i: (-len(encoded[i].ids), examples[i].id))
        return [examples[i] for i in order]

    def _lanes_wanted(self) -> int:
        """Examples in lockstep: enough to fill the batch, and the next larger one where that may be tried."""
        return lanes_for(self.attack, self.batch.next_rows)

    def _fill(self, lanes: list[_Lane], waiting: deque[Example], finished: list[Record]) -> None:
        """Open examples that wait, as many as fit into memory beside those under attack."""
        while waiting and len(lanes) < min(self._lanes_wanted(), self._room):
            opened = self._open_beside(lanes, waiting[0])
            if opened is None:
                return
            waiting.popleft()
            if isinstance(opened, Record):
                finished.append(opened)
            else:
                lanes.append(opened)

    def _open_beside(self, lanes: Sequence[_Lane], example: Example) -> _Lane | Record | None:
        """Prepare an example where others are under attack; None where there is no memory left beside those."""
        try:
            return self._open(example)
        except ResourceError:
            if not lanes:
                raise
            self._room = len(lanes)
            return None

    def _open(self, example: Example) -> _Lane | Record:
        """Prepare an example; a record at once where the victim is wrong without any attack."""
        victim = self.victim
        with self.stopwatch.section("tokenization"):
            slot = prepare_slot(example, victim.vocabulary, self.attack.length, victim.context, self.position)
        logits = self._judge(slot.clean, slot.example.label, attacked=False)
        if not np.isfinite(logits).all():
            raise CheckpointError(
                f"{victim.reference} gives non-finite logits ({logits[0]}, {logits[1]}) on example {example.id} "
                "without any attack; the weights are damaged or overflow in their precision."
            )
        if int(logits.argmax()) != example.label:
            return self._record(slot, logits, break_cost=None, cost=0, iterations=0)
        rng = np.random.default_rng(_stream(self.seed, self.task, self.attack.name, self.position, example.id))
        ready = self._within_memory(lambda: self.scorer.prepare(slot), single=True)
        return _Lane(example, slot, ready, self._search(slot, rng), logits)

    def _search(self, slot: Slot, rng: np.random.Generator) -> Search:
        if self.proposal is None or not keeps_a_beam(self.attack):
            return Search(rng, self.victim.vocabulary, self._first_string(slot, rng))
        proposal = self.proposal
        prepared = self._within_memory(lambda: proposal.prepare(slot), single=True)

        def next_tokens(strings: np.ndarray, count: int) -> np.ndarray:
            def draw() -> np.ndarray:
                return proposal.next_tokens(prepared, strings, count, rng)

            return self._within_memory(draw) if is_guided(self.attack) else draw()

        return Search(rng, self.victim.vocabulary, np.empty(0, dtype=np.int64), next_tokens=next_tokens)

    def _first_string(self, slot: Slot, rng: np.random.Generator) -> np.ndarray:
        """A random string that survives in the slot, drawn one at a time: (length,)."""
        for _ in range(ATTEMPTS):
            drawn = self.victim.vocabulary.draw(rng, 1, self.attack.length)
            with self.stopwatch.section("tokenization"):
                [alive] = self.survival.of([(slot, drawn)])
            if alive[0]:
                return drawn[0]
        raise _nothing_survives(slot)

    def _spent_up(self, lane: _Lane, finished: list[Record]) -> bool:
        """Plan the lane's next iterations; when none fits the budget, finish it as held."""
        affordable, _ = self._affordable(lane)
        if affordable >= 1:
            lane.wanted = self.attack.candidates if self.attack.adaptive else min(lane.ahead, affordable)
            return False
        finished.append(self._ended_with(lane, self._best_of_all(lane)))
        return True

    def _affordable(self, lane: _Lane) -> tuple[int, int]:
        """Whole iterations that the lane's budget still buys, and what one costs."""
        cost = lane.iteration_cost(self.victim, self.attack, self.attack.candidates)
        return int((self.budget - lane.cost) // cost), cost

    def _take_gradients(self, lanes: Sequence[_Lane]) -> None:
        """A gradient for every lane whose best string has changed since its last one."""
        lacking = [lane for lane in lanes if self.attack.uses_gradient and lane.search.gradient is None]
        if lacking:
            self._within_memory(lambda: self._gradients_of(lacking))

    def _gradients_of(self, lanes: Sequence[_Lane]) -> None:
        for batch in batches(lanes, lambda lane: lane.slot, gradient_rows(self.batch.rows)):
            units = [Unit(lane.ready.exact.prepared, lane.search.best[None]) for lane in batch]
            current = np.stack([lane.search.best for lane in batch])
            gradients = GradientBatch(self.passes.slot_gradient(units), current, self.victim.vocabulary)
            for place, (lane, unit) in enumerate(zip(batch, units, strict=True)):
                lane.search.gradient = SlotGradient(gradients, place, self._gradient_alone(unit), self._settles)

    def _gradient_alone(self, unit: Unit) -> Callable[[], torch.Tensor]:
        def recompute() -> torch.Tensor:
            with one_thread_on_cpu(self.victim.device):
                return self.passes.slot_gradient([unit])[0]

        return recompute

    def _propose(self, lanes: Sequence[_Lane]) -> None:
        """Fill every lane with candidates that survive as text, replacing those that do not."""
        for lane in lanes:
            lane.strings, lane.numbers = [], []
        for _ in range(PATIENCE):
            short = [lane for lane in lanes if lane.proposed < lane.wanted]
            if not short:
                return
            proposals = [self.attack.propose(lane.search, lane.wanted - lane.proposed) for lane in short]
            for lane, strings, numbers in zip(short, proposals, self._look_up(short, proposals), strict=True):
                lane.strings.append(strings[numbers != DEAD])
                lane.numbers.append(numbers[numbers != DEAD])
        for lane in lanes:
            if not lane.proposed and not lane.search.beam.size and not self.attack.uses_gradient:
                # A gradient is charged for even when nothing comes of it; without one this would go on for ever.
                raise _nothing_survives(lane.slot)

    def _look_up(self, lanes: Sequence[_Lane], proposals: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What the lanes know of their proposals, as `Remembered.numbers` has it; of new ones, whether they survive."""
        numbers = [lane.around.numbers(strings) for lane, strings in zip(lanes, proposals, strict=True)]
        new = [strings[known == UNKNOWN] for strings, known in zip(proposals, numbers, strict=True)]
        with self.stopwatch.section("tokenization"):
            slots = [lane.slot for lane in lanes]
            checked = self.survival.of(list(zip(slots, new, strict=True)))
        for lane, known, strings, alive in zip(lanes, numbers, new, checked, strict=True):
            known[known == UNKNOWN] = np.where(alive, UNKNOWN, DEAD)
            if self._remembers:
                lane.around.bury(strings[~alive])
        return numbers

    def _score(self, lanes: Sequence[_Lane]) -> list[np.ndarray]:
        """Logits (n, 2) of every lane's candidates."""
        strings = [np.concatenate(lane.strings) for lane in lanes]
        numbers = [np.concatenate(lane.numbers) for lane in lanes]
        unknown = [known < 0 for known in numbers]
        asked = [i for i, rows in enumerate(unknown) if rows.any()]
        new = [strings[i][unknown[i]] for i in asked]
        ready = [lanes[i].ready for i in asked]
        beginnings = [self._beginnings(lanes[i]) for i in asked]
        bars = [self._bar(lanes[i]) for i in asked]
        scores = self._within_memory(lambda: self.scorer.logits(ready, new, beginnings, bars)) if asked else []
        self.candidates += sum(map(len, new))
        found = [np.zeros((len(known), 2), dtype=np.float32) for known in numbers]
        for lane, known, rows, logits in zip(lanes, numbers, unknown, found, strict=True):
            logits[~rows] = lane.around.logits[known[~rows]]
        for i, own, logits in zip(asked, new, scores, strict=True):
            found[i][unknown[i]] = logits
            if self._remembers:
                lanes[i].around.add(own, logits)
        return found

    def _beginnings(self, lane: _Lane) -> np.ndarray | None:
        """Strings that a lane's candidates may begin like: (strings, tokens)."""
        if not self.attack.adaptive:
            return None
        return lane.search.beam if keeps_a_beam(self.attack) else lane.search.best[None]

    def _bar(self, lane: _Lane) -> Bar:
        best = np.inf if keeps_a_beam(self.attack) else lane.best_margin
        return Bar(lane.slot.example.label, kept_by(self.attack), best, ROUNDING)

    def _within_memory(self, work: Callable[[], Made], *, single: bool = False) -> Made:
        """Do work on the model, again with smaller batches when memory runs out.

        single: it is over one sequence, for which smaller batches would make no room. Raises: ResourceError.
        """

        def timed() -> Made:
            with self.stopwatch.section("model"):
                return work()

        if not single:
            return self.batch.fitting(timed)
        with one_sequence_on(self.victim.device):
            return timed()

    def _within_room(self, lanes: list[_Lane], waiting: deque[Example], work: Callable[[list[_Lane]], Made]) -> Made:
        """Do work on all lanes. Where not even one sequence finds memory beside their prefixes, the newest lane goes
        back to those that wait: it will begin again, and end with the same record. Raises: ResourceError.
        """
        rows = self.batch.rows
        while True:
            try:
                return work(lanes)
            except ResourceError:
                if len(lanes) == 1:
                    raise
            waiting.appendleft(lanes.pop().example)
            self._room = len(lanes)
            self.batch.rows = rows

    def _digest(self, lane: _Lane, logits: np.ndarray, finished: list[Record]) -> bool:
        """Charge the candidates scored, verify claims, keep the best. Returns whether the example is finished."""
        values, noise = self._margins(lane, logits)
        strings, numbers = np.concatenate(lane.strings), np.concatenate(lane.numbers)
        example = lane.slot.example
        # In low precision many candidates hover about the boundary: there, only those that cross it are worth a check.
        for i in np.flatnonzero(values < (noise if self.victim.exact else 0.0)).tolist():
            if numbers[i] >= 0 and lane.around.judged[numbers[i]]:
                continue
            text = self._written(strings[i])
            verdict = self._judge(example.text(text), example.label)
            if int(verdict.argmax()) != example.label:
                self._charge(lane, i + 1)
                finished.append(
                    self._record(
                        lane.slot,
                        lane.clean_logits,
                        break_cost=lane.cost,
                        cost=lane.cost,
                        iterations=lane.iterations,
                        string=(strings[i], text, verdict),
                    )
                )
                return True
            values[i] = margins(verdict, example.label)
            lane.around.judge(strings[i], verdict)
        self._charge(lane, len(values))
        if len(values):
            self._keep_best(lane, strings, values, noise)
            if begins_anew(self.attack) and 0 < self.attack.patience <= lane.stale and self._restart(lane, finished):
                return True
            if self._at_its_end(lane):
                self._spend_the_rest(lane)
            if keeps_a_beam(self.attack):
                lane.search.beam = strings[self._lowest(lane, strings, values, noise, self.attack.width)]
        else:
            # Strings that cannot be made longer: the search begins anew.
            lane.search.beam = np.empty((0, 0), dtype=np.int64)
        lane.ahead = min(2 * lane.ahead, AHEAD[1])
        return False

    def _margins(self, lane: _Lane, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Margins of candidates, infinite where they are none, and what rounding could add to each. logits: (n, 2)."""
        values = margins(logits, lane.slot.example.label)
        values[~np.isfinite(values)] = np.inf
        noise = (ROUNDING if self.victim.exact else LOW_PRECISION) * (1 + np.abs(logits).max(axis=1, initial=0.0))
        return values, noise

    def _charge(self, lane: _Lane, scored: int) -> None:
        """Charge the iterations up to the `scored`-th candidate; an adaptive attack's are charged as a whole."""
        if self.attack.adaptive:
            lane.iterations += 1
            lane.cost += lane.iteration_cost(self.victim, self.attack, lane.proposed)
        else:
            lane.iterations += scored
            lane.cost += scored * lane.iteration_cost(self.victim, self.attack, 1)

    def _keep_best(self, lane: _Lane, strings: np.ndarray, values: np.ndarray, noise: np.ndarray) -> None:
        """Move to the candidate with the lowest margin if it beats the best, settling what rounding could turn."""
        winner = int(values.argmin())
        reach = 2 * noise[winner]
        settled = False
        if self._settles and values[winner] <= lane.best_margin + reach:
            close = np.flatnonzero(values <= values[winner] + reach)
            contested = lane.best_margin <= values[winner] + reach
            if len(close) > CONTESTED:
                # A victim that answers them all alike: none is better than the first.
                close = close[:1]
            settled = len(close) > 1 or contested
            if settled:
                for i in close.tolist():
                    values[i] = self._margin(lane, self._written(strings[i]))
            if contested and lane.best_text is not None and not lane.settled:
                lane.best_margin, lane.settled = self._margin(lane, lane.best_text), True
            winner = int(close[values[close].argmin()])
        lane.stale += 1
        lane.search.fresh = False
        if values[winner] < lane.best_margin:
            lane.stale = 0
            lane.best_margin, lane.settled = float(values[winner]), settled
            lane.best_text = self._written(strings[winner])
            lane.search.best = strings[winner]
            lane.search.gradient = None
            lane.around.forget()

    def _at_its_end(self, lane: _Lane) -> bool:
        """Whether a search has scored all that it can propose, and would never move to any of it."""
        if not (self._remembers and is_local(self.attack)) or begins_anew(self.attack) or lane.search.gradient is None:
            return False
        around, everything = lane.around, self.attack.neighbours(lane.search)
        if around.gone_through or around.known < everything or lane.best_text is None:
            return False
        # Where few survive as text, iterations may be short of candidates, and cost less.
        if 2 * len(around.logits) < everything:
            return False
        around.gone_through = True
        if not self.victim.exact:
            return True
        values, noise = self._margins(lane, around.logits)
        # Any of these could yet be set against the best string, whose own margin may shift when that is settled.
        close = np.flatnonzero(values <= lane.best_margin + 3 * noise)
        if len(close) > self._affordable(lane)[0]:
            return False
        best = self._margin(lane, lane.best_text)
        return all(self._margin(lane, self._written(string)) >= best for string in around.strings(close))

    def _spend_the_rest(self, lane: _Lane) -> None:
        """Charge all iterations that are left, without running them."""
        affordable, cost = self._affordable(lane)
        lane.iterations += affordable
        lane.cost += affordable * cost

    def _restart(self, lane: _Lane, finished: list[Record]) -> bool:
        """Begin anew from another random string. Returns whether the best one so far breaks the example instead."""
        best = self._best_of_all(lane)
        if best is not None and self._breaks(best, lane):
            finished.append(self._ended_with(lane, best))
            return True
        lane.abandoned = best
        lane.search.best = self._first_string(lane.slot, lane.search.rng)
        lane.search.fresh, lane.search.gradient = True, None
        lane.best_margin, lane.best_text, lane.stale = np.inf, None, 0
        lane.around.forget()
        return False

    def _best_of_all(self, lane: _Lane) -> _Found | None:
        """The best string of this search and those before it, by the public path; None where nothing was scored."""
        if lane.best_text is None:
            return lane.abandoned
        example = lane.slot.example
        logits = self._judge(example.text(lane.best_text), example.label)
        before = lane.abandoned
        better = before is None or margins(logits, example.label) < margins(before.logits, example.label)
        return _Found(lane.search.best, lane.best_text, logits) if better else before

    def _breaks(self, found: _Found, lane: _Lane) -> bool:
        """A low-precision pass may miss that its best string breaks the example."""
        return int(found.logits.argmax()) != lane.slot.example.label

    def _ended_with(self, lane: _Lane, best: _Found | None) -> Record:
        """The record of an example with the best string that was found for it, which may break it after all."""
        broken = best is not None and self._breaks(best, lane)
        return self._record(
            lane.slot,
            lane.clean_logits,
            break_cost=lane.cost if broken else None,
            cost=lane.cost,
            iterations=lane.iterations,
            string=None if best is None else (best.string, best.text, best.logits),
        )

    def _lowest(
        self, lane: _Lane, strings: np.ndarray, values: np.ndarray, noise: np.ndarray, count: int
    ) -> np.ndarray:
        """The candidates with the lowest margins, ascending numbers: (count,). Settles what rounding could turn."""
        order = np.argsort(values, kind="stable")
        if len(order) <= count:
            return np.sort(order)
        last = order[count - 1]
        close = np.flatnonzero(np.abs(values - values[last]) <= 2 * noise[last])
        # Of a victim that answers them all alike, no choice is better than another.
        if self._settles and (values[order[count]] - values[last]) <= 2 * noise[last] and len(close) <= count:
            settled = values.copy()
            for i in close.tolist():
                settled[i] = self._margin(lane, self._written(strings[i]))
            order = np.argsort(settled, kind="stable")
        return np.sort(order[:count])

    def _written(self, string: np.ndarray) -> str:
        return self.victim.vocabulary.write(string[None])[0]

    def _judge(self, text: str, label: int, *, attacked: bool = True) -> np.ndarray:
        """The public path's verdict on a text: (2,) logits."""
        with self.stopwatch.section("model"):
            return self.victim.verdict(text, label, attacked=attacked)

    def _margin(self, lane: _Lane, string: str) -> float:
        """The margin of a string by the public path."""
        example = lane.slot.example
        return float(margins(self._judge(example.text(string), example.label), example.label))

    def _record(
        self,
        slot: Slot,
        clean_logits: np.ndarray,
        *,
        break_cost: int | None,
        cost: int,
        iterations: int,
        string: tuple[np.ndarray, str, np.ndarray] | None = None,
    ) -> Record:
        return Record(
            example_id=slot.example.id,
            label=slot.example.label,
            clean_correct=int(clean_logits.argmax()) == slot.example.label,
            truncated=slot.truncated,
            tokens=slot.tokens,
            break_cost=break_cost,
            cost=cost,
            iterations=iterations,
            clean_logits=(float(clean_logits[0]), float(clean_logits[1])),
            attack_tokens=tuple(string[0].tolist()) if string else None,
            attack_string=string[1] if string else None,
            attack_logits=(float(string[2][0]), float(string[2][1])) if string else None,
        )


def attack_examples(
    victim: Victim,
    examples: Sequence[Example],
    attack: Attack,
    *,
    budget: float,
    seed: int = 0,
    task: str = "examples",
    position: Position = OFFICIAL_POSITION,
    proposal: Proposal | None = None,
    batch_size: int | None = None,
) -> list[Record]:
    """Attack examples under a budget (FLOP per example) and return their records, in the examples' order."""
    engine = Engine(
        victim,
        attack,
        budget=budget,
        seed=seed,
        task=task,
        position=position,
        proposal=proposal,
        batch_size=batch_size,
    )
    records = {record.example_id: record for record in engine.run(examples)}
    return [records[example.id] for example in examples]


def gradient_rows(rows: int) -> int:
    """Sequences whose gradients are taken together, where so many are scored: the backward pass takes the memory of
    several without.
    """
    return max(1, rows // 8)


def kept_by(attack: Attack) -> int:
    """Candidates of an iteration that a search goes on from."""
    return attack.width if keeps_a_beam(attack) else 1


def lanes_for(attack: Attack, rows: int) -> int:
    """Examples in lockstep that fill a batch of so many sequences."""
    return max(LANES, -(-rows // scored_together(attack)))


def scored_together(attack: Attack) -> int:
    """Candidates of one example that are scored at once, at most."""
    return attack.candidates if attack.adaptive else AHEAD[1]


def margins(logits: np.ndarray, label: int) -> np.ndarray:
    """Logit of the right label minus that of the other, negative where the victim is wrong: (..., 2) -> (...)."""
    return logits[..., label] - logits[..., 1 - label]


def _nothing_survives(slot: Slot) -> CheckpointError:
    return CheckpointError(
        f"No attack string survives in example {slot.example.id}: strings of {slot.length} tokens do not tokenize "
        "back to themselves there; end the text before the slot, and start the text after it, with a line break."
    )


def _check(examples: Sequence[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.label not in (0, 1):
            raise UsageError(f"Example {example.id} has the label {example.label}; labels are 0 or 1.")
        if example.id in seen:
            raise UsageError(f"Two examples have the id {example.id}; ids seed the attack, so each needs its own.")
        seen.add(example.id)


def _stream(seed: int, task: str, attack: str, position: Position, example_id: str) -> int:
    """The seed of an example's own random stream."""
    where = "" if position == OFFICIAL_POSITION else f"\0{position}"
    key = f"{seed}\0{task}\0{attack}{where}\0{example_id}".encode()
    return int.from_bytes(hashlib.sha256(key).digest())
