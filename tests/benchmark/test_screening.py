"""A rough look decides only what it is sure of: what is kept, and what breaks an example, is decided in float32."""

import numpy as np
import pytest
from scipy.stats import binomtest
from victims import save_checkpoint

from holdfast.benchmark import get_attack, load_victim, screening
from holdfast.benchmark.batch import BatchSize
from holdfast.benchmark.engine import Engine
from holdfast.benchmark.passes import passes_for
from holdfast.benchmark.proposal import proposal_for
from holdfast.benchmark.screening import Bar, scorer_for
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.stand_in import save_shape
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import get_task

TASK = get_task("password-match")
EXAMPLES = TASK.evaluation().examples[:24]


@pytest.fixture(scope="module")
def victim():
    return load_victim(checkpoint_folder("password-match-wide-adversarial"), device="cpu")


def scored(victim, kept, best=np.inf, rounds=3):
    """Logits of candidates looked over first, beside those of the plain pass, and the example's label."""
    passes = passes_for(victim)
    scorer = scorer_for(victim, passes, BatchSize(64, victim.device), look_over=True)
    slot = prepare_slot(EXAMPLES[0], victim.vocabulary, 10, victim.context)
    ready = scorer.prepare(slot)
    plain = scorer_for(victim, passes, BatchSize(64, victim.device), look_over=False)
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        strings = victim.vocabulary.draw(rng, 128, 10)
        bar = Bar(EXAMPLES[0].label, kept, best, 1e-4)
        [ours] = scorer.logits([ready], [strings], [None], [bar])
        [theirs] = plain.logits([plain.prepare(slot)], [strings], [None], [bar])
        yield ours, theirs, EXAMPLES[0].label


def margins(logits, label):
    return logits[:, label] - logits[:, 1 - label]


@pytest.mark.parametrize("kept", [1, 15])
def test_the_candidates_that_are_kept_are_those_of_float32(victim, kept):
    for ours, theirs, label in scored(victim, kept):
        best = np.argsort(margins(theirs, label))[:kept]
        assert set(np.argsort(margins(ours, label))[:kept]) == set(best)
        np.testing.assert_allclose(ours[best], theirs[best], atol=1e-4)


def test_of_candidates_that_beat_nothing_few_are_run_again(victim):
    *_, (ours, theirs, label) = scored(victim, 1, best=-1e3)
    same = np.isclose(ours, theirs, atol=1e-6).all(axis=1)
    assert same.sum() <= 8 + (margins(theirs, label) < 0.2).sum()
    np.testing.assert_allclose(ours, theirs, atol=0.3)


def run(victim, name, look_over):
    attack = get_attack(name)
    proposal = proposal_for(attack, victim, lambda: [example.text() for example in EXAMPLES], None)
    engine = Engine(victim, attack, budget=2e10, task=TASK.name, proposal=proposal, look_over=look_over)
    records = {record.example_id: record for record in engine.run(EXAMPLES)}
    return [records[example.id] for example in EXAMPLES], engine.scorer.name


@pytest.mark.parametrize("name", ["gcg", "gcg_plus", "beast", "random_token"])
def test_an_attack_is_as_strong_as_in_float32(victim, name):
    plain, usual = run(victim, name, None)
    looked_over, said = run(victim, name, True)
    assert (usual, said) == ("shared prefix", "shared prefix, looked over in bfloat16")
    pairs = [
        (one.break_cost is not None, other.break_cost is not None)
        for one, other in zip(plain, looked_over, strict=True)
    ]
    lost, won = pairs.count((True, False)), pairs.count((False, True))
    assert any(before for before, _ in pairs)
    assert lost + won <= 3
    assert lost + won == 0 or binomtest(lost, lost + won, alternative="greater").pvalue > 0.1
    for record in looked_over:
        if record.break_cost is not None:
            text = next(each for each in EXAMPLES if each.id == record.example_id).text(record.attack_string)
            assert victim.classify(text) != record.label, "what broke an example does so on the public path"


def test_with_a_batch_size_of_its_own_a_run_gives_the_same_again(victim):
    def records():
        engine = Engine(victim, get_attack("gcg"), budget=1e10, task=TASK.name, look_over=True, batch_size=64)
        return list(engine.run(EXAMPLES[:12]))

    assert records() == records()


def test_the_best_string_is_one_that_float32_has_seen(victim):
    """Also where more candidates come close than are run again at first."""
    compared = []

    class Watched(Engine):
        def _keep_best(self, lane, strings, values, noise):
            before = lane.best_text
            super()._keep_best(lane, strings, values, noise)
            if lane.best_text != before:
                true = self._margin(lane, lane.best_text)
                compared.append(abs(lane.best_margin - true) / (1 + abs(true)))

    list(Watched(victim, get_attack("gcg"), budget=4e10, task=TASK.name, look_over=True).run(EXAMPLES[:8]))
    assert len(compared) > 20
    assert max(compared) < 1e-4


def test_texts_that_are_run_in_full_are_not_looked_over(tmp_path):
    encoder = load_victim(save_checkpoint(tmp_path, "bert"))
    assert scorer_for(encoder, passes_for(encoder), BatchSize(8, encoder.device), look_over=True).name == "full text"


@pytest.mark.parametrize("instructions", [True, False])
def test_where_it_is_faster_candidates_are_looked_over(tmp_path, monkeypatch, instructions):
    monkeypatch.setattr(screening, "has_bfloat16", lambda: instructions)
    large = load_victim(save_shape("14m", None, tmp_path), device="cpu")
    for together, worth_it in ((128, instructions), (16, False)):
        scorer = scorer_for(large, passes_for(large), BatchSize(8, large.device), together=together)
        assert scorer.looks_over is worth_it


def test_a_small_victim_is_run_in_float32_alone(victim, monkeypatch):
    monkeypatch.setattr(screening, "has_bfloat16", lambda: True)
    scorer = scorer_for(victim, passes_for(victim), BatchSize(8, victim.device), together=128)
    assert scorer.name == "shared prefix"
