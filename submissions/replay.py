"""Replay: every recorded string through the victim once, text in and label out, against what an entry claims.

What needs the model and the data is checked here: that the examples are the official ones in official order, that the
victim is the one that was scored, that texts have the lengths that costs are computed from, that every attack string
can be written and survives in place, and that the victim answers as recorded. What result and trace must agree on
without a model is `consistency`'s.
"""

import math
import time
from collections.abc import Sequence

import numpy as np

from ..benchmark.attacks import recorded_attack, string_lengths
from ..benchmark.engine import margins
from ..benchmark.position import Position
from ..benchmark.results import ExamplePart, Result
from ..benchmark.slot import Slot, prepare_slot, survivors
from ..benchmark.victim import Victim
from ..tasks import CheckpointError, EvaluationSet, Example
from .consistency import said_lengths
from .evidence import Replay
from .traces import TraceRow

CLOSE = 1e-3
"""Logits may differ from the recorded ones by so much of the victim's typical margin. In float32, other processors,
cards and versions add in another order and differ in the sixth digit; what sums up over deep models stays well below
the third. Another text, string or checkpoint differs in the first.
"""
ROUNDING = 1e-5
"""The same relative to the logits themselves: what float32 resolves where margins are small beside the logits."""
NEAR_TIES = 0.02
"""Share of examples whose label may have turned around within that closeness; honest scores have next to none."""


