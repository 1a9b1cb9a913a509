"""Times and prices of scores that nobody ran, against sums done by hand."""

import json
from pathlib import Path

import pytest

from holdfast.benchmark import TIERS, get_attack
from holdfast.benchmark.forecast import Fleet, Text, Work, cards_for, forecast, work_of
from holdfast.benchmark.model_shape import SHAPES, ModelShape
from holdfast.benchmark.rates import Pace, Point, Rates, read_rates
from holdfast.tasks import RecordError, UsageError

SMALL = ModelShape("small", 4, 2, 1, 10, parameters=1000, weights=100, last_block=30)
RATES = Rates(
    device="a card",
    dtype="bfloat16",
    matrix_rate=1e6,
    float32_rate=1e5,
    memory=1e4,
    points=(
        Point("gcg", 1000, 100, Pace(executed=1.0, share=0.5, outside=1e-3)),
        Point("gcg", 100_000, 100, Pace(executed=0.6, share=0.3, outside=3e-3)),
        Point("gcg", 1000, 400, Pace(executed=0.8, share=0.4, outside=2e-3)),
        Point("gcg", 100_000, 400, Pace(executed=0.4, share=0.2, outside=4e-3)),
    ),
)


def test_work_is_the_whole_iterations_that_fit_each_example() -> None:
    texts = [Text(90, 10), Text(40, 10)]
    # An iteration of GCG is 262NT: 26.2 million FLOP at 100 tokens, 13.1 at 50.
    work = work_of(SMALL, get_attack("gcg"), texts, budget=30e6)
    assert (work.examples, work.fitting, work.tokens) == (2, 2, 75)
    assert work.candidates == (1 + 2) * 128
    assert work.canonical == 26.2e6 + 2 * 13.1e6
    long, short = (
        128 * SMALL.candidate_flop(text.prefix, text.tail) + SMALL.gradient_flop(text.prefix, text.tail)
        for text in texts
    )
    assert work.plain == pytest.approx(long + 2 * short)
    assert work.prepared == 90 * (200 + 32 * 45) + 40 * (200 + 32 * 20)
    assert work.judged == 2 * (100 * (200 + 32 * 100) + 50 * (200 + 32 * 50))


def test_an_iteration_that_fits_no_example_is_no_work() -> None:
    work = work_of(SHAPES["70b"], get_attack("gcg"), [Text(50, 13)] * 3, budget=TIERS[4])
    assert (work.fitting, work.candidates, work.canonical, work.plain) == (0, 0, 0, 0)
    assert work.judged > 0


def test_a_worst_case_is_charged_the_whole_budget_whatever_the_model() -> None:
    for name in ("14m", "410m"):
        work = work_of(SHAPES[name], get_attack("random_token"), [Text(50, 13), Text(300, 13)], TIERS[4])
        assert 0.999 * 2 * TIERS[4] <= work.canonical <= 2 * TIERS[4]


def test_time_is_that_of_the_model_and_what_is_outside() -> None:
    work = Work(
        SMALL,
        "gcg",
        examples=4,
        fitting=4,
        tokens=100,
        candidates=1000,
        canonical=0,
        plain=2e6,
        prepared=5e5,
        judged=1e5,
    )
    # 2e6 FLOP at half of 1e6, 1000 times a millisecond, and (0.5 s + 1 s) / 0.5 around it.
    assert work.seconds(RATES) == pytest.approx(4 + 1 + 3)
    assert work.seconds(RATES, spent=0.1) == pytest.approx(0.5 + 3)


def test_between_what_was_measured_rates_are_interpolated_and_beyond_it_they_hold() -> None:
    middle = RATES.pace("gcg", 10_000, 200)  # half way on both logarithmic axes
    assert (middle.executed, middle.share, middle.outside) == pytest.approx((0.7, 0.35, 2.5e-3))
    assert RATES.pace("gcg", 10, 20) == RATES.points[0].pace
    beyond = RATES.pace("gcg", 10**9, 10**6)
    assert (beyond.executed, beyond.share, beyond.outside) == pytest.approx((0.4, 0.2, 4e-3))
    with pytest.raises(UsageError, match="No rate of the attack beast was measured on a card"):
        RATES.pace("beast", 1000, 100)


