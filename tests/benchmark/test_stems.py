"""What candidates begin with in common is run once, and nothing that an attack finds depends on it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from victims import DECODERS, save_checkpoint

from holdfast.benchmark import get_attack, load_victim
from holdfast.benchmark.engine import Engine
from holdfast.benchmark.ensemble import Ensemble
from holdfast.benchmark.filtered import Filtered
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import full_text, passes_for
from holdfast.benchmark.proposal import proposal_for
from holdfast.benchmark.slot import prepare_slot
from holdfast.benchmark.stems import cut
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import Example, get_task

TASK = get_task("password-match")
EVALUATION = TASK.evaluation()
EXAMPLES = [
    Example(f"e{number}", "the farmer said yellow apple\n" * (1 + number % 3) + "pepper?\n", "\nYes or no?", number % 2)
    for number in range(3)
]


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 40), st.data())
def test_every_candidate_is_in_one_piece_and_begins_as_its_piece_says(count, stems, length, begun, most, data):
    tokens = st.integers(0, 2)
    strings = np.array(data.draw(st.lists(tokens, min_size=count * length, max_size=count * length)))
    beginnings = np.array(data.draw(st.lists(tokens, min_size=stems * begun, max_size=stems * begun)))
    strings, beginnings = strings.reshape(count, length), beginnings.reshape(stems, begun)
    pieces = list(cut(strings, beginnings, most))
    assert sorted(np.concatenate([piece.rows for piece in pieces]).tolist()) == list(range(count))
    for piece in pieces:
        assert len(piece.rows) <= most
        assert piece.shared < length, "at least the last token of a string is run"
        assert (strings[piece.rows, : piece.shared] == beginnings[piece.stem, : piece.shared]).all()


def test_single_swaps_of_a_string_share_about_half_of_it():
    rng = np.random.default_rng(0)
    best = np.arange(10)
    strings = np.tile(best, (128, 1))
    strings[np.arange(128), rng.integers(10, size=128)] = 99
    run = sum(len(piece.rows) * (10 - piece.shared) for piece in cut(strings, best[None], 128))
    assert run / 128 < 6.5


def behind(passes, slot, strings, shared):
    """Logits of strings that have their first `shared` tokens in common, run behind these: (rows, 2)."""
    prepared = passes.prepare(slot)
    stems = passes.stems([Unit(prepared, strings[:1])])
    assert stems is not None
    assert len(stems) == 1
    return passes.logits([Unit(prepared, strings, stems[0], shared)])[0].numpy()


def beginning_alike(victim, example, shared, position="suffix"):
    slot = prepare_slot(example, victim.vocabulary, 10, victim.context, position)
    strings = victim.vocabulary.draw(np.random.default_rng(shared), 6, 10)
    strings[:, :shared] = strings[0, :shared]
    return slot, strings


@pytest.mark.parametrize("architecture", DECODERS)
@pytest.mark.parametrize("position", ["suffix", "infix", "prefix"])
def test_logits_behind_a_stem_are_those_of_the_full_text(tmp_path, architecture, position):
    victim = load_victim(save_checkpoint(tmp_path, architecture))
    passes, full = passes_for(victim), full_text(victim)
    for shared in (1, 4, 9):
        slot, strings = beginning_alike(victim, EXAMPLES[1], shared, position)
        expected = full.logits([Unit(full.prepare(slot), strings)])[0].numpy()
        np.testing.assert_allclose(behind(passes, slot, strings, shared), expected, atol=2e-5)


def test_units_behind_stems_of_several_examples_run_together(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path))
    passes, full = passes_for(victim), full_text(victim)
    chosen = [beginning_alike(victim, example, 4) for example in EXAMPLES]
    ready = [(passes.prepare(slot), strings) for slot, strings in chosen]
    stems = passes.stems([Unit(prepared, strings[:2]) for prepared, strings in ready])
    assert stems is not None
    assert len(stems) == 6, "one for each row of each unit"
    for tensor in (each for stem in stems for pair in stem.keys_values or () for each in pair):
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, "none keeps the others in memory"
    units = [Unit(prepared, strings, stem, 4) for (prepared, strings), stem in zip(ready, stems[::2], strict=True)]
    expected = [full.logits([Unit(full.prepare(slot), strings)])[0].numpy() for slot, strings in chosen]
    np.testing.assert_allclose(passes.logits(units).numpy(), np.array(expected), atol=2e-5)


def test_an_encoder_has_no_stems(tmp_path):
    victim = load_victim(save_checkpoint(tmp_path, "bert"))
    passes = passes_for(victim)
    slot, strings = beginning_alike(victim, EXAMPLES[0], 4)
    assert passes.stems([Unit(passes.prepare(slot), strings[:1])]) is None


@pytest.mark.parametrize("kind", ["ensemble", "filter"])
def test_a_victim_made_of_several_shares_stems_as_its_parts_do(kind):
    def load(name):
        return load_victim(checkpoint_folder(f"password-match-{name}"), device="cpu")

    if kind == "ensemble":
        victim = Ensemble.of([load("undefended"), load("wide-undefended")], "two.yaml")
    else:
        victim = Filtered.of(load("undefended"), load("language-model"), "filter.yaml")
        victim = victim.for_labels(TASK.labels).calibrated(lambda: [each.text() for each in TASK.training(100)])
    passes, full = passes_for(victim), full_text(victim)
    slot, strings = beginning_alike(victim, EVALUATION.examples[0], 5)
    expected = full.logits([Unit(full.prepare(slot), strings)])[0].numpy()
    np.testing.assert_allclose(behind(passes, slot, strings, 5), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "share"), [("gcg", 0.85), ("beast", 0.85), ("random_token", 1.01)])
def test_shared_beginnings_save_work_and_change_no_record(monkeypatch, name, share):
    """Against the engine without them, on the same examples."""
    attack = get_attack(name)
    victim = load_victim(checkpoint_folder("password-match-adversarial"), device="cpu")
    examples = EVALUATION.examples[:4]

    def run():
        proposal = proposal_for(attack, victim, lambda: [example.text() for example in examples], None)
        engine = Engine(victim, attack, budget=2e10, task=TASK.name, proposal=proposal)
        records = sorted(
            (record.example_id, record.break_cost, record.attack_string) for record in engine.run(examples)
        )
        return records, engine.passes.executed / engine.candidates

    shared, less = run()
    monkeypatch.setattr("holdfast.benchmark.passes.SharedPrefix.stems", lambda self, units: None)
    plain, more = run()
    assert shared == plain
    assert less < share * more
