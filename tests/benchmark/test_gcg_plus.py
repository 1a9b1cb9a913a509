"""GCG with fewer candidates, longer steps and restarts: what it proposes, and that a restart loses nothing."""

import numpy as np
import pytest
import torch
from victims import save_checkpoint

from holdfast.benchmark import GCG, Engine, attack_examples, load_victim
from holdfast.benchmark.attacks import GradientBatch, Search, SlotGradient
from holdfast.benchmark.attacks.gcg_plus import GCGPlus
from holdfast.tasks import Example

EXAMPLES = [
    Example(f"e{number}", f"the {word} said summer\n" * (1 + number % 3), "\nYes or no?", number % 2)
    for number, word in enumerate(["apple", "violin", "garden", "marble", "pepper", "lantern", "silver", "copper"])
]
SMALL = GCGPlus(candidates=12, top_k=24, patience=1)
BUDGET = 1.5e8


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp("victim"), "qwen2", scale=4.0), device="cpu")


@pytest.fixture(scope="module")
def steadfast(tmp_path_factory):
    """One that holds for long: hardly any string changes its answers."""
    return load_victim(save_checkpoint(tmp_path_factory.mktemp("steadfast"), "bert", scale=1.0), device="cpu")


@pytest.fixture
def search(victim):
    rng = np.random.default_rng(0)
    best = victim.vocabulary.draw(rng, 1, 10)[0]
    values = torch.from_numpy(rng.normal(size=(10, len(victim.vocabulary.ids)))).float()
    batch = GradientBatch(values[None], best[None], victim.vocabulary)
    return Search(rng, victim.vocabulary, best, SlotGradient(batch, 0, lambda: values))


def test_candidates_swap_up_to_so_many_promising_tokens(search):
    promising = search.gradient.top_k(24)
    strings = GCGPlus(swaps=3, top_k=24).propose(search, 400)
    changed = strings != search.best
    assert set(changed.sum(axis=1).tolist()) == {1, 2, 3}
    for string, places in zip(strings, changed, strict=True):
        assert all(string[place] in promising[place] for place in np.flatnonzero(places))


def test_only_a_first_iteration_is_fresh(victim):
    seen = []

    class Watched(Engine):
        def _propose(self, lanes):
            seen.extend((lane.iterations, lane.search.fresh) for lane in lanes)
            super()._propose(lanes)

    list(Watched(victim, GCGPlus(candidates=8, top_k=24, patience=0), budget=BUDGET).run(EXAMPLES))
    assert {fresh for iterations, fresh in seen if iterations} == {False}
    assert {fresh for iterations, fresh in seen if not iterations} == {True}


def test_a_search_that_begins_anew_is_fresh_again(steadfast):
    seen = []

    class Watched(Engine):
        def _restart(self, lane, finished):
            ended = super()._restart(lane, finished)
            seen.append((lane.search.fresh, lane.search.gradient, lane.stale))
            return ended

    list(Watched(steadfast, SMALL, budget=BUDGET).run(EXAMPLES))
    assert seen
    assert set(seen) == {(True, None, 0)}


@pytest.mark.parametrize("length", [1, 2])
def test_it_writes_strings_of_any_length(victim, length):
    attack = GCGPlus(length=length, candidates=8, top_k=24)
    for example, record in zip(EXAMPLES, attack_examples(victim, EXAMPLES, attack, budget=5e7), strict=True):
        if record.attack_string is not None:
            assert len(record.attack_tokens or ()) == length
            assert (victim.classify(example.text(record.attack_string)) != example.label) == bool(record.break_cost)


def test_records_do_not_depend_on_batch_size_or_order(victim, steadfast):
    for each, broken in ((victim, True), (steadfast, False)):
        reference = attack_examples(each, EXAMPLES, SMALL, budget=BUDGET)
        assert any(record.clean_correct and bool(record.break_cost) == broken for record in reference)
        assert attack_examples(each, EXAMPLES, SMALL, budget=BUDGET, batch_size=5) == reference
        assert attack_examples(each, EXAMPLES[::-1], SMALL, budget=BUDGET) == reference[::-1]


def test_what_held_is_shown_with_the_best_string_of_all_searches(steadfast):
    """Whatever the search moved to since, no string that it kept was closer to breaking the example."""
    kept: dict[str, list[float]] = {}

    class Watched(Engine):
        def _restart(self, lane, finished):
            margin = steadfast.logits(lane.slot.example.text(lane.best_text))
            example = lane.slot.example
            kept.setdefault(example.id, []).append(margin[example.label] - margin[1 - example.label])
            return super()._restart(lane, finished)

    records = {record.example_id: record for record in Watched(steadfast, SMALL, budget=BUDGET).run(EXAMPLES)}
    held = [each for each in EXAMPLES if records[each.id].clean_correct and not records[each.id].break_cost]
    assert any(len(kept.get(example.id, ())) > 0 for example in held), "it began anew"
    for example in held:
        logits = records[example.id].attack_logits
        assert logits is not None
        assert logits[example.label] - logits[1 - example.label] <= min(kept.get(example.id, [np.inf])) + 1e-6


def test_what_breaks_it_where_a_search_begins_anew_breaks_it_at_that_cost(victim):
    """A pass in low precision may be too kind to the victim; the judge has the best string before it is given up."""
    rough = load_victim(victim.folder, device="cpu", dtype="bfloat16")
    ended = {}

    class Kind(Engine):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            run = self.scorer.logits

            def kind(ready, strings, beginnings, bars):
                right = [np.eye(2, dtype=np.float32)[each.exact.prepared.label] for each in ready]
                return [
                    logits + 1e3 * label
                    for logits, label in zip(run(ready, strings, beginnings, bars), right, strict=True)
                ]

            self.scorer.logits = kind

        def _restart(self, lane, finished):
            if super()._restart(lane, finished):
                ended[lane.slot.example.id] = lane.cost
                return True
            assert int(lane.abandoned.logits.argmax()) == lane.slot.example.label
            return False

    budget = 4 * BUDGET
    found = {record.example_id: record for record in Kind(rough, SMALL, budget=budget).run(EXAMPLES)}
    assert ended
    for name, cost in ended.items():
        assert (found[name].break_cost, found[name].cost) == (cost, cost)
    assert min(ended.values()) < 0.5 * budget


def test_without_patience_it_never_begins_anew(steadfast):
    restarted = []

    class Watched(Engine):
        def _restart(self, lane, finished):
            restarted.append(lane)
            return False

    list(Watched(steadfast, GCGPlus(candidates=12, top_k=24, patience=0), budget=BUDGET).run(EXAMPLES))
    list(Watched(steadfast, GCG(candidates=12, top_k=24), budget=BUDGET).run(EXAMPLES))
    assert not restarted
