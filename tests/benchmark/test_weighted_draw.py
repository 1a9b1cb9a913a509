"""Draws by running totals are those of numpy's weighted choice to the last bit, however close to an edge."""

import numpy as np
import pytest

from holdfast.benchmark.weighted_draw import Shares, running_totals


def shares_of(base: np.ndarray, places: np.ndarray, raised: np.ndarray) -> tuple[Shares, np.ndarray]:
    plain = base.copy()
    plain[places] += raised
    return Shares(running_totals(base), places, raised, plain.copy), plain


@pytest.mark.parametrize("raised", [0, 1, 40, 5000])
@pytest.mark.parametrize("count", [1, 15, 200])
def test_draws_are_those_of_numpys_weighted_choice(raised: int, count: int) -> None:
    made = np.random.default_rng(raised)
    base = made.zipf(1.5, 20_000).astype(float)
    base *= (0.5 if raised else 1.0) / base.sum()
    places = np.sort(made.choice(len(base), raised, replace=False))
    counts = made.zipf(1.5, raised).astype(float)
    shares, plain = shares_of(base, places, 0.5 * counts / max(1, counts.sum()))
    ours, theirs = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(40):
        expected = theirs.choice(len(base), count, replace=False, p=plain)
        assert (shares.draw(count, ours) == expected).all()
    assert ours.random() == theirs.random()


def test_everything_can_be_drawn() -> None:
    shares, _ = shares_of(np.full(300, 1 / 600), np.array([7]), np.array([0.5]))
    assert sorted(shares.draw(300, np.random.default_rng(0))) == list(range(300))


class Points:
    """A generator that gives what it was told to."""

    def __init__(self, *rounds: list[float]) -> None:
        self.rounds = list(rounds)

    def random(self, count: int) -> np.ndarray:
        points = np.array(self.rounds.pop(0))
        assert len(points) == count
        return points


def test_a_point_at_an_edge_falls_where_added_up_shares_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plainly = Shares._search_plainly
    monkeypatch.setattr(Shares, "_search_plainly", lambda self, *rest: asked.append(rest) or plainly(self, *rest))
    base = np.array([0.1, 0.2, 0.1, 0.1])
    shares, plain = shares_of(base, np.array([1, 3]), np.array([0.3, 0.2]))
    edges = np.cumsum(plain) / plain.sum()
    for edge, place in zip(edges[:3], range(3), strict=True):
        for point in (np.nextafter(edge, 0), edge, np.nextafter(edge, 1)):
            [found] = shares.draw(1, Points([point]))  # pyright: ignore[reportArgumentType]
            assert found == np.searchsorted(edges, point, side="right") == place + (point >= edge)
    assert len(asked) == 9
    # With place 1 gone, 0 has a fifth of what is left.
    drawn = shares.draw(3, Points([0.35, 0.4, 0.5], [0.19, 0.9]))  # pyright: ignore[reportArgumentType]
    assert drawn.tolist() == [1, 0, 3]
    assert len(asked) == 9
    drawn = shares.draw(2, Points([0.35, 0.4], [0.2]))  # pyright: ignore[reportArgumentType]
    assert drawn.tolist() == [1, 2]
    assert len(asked) == 10
