"""A search that stays where it is runs no candidate twice, and nothing that an attack finds depends on it."""

from dataclasses import dataclass

import numpy as np
import pytest

from holdfast.benchmark import GCG, Engine, load_victim, remembered
from holdfast.benchmark import engine as engine_module
from holdfast.benchmark.attacks.gcg_plus import GCGPlus
from holdfast.benchmark.ensemble import Ensemble
from holdfast.benchmark.remembered import DEAD, UNKNOWN, Remembered
from holdfast.benchmark.survival import Survival
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import get_task

EXAMPLES = get_task("password-match").evaluation().examples[:4]
SMALL = GCG(candidates=16, top_k=4)
"""Has 40 neighbours to choose from."""
BUDGET = 2.5e10


@pytest.fixture(scope="module")
def victims():
    """One that mostly holds, and an ensemble with it."""
    names = ("password-match-adversarial", "password-match-undefended")
    alone, other = (load_victim(checkpoint_folder(name), device="cpu") for name in names)
    return {"alone": alone, "ensemble": Ensemble.of([alone, other], "both.yaml")}


class Forgetful(Engine):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._remembers = False


def ran(engine):
    return {record.example_id: record for record in engine.run(EXAMPLES)}


@pytest.mark.parametrize("which", ["alone", "ensemble"])
@pytest.mark.parametrize(
    ("attack", "share"),
    [(SMALL, 0.7), (GCGPlus(candidates=16, top_k=4, swaps=2, patience=20), 0.95)],
    ids=["gcg", "gcg_plus"],
)
def test_records_are_those_of_running_every_candidate(victims, which, attack, share):
    victim = victims[which]
    forgetful, engine = (kind(victim, attack, budget=BUDGET) for kind in (Forgetful, Engine))
    expected = ran(forgetful)
    assert ran(engine) == expected
    assert any(record.break_cost is None for record in expected.values())
    assert engine.candidates < share * forgetful.candidates
    assert engine.executed < share * forgetful.executed


class Patient(Engine):
    """Never ends a search early."""

    def _at_its_end(self, lane):
        return False


def rounds_of(engine):
    rounds = list(engine.rounds(EXAMPLES))
    return {record.example_id: record for finished in rounds for record in finished}, len(rounds)


@pytest.mark.parametrize(
    ("which", "rounding", "share"), [("alone", 1e-4, 0.7), ("ensemble", 1e-4, 0.7), ("alone", 1e-3, 1.0)]
)
def test_a_search_that_has_seen_everything_ends_with_the_same_record(victims, which, rounding, share, monkeypatch):
    """Also where a victim's rounding is coarse, and the public path is asked which of two is better."""
    monkeypatch.setattr(engine_module, "ROUNDING", rounding)
    ended = []

    class Watched(Engine):
        def _spend_the_rest(self, lane):
            ended.append(lane.slot.example.id)
            super()._spend_the_rest(lane)

    expected, patiently = rounds_of(Patient(victims[which], SMALL, budget=2 * BUDGET))
    found, quickly = rounds_of(Watched(victims[which], SMALL, budget=2 * BUDGET))
    assert found == expected
    assert ended
    assert quickly <= share * patiently


@pytest.mark.parametrize("obstacle", ["few survive", "more than is remembered", "begins anew"])
def test_a_search_that_may_yet_find_something_goes_on(victims, obstacle, monkeypatch):
    attack = SMALL
    if obstacle == "few survive":
        monkeypatch.setattr(engine_module, "Survival", MostlyDead)
    elif obstacle == "more than is remembered":
        monkeypatch.setattr(remembered, "ROOM", 39)
    else:
        attack = Restarting(patience=30)
    expected, patiently = rounds_of(Patient(victims["alone"], attack, budget=BUDGET))
    found, quickly = rounds_of(Engine(victims["alone"], attack, budget=BUDGET))
    assert found == expected
    assert quickly == patiently


@dataclass(frozen=True)
class Restarting(GCG):
    candidates: int = 16
    top_k: int = 4
    patience: int = 0


class MostlyDead(Survival):
    def of(self, proposals):
        told = super().of(proposals)
        return [alive & (rows.sum(axis=1) % 3 == 0) for (_, rows), alive in zip(proposals, told, strict=True)]


def test_no_more_is_remembered_than_there_is_room_for(victims, monkeypatch):
    expected = ran(Engine(victims["alone"], SMALL, budget=BUDGET))
    monkeypatch.setattr(remembered, "ROOM", 10)
    sizes = []

    class Watched(Engine):
        def _digest(self, lane, logits, finished):
            sizes.append(len(lane.around.logits))
            return super()._digest(lane, logits, finished)

    assert ran(Watched(victims["alone"], SMALL, budget=BUDGET)) == expected
    assert 0 < max(sizes) <= 10


@pytest.mark.parametrize("look_over", [False, True])
def test_no_candidate_is_run_again(victims, look_over):
    here: dict[str, tuple[bytes, set[bytes]]] = {}

    class Watched(Engine):
        def _look_up(self, lanes, proposals):
            for lane in lanes:
                best = lane.search.best.tobytes()
                if lane.slot.example.id not in here or here[lane.slot.example.id][0] != best:
                    here[lane.slot.example.id] = best, set()
            return super()._look_up(lanes, proposals)

        def _score(self, lanes):
            run = self.scorer.logits

            def once(ready, strings, *rest):
                for each, rows in zip(ready, strings, strict=True):
                    _, scored = here[each.exact.prepared.slot.example.id]
                    assert not scored & {row.tobytes() for row in rows}
                    scored.update(row.tobytes() for row in rows)
                return run(ready, strings, *rest)

            self.scorer.logits = once
            try:
                return super()._score(lanes)
            finally:
                self.scorer.logits = run

    engine = Watched(victims["alone"], SMALL, budget=BUDGET, look_over=look_over)
    assert ("looked over" in engine.scorer.name) is look_over
    ran(engine)
    assert any(len(scored) > 20 for _, scored in here.values())


def test_what_is_noted_is_found_again():
    around = Remembered()
    strings = np.arange(12).reshape(4, 3)
    logits = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert around.numbers(strings).tolist() == [UNKNOWN] * 4
    around.add(strings[[0, 1, 0]], logits[[0, 1, 2]])
    around.bury(strings[2:3])
    assert around.numbers(strings).tolist() == [0, 1, DEAD, UNKNOWN]
    assert around.logits.tolist() == logits[:2].tolist()
    around.judge(strings[1], logits[3])
    around.judge(strings[3], logits[3])
    assert around.logits.tolist() == logits[[0, 3]].tolist()
    assert around.known == 3
    assert [string.tolist() for string in around.strings(np.array([1, 0]))] == strings[[1, 0]].tolist()
    assert around.judged.tolist() == [False, True]
    around.forget()
    assert around.numbers(strings).tolist() == [UNKNOWN] * 4
    assert len(around.logits) == 0