class Replayer:
    """One victim on one task. What it answers without an attack is asked once, for all attacks.

    victim: in float32, or in lower precision with its float32 judge.
    """

    def __init__(self, victim: Victim, evaluation: EvaluationSet) -> None:
        self.victim = victim
        self.evaluation = evaluation
        self._slots: dict[tuple[str, int, Position], Slot | CheckpointError] = {}
        self._clean: dict[str, np.ndarray] = {}

    def replay(self, result: Result, rows: Sequence[TraceRow]) -> tuple[list[str], Replay]:
        """Compare a result and its trace with the victim: what disagrees, a sentence each, and the figures.

        rows: of the result's trace, in its order.
        """
        started = time.perf_counter()
        problems = [*self._about_the_data(result, rows), *self._about_the_victim(result)]
        replay = Answers(tolerance=0.0)
        if not problems:
            attack = recorded_attack(result.attack.name, result.attack.parameters)
            lengths = string_lengths(attack)
            examples = self.evaluation.examples[: len(result.records)]
            slots = [self._slot(example, attack.length, result.attack.position) for example in examples]
            usable = [slot for slot in slots if isinstance(slot, Slot)]
            replay = Answers(self._tolerance([self._answer_without_attack(slot) for slot in usable]))
            texts = self._written(slots, rows, lengths)
            for slot, record, row, text in zip(slots, result.records, rows, texts, strict=True):
                if isinstance(slot, CheckpointError):
                    found = [f"it cannot be attacked ({slot})"]
                else:
                    found = self._about_example(slot, record, row, lengths, text, replay)
                problems.extend(f"{record.id}: {problem}" for problem in found)
            allowed = max(1, int(NEAR_TIES * len(examples)))
            if replay.near_ties > allowed:
                problems.append(
                    f"{replay.near_ties} labels turned around within rounding of the boundary; {allowed} of "
                    f"{len(examples)} are allowed"
                )
        return problems, Replay(
            examples=len(result.records),
            broken=sum(record.break_cost is not None for record in result.records),
            near_ties=replay.near_ties,
            largest_difference=replay.largest_difference,
            seconds=time.perf_counter() - started,
        )

    def _about_the_data(self, result: Result, rows: Sequence[TraceRow]) -> list[str]:
        evaluation = self.evaluation
        if not evaluation.matches:
            return [f"it cannot be replayed here: {evaluation.mismatch}"]
        if (result.task.name, result.task.version, result.task.digest) != (
            evaluation.task,
            evaluation.version,
            evaluation.digest,
        ):
            return ["task.digest: it was scored on other examples than the official ones"]
        if len(result.records) > len(evaluation.examples) or len(rows) != len(result.records):
            return [f"it has {len(result.records)} examples, and {len(rows)} in its trace"]
        for number, (example, record, row) in enumerate(
            zip(evaluation.examples, result.records, rows, strict=False), start=1
        ):
            if not example.id == record.id == row.example_id:
                return [
                    f"its example {number} is {record.id[:80]!r}, and {example.id} is number {number} of the official "
                    "order"
                ]
            if not example.label == record.label == row.label:
                return [f"{record.id}: its label is {example.label}, and {record.label} is recorded"]
        return []

    def _about_the_victim(self, result: Result) -> list[str]:
        said, victim = result.victim, self.victim
        if said.digest != victim.digest:
            return [
                f"victim.digest: {said.digest[:12]} was scored, and the checkpoint is {victim.digest[:12]}; these are "
                "not the same files"
            ]
        found = {
            "parameters": victim.parameters,
            "context": victim.context,
            "architecture": victim.architecture,
            "kind": victim.kind,
        }
        threshold = (said.filter_threshold or 0.0, victim.filter_threshold or 0.0)
        if not math.isclose(*threshold, rel_tol=CLOSE):
            found["filter_threshold"] = victim.filter_threshold or 0.0
        return [
            f"victim.{field}: {getattr(said, field)} is recorded, and the checkpoint has {value}"
            for field, value in found.items()
            if getattr(said, field) != value
        ]

    def _slot(self, example: Example, length: int, position: Position) -> Slot | CheckpointError:
        key = (example.id, length, position)
        if key not in self._slots:
            try:
                self._slots[key] = prepare_slot(example, self.victim.vocabulary, length, self.victim.context, position)
            except CheckpointError as error:
                self._slots[key] = error
        return self._slots[key]

    def _answer_without_attack(self, slot: Slot) -> np.ndarray:
        if slot.clean not in self._clean:
            self._clean[slot.clean] = self.victim.verdict(slot.clean, slot.example.label, attacked=False)
        return self._clean[slot.clean]

    @staticmethod
    def _tolerance(clean: Sequence[np.ndarray]) -> float:
        """How close logits must be. Taken from the victim's own margins, so that one with tiny logits gains nothing."""
        return CLOSE * float(np.median([abs(float(margins(logits, 0))) for logits in clean] or [0.0]))

    def _written(
        self, slots: Sequence[Slot | CheckpointError], rows: Sequence[TraceRow], lengths: range
    ) -> list[str | None]:
        """Per example, the text of its tokens where they can be written and survive in place; None where not."""
        vocabulary = self.victim.vocabulary
        proposals: list[tuple[Slot, np.ndarray]] = []
        places: list[int] = []
        for place, (slot, row) in enumerate(zip(slots, rows, strict=True)):
            if isinstance(slot, Slot) and row.attack_tokens is not None and len(row.attack_tokens) in lengths:
                tokens = np.array([row.attack_tokens], dtype=np.int64)
                if np.isin(tokens, vocabulary.ids).all():
                    proposals.append((slot, tokens))
                    places.append(place)
        written: list[str | None] = [None] * len(rows)
        for place, (alive, texts) in zip(places, survivors(vocabulary, proposals), strict=True):
            written[place] = texts[0] if alive[0] else None
        return written

    def _about_example(
        self,
        slot: Slot,
        record: ExamplePart,
        row: TraceRow,
        lengths: range,
        written: str | None,
        replay: "Answers",
    ) -> list[str]:
        """What disagrees on one example."""
        label, broken = slot.example.label, record.break_cost is not None
        problems: list[str] = []
        if (record.tokens, record.truncated) != (slot.tokens, slot.truncated):
            problems.append(
                f"its text has {slot.tokens} tokens{', shortened' * slot.truncated}, and "
                f"{record.tokens}{', shortened' * record.truncated} are recorded"
            )
        clean = self._answer_without_attack(slot)
        claim = "right" if record.clean_correct else "wrong"
        if problem := replay.compare(row.clean_logits, clean, label, record.clean_correct):
            problems.append(f"without an attack it is recorded as {claim}, and {problem}")
        if row.attack_string is None or row.attack_tokens is None or row.attack_logits is None:
            if record.iterations or broken:
                problems.append("it was attacked, and no string is recorded")
            return problems
        if len(row.attack_tokens) not in lengths:
            said = f"its string has {len(row.attack_tokens)} tokens, and the attack writes {said_lengths(lengths)}"
            return [*problems, said]
        if written is None:
            return [
                *problems,
                "its attack tokens cannot be written: they are not in the attack vocabulary, or do not tokenize back "
                "to themselves in place",
            ]
        if written != row.attack_string:
            return [*problems, f"its attack tokens write {written!r}, and {row.attack_string!r} is recorded"]
        answer = self.victim.verdict(slot.example.text(row.attack_string), label, attacked=True)
        claim = "broken" if broken else "held"
        if problem := replay.compare(row.attack_logits, answer, label, not broken):
            problems.append(f"with its string it is recorded as {claim}, and {problem}")
        return problems


class Answers:
    """Compares answers with recorded ones, and counts. tolerance: how far logits may differ."""

    def __init__(self, tolerance: float) -> None:
        self.tolerance = tolerance
        self.near_ties = 0
        self.largest_difference = 0.0

    def compare(self, recorded: Sequence[float], answer: np.ndarray, label: int, said_right: bool) -> str | None:
        """What the victim says instead of what is recorded; None when they agree, or rounding can explain it."""
        if not np.isfinite(answer).all():
            return "the victim answers with logits that are no finite numbers"
        difference = float(np.abs(np.asarray(recorded, dtype=np.float64) - answer).max())
        right = int(answer.argmax()) == label
        if difference > max(self.tolerance, ROUNDING * float(np.abs(answer).max())):
            verdict = "it is " + ("right" if right else "wrong") if right != said_right else "its logits differ"
            return (
                f"{verdict}: the victim answers {answer[0]:.6g}, {answer[1]:.6g}, and {recorded[0]:.6g}, "
                f"{recorded[1]:.6g} is recorded"
            )
        self.largest_difference = max(self.largest_difference, difference)
        self.near_ties += right != said_right
        return None