def test_an_assumed_share_is_taken_for_every_model_and_the_rest_is_kept() -> None:
    assumed = RATES.assuming("another", share=0.25, matrix_rate=2e6, float32_rate=1e6, memory=2e4)
    assert assumed.pace("gcg", 1000, 100) == Pace(executed=1.0, share=0.25, outside=1e-3)
    assert assumed.matrix_rate == 2e6


def test_cards_hold_the_model_in_both_precisions() -> None:
    # 6,000 bytes in 80 % of 10,000 each.
    assert cards_for(SMALL, RATES) == 1
    assert cards_for(ModelShape("large", 4, 2, 1, 10, 3000, 100, 30), RATES) == 3
    in_float32 = Rates("a card", "float32", 1e6, 1e5, 1e4, ())
    assert cards_for(ModelShape("large", 4, 2, 1, 10, 3000, 100, 30), in_float32) == 2
    assert cards_for(SHAPES["70b"], Rates("a CPU", "float32", 1e6, 1e5, None, ())) == 1


def test_the_worker_with_the_most_examples_decides() -> None:
    # 200 examples on 64 workers: some have 4.
    assert Fleet(64, 64).seconds(1000, 200) == pytest.approx(20)
    assert Fleet(300, 300).seconds(1000, 200) == pytest.approx(5)
    assert Fleet(4, 4).seconds(1000, 200) == pytest.approx(250)
    assert Fleet(4, 5).card_hours(7200) == 10


def test_workers_that_share_a_card_are_no_faster_than_their_part_of_it() -> None:
    assert Fleet.of(4, 0.5) == Fleet(workers=4, cards=2, speed=0.5)
    assert Fleet.of(4, 0.5).seconds(1000, 200) == Fleet.of(2, 1).seconds(1000, 200)
    assert [Fleet.of(workers, 0.4).cards for workers in (2, 3, 5)] == [1, 2, 3], "a part is of a single card"
    # Layers of a model on two cards run one after the other.
    assert Fleet.of(4, 2) == Fleet(workers=4, cards=8, speed=1.0)


def test_a_forecast_adds_up_attacks_and_says_where_a_model_does_not_fit() -> None:
    work = Work(
        SMALL, "gcg", examples=4, fitting=4, tokens=100, candidates=1000, canonical=0, plain=2e6, prepared=0, judged=0
    )
    assert forecast([work, work], RATES, cards=1) == pytest.approx(2 * 5)
    assert forecast([work, work], RATES, cards=3) == pytest.approx(2 * 5 * 2 / 4)
    assert forecast([work, work], RATES, cards=2, spent=0.5) == pytest.approx(2 * 5 / 2 / 2)
    wide = ModelShape("large", 4, 2, 1, 10, 3000, 100, 30)
    large = Work(wide, "gcg", 4, 4, 100, 1000, 0, 2e6, 0, 0)
    assert forecast([large], RATES, cards=2) is None
    assert forecast([large], RATES, cards=8) == pytest.approx(large.seconds(RATES) / 2)


def test_what_was_measured_is_predicted_again() -> None:
    """The rates of the committed file give its candidates per second, where nothing lies between."""
    path = Path(__file__).resolve().parents[2] / "docs" / "experiments" / "throughput-cpu.json"
    rates, found = read_rates(path), json.loads(path.read_text(encoding="utf-8"))
    assert found["measured"]
    for each in found["measured"]:
        shape, attack = SHAPES[each["shape"]], get_attack(each["attack"])
        text = Text(each["prefix"], each["tail"])
        work = work_of(shape, attack, [text] * 10, TIERS[4])
        apart = Work(**{**vars(work), "prepared": 0.0, "judged": 0.0})
        assert work.candidates / apart.seconds(rates) == pytest.approx(each["candidates_per_second"], rel=1e-3)


def test_a_file_without_rates_is_refused_in_one_sentence(tmp_path) -> None:
    path = tmp_path / "rates.json"
    for content in ("", "[]", "{}", '{"device": "x", "dtype": "float32"}'):
        path.write_text(content)
        with pytest.raises(
            RecordError, match=r"holds no rates of a device .*; docs/experiments/throughput\.py measures"
        ):
            read_rates(path)
    with pytest.raises(RecordError, match="holds no rates of a device"):
        read_rates(tmp_path / "missing.json")
