"""A device is waited for a few times an iteration, however many batches and examples there are in it."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from victims import save_checkpoint

from holdfast.benchmark import GCG, Engine, load_victim
from holdfast.benchmark.attacks import GradientBatch, SlotGradient
from holdfast.benchmark.transfer import sent
from holdfast.benchmark.victim import Victim
from holdfast.tasks import Example


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    return load_victim(save_checkpoint(tmp_path_factory.mktemp("victim"), "llama", scale=1.0), device="cpu")


@dataclass
class Waits(TorchDispatchMode):
    """What a card would be waited for: numbers fetched from it, and shapes that depend on numbers."""

    counts: Counter[str] = field(default_factory=Counter)
    judging: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if not self.judging and name in {"_local_scalar_dense", "nonzero", "masked_select", "unique", "_unique2"}:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))

    def count(self, name: str) -> None:
        if not self.judging:
            self.counts[name] += 1


def held(victim: Victim, count: int) -> list[Example]:
    """Examples of several lengths that are answered rightly."""
    texts = ["the river said summer\n" * (1 + number % 3) + f"{number}\n" for number in range(count)]
    after = "\nYes or no?"
    return [Example(f"e{i}", text, after, victim.classify(text + after)) for i, text in enumerate(texts)]


def waits_by_round(victim: Victim, monkeypatch: pytest.MonkeyPatch, examples: int, batch_size: int) -> list[Counter]:
    """Of the first rounds of an attack."""
    waits = Waits()
    fetch, verdict, recompute = torch.Tensor.cpu, Victim.verdict, Engine._gradient_alone

    def counted(self):
        waits.count("fetched")
        return fetch(self)

    def unwatched(call):
        def run(*args, **settings):
            waits.judging = True
            try:
                return call(*args, **settings)
            finally:
                waits.judging = False

        return run

    monkeypatch.setattr(torch.Tensor, "cpu", counted)
    # Decisions that rounding could turn are made by one text at a time, and have to be waited for.
    monkeypatch.setattr(Victim, "verdict", unwatched(verdict))
    monkeypatch.setattr(Engine, "_gradient_alone", lambda self, unit: unwatched(recompute(self, unit)))
    engine = Engine(victim, GCG(candidates=24, top_k=32), budget=1e12, batch_size=batch_size)
    rounds, found = engine.rounds(held(victim, examples)), []
    while len(found) < 4:
        waits.counts = Counter()
        with waits:
            if next(rounds, None) is None:
                break
        found.append(waits.counts)
    monkeypatch.undo()
    return found


def test_a_device_is_waited_for_as_often_for_many_batches_as_for_one(victim, monkeypatch) -> None:
    for examples, batch_size in ((8, 512), (40, 32)):
        found = waits_by_round(victim, monkeypatch, examples, batch_size)
        # For logits, and in rounds with gradients for what tokens they choose and whether that is clear. Gradients of
        # 4 examples fit into the smaller batch.
        gradients = -(-min(examples, 16) // max(1, batch_size // 8))
        assert all(set(counts) == {"fetched"} for counts in found)
        assert max(counts["fetched"] for counts in found) == found[0]["fetched"] == 1 + 2 * gradients


def test_tokens_are_chosen_for_all_as_for_each_alone(victim) -> None:
    rng, count = np.random.default_rng(0), 5
    current = victim.vocabulary.draw(rng, count, 10)
    values = torch.from_numpy(rng.normal(size=(count, 10, len(victim.vocabulary.ids)))).float()
    values[3, 2, 7] = torch.nan
    together = GradientBatch(values.clone(), current, victim.vocabulary)
    for place in range(count):
        promising = SlotGradient(together, place, lambda: pytest.fail("nothing is close")).top_k(32)
        alone = GradientBatch(values[place : place + 1].clone(), current[place : place + 1], victim.vocabulary)
        assert (promising == SlotGradient(alone, 0, lambda: pytest.fail("nothing is close")).top_k(32)).all()
        for position, row in enumerate(promising):
            order = values[place, position].nan_to_num(nan=torch.inf).argsort().tolist()
            order = [token for token in victim.vocabulary.ids[order] if token != current[place, position]]
            assert row.tolist() == sorted(order[:32])


def test_where_rounding_could_turn_a_choice_the_gradient_is_taken_again_for_that_example(victim) -> None:
    rng = np.random.default_rng(0)
    current = victim.vocabulary.draw(rng, 2, 10)
    values = torch.from_numpy(rng.normal(size=(2, 10, len(victim.vocabulary.ids)))).float()
    again = values[1].clone()
    places = [place for place in values[1, 3].argsort().tolist() if victim.vocabulary.ids[place] != current[1, 3]]
    values[1, 3, places[8]] = values[1, 3, places[7]]
    again[3, places[7]] = 100.0
    batch, asked = GradientBatch(values, current, victim.vocabulary), []
    close = SlotGradient(batch, 1, lambda: asked.append(1) or again)
    chosen = close.top_k(8)
    assert victim.vocabulary.ids[places[8]] in chosen[3]
    assert victim.vocabulary.ids[places[7]] not in chosen[3]
    assert (close.top_k(8) == chosen).all()
    SlotGradient(batch, 0, lambda: pytest.fail("nothing is close")).top_k(8)
    assert asked == [1]


def test_numbers_arrive_as_they_were_sent() -> None:
    for numbers in ([3, 1], [[1, 2], [3, 4]], np.array([[5, 6]])):
        arrived = sent(numbers, torch.device("cpu"))
        assert arrived.dtype == torch.int64
        assert arrived.tolist() == np.asarray(numbers).tolist()


def test_large_gradients_are_let_go_of_and_another_number_of_tokens_can_still_be_chosen(victim) -> None:
    rng = np.random.default_rng(0)
    current = victim.vocabulary.draw(rng, 2, 10)
    values = torch.from_numpy(rng.normal(size=(2, 10, len(victim.vocabulary.ids)))).float()
    batch, asked = GradientBatch(values.clone(), current, victim.vocabulary), []
    gradient = SlotGradient(batch, 1, lambda: asked.append(1) or values[1].clone())
    few = gradient.top_k(8)
    assert batch.values is None
    assert not asked
    for _ in range(2):
        many = gradient.top_k(32)
    assert asked == [1]
    expected = GradientBatch(values[1:].clone(), current[1:], victim.vocabulary).top_k(32)[0][0]
    assert (many == expected).all()
    assert all(set(some) < set(more) for some, more in zip(few, many, strict=True))
    assert (gradient.top_k(8) == few).all()


def test_where_ties_may_stay_as_they_are_no_gradient_is_taken_again(victim) -> None:
    current = victim.vocabulary.draw(np.random.default_rng(0), 1, 10)
    batch = GradientBatch(torch.zeros(1, 10, len(victim.vocabulary.ids)), current, victim.vocabulary)
    chosen = SlotGradient(batch, 0, lambda: pytest.fail("it is not to be settled"), settles=False).top_k(8)
    assert chosen.shape == (10, 8)
    assert not (chosen == current[0][:, None]).any()
