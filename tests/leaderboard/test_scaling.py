"""The scaling page: what is fitted together, what the fits find, and that the page shows what can be downloaded."""

import csv
import gzip
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from made_results import HELD, WRONG, made

from holdfast.leaderboard.fits import (
    logistic_line,
    logistic_slopes,
    parallel_lines,
    rank_correlation,
    rises,
    share_of,
    straight_line,
)
from holdfast.leaderboard.offence_defence import SHOWN_RATE, crossing, offence_defence
from holdfast.leaderboard.pages.scaling import pages
from holdfast.leaderboard.scaling import Model, Series, models_of, one_per_model
from holdfast.leaderboard.scaling_charts import defence_rows, size_chart, size_rows, success_rows
from holdfast.leaderboard.scaling_findings import (
    size_finding,
    slope_finding,
    training_findings,
    training_summary,
)
from holdfast.leaderboard.site import Files, Site
from holdfast.leaderboard.size_trend import TIER, Budget, passes_of, robust_at, size_trend
from holdfast.leaderboard.standing import Measured, Reported
from holdfast.leaderboard.success_trend import success_rates, success_trend
from holdfast.leaderboard.views import standings_of
from holdfast.submissions.entry import load_registry
from holdfast.submissions.reported import ReportedCurve

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"
IMDB, PASSWORDS, SPAM_PREFIX = ("imdb", "gcg-suffix"), ("password-match", "gcg-suffix"), ("spam", "gcg-prefix")
TEN, MOST = Budget("passes", passes_of(10)), Budget("passes", passes_of(128))


@pytest.fixture(scope="module")
def site() -> Site:
    entries = {entry.slug: entry for entry in load_registry(REGISTRY)}
    return Site(entries, {slug: standings_of(entry) for slug, entry in entries.items()}, {})


@pytest.fixture(scope="module")
def models(site: Site) -> dict[tuple[str, str], list[Model]]:
    return models_of(site)


@pytest.fixture(scope="module")
def files(site: Site) -> Files:
    return pages(site)


def curve(rates: dict[int, float], **said: object) -> Reported:
    """A reported curve with a rate at each iteration, every iteration costing 1e10 FLOP."""
    points = [
        {"iteration": each, "cost": each * 1e10, "attack_success_rate": {"median": rate, "low": rate, "high": rate}}
        for each, rate in rates.items()
    ]
    clean = {"median": 1.0, "low": 1.0, "high": 1.0}
    known = {"task": "imdb", "attack": "gcg", "position": "suffix", "parameters": 1_000_000, "examples": 200}
    return Reported.of(
        ReportedCurve.model_validate({**known, "seeds": 1, "clean_accuracy": clean, "points": points, **said})
    )


def model(parameters: int, standing: Reported | Measured, training: str = "none", **said: object) -> Model:
    made_up = Model(
        slug=f"m-{parameters}-{training}",
        name="Made up",
        parameters=parameters,
        series=Series("A paper", "Family", training),
        stage="" if training == "none" else "last",
        standing=standing,
        pretraining=None,
        defence=0.0,
        doubtful=False,
    )
    return replace(made_up, **said)


class TestFits:
    def test_a_known_logistic_slope_is_recovered(self) -> None:
        x = np.linspace(6, 10, 20)
        held = [round(1000 * share_of(1.3 * (each - 8))) for each in x]
        line = logistic_line(x.tolist(), held, [1000] * 20)
        assert line is not None
        assert line.slope.value == pytest.approx(1.3, abs=0.01)
        assert line.slope.low <= 1.3 <= line.slope.high
        assert line.at(8.0) == pytest.approx(0.0, abs=0.02)

    def test_resampled_slopes_are_those_of_statsmodels(self) -> None:
        x, held, asked = np.array([-2.0, -1, 0, 1.5, 2]), np.array([12.0, 80, 60, 150, 130]), np.full(5, 200.0)
        weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 1, 1], [1, 3, 0, 0, 2], [0, 5, 0, 0, 0]])
        slopes = logistic_slopes(x, held, asked, weights)
        for slope, weight in zip(slopes[:3], weights[:3], strict=True):
            rows = np.repeat(np.arange(5), weight)
            outcome = np.column_stack([held[rows], asked[rows] - held[rows]])
            expected = sm.GLM(outcome, sm.add_constant(x[rows]), sm.families.Binomial()).fit().params[1]
            assert slope == pytest.approx(expected, rel=1e-6)
        assert math.isnan(slopes[3])

    def test_a_known_straight_slope_is_recovered(self) -> None:
        line = straight_line([0, 1, 2, 3], [1, 3, 5, 7])
        assert line is not None
        assert (line.slope.value, line.slope.low, line.slope.high) == pytest.approx((2, 2, 2))
        assert line.intercept == pytest.approx(1)

    def test_parallel_lines_share_a_slope_and_lines_of_one_point_say_nothing(self) -> None:
        x, groups = [0, 1, 2, 10, 11, 5, 6, 7], [1, 1, 1, 2, 2, 3, 3, 4]
        y = [0.5 * a + {1: 0, 2: 40, 3: -7, 4: 99}[of] for a, of in zip(x, groups, strict=True)]
        fitted = parallel_lines(x, y, groups)
        assert fitted is not None
        assert fitted.slope.value == pytest.approx(0.5)
        assert dict(fitted.intercepts) == pytest.approx({1: 0, 2: 40, 3: -7})
        assert fitted.points == 7
        assert parallel_lines(x[:5], y[:5], groups[:5]) is None

    def test_the_same_data_give_the_same_interval(self) -> None:
        x, held = [6.0, 7, 8, 9, 10], [10, 90, 70, 160, 150]
        assert logistic_line(x, held, [200] * 5) == logistic_line(x, held, [200] * 5)

    def test_nothing_is_fitted_where_there_is_no_slope(self) -> None:
        assert logistic_line([6, 7], [0, 0], [200, 200]) is None
        assert logistic_line([6, 6], [10, 20], [200, 200]) is None
        assert straight_line([1, 1], [1, 2]) is None
        assert rank_correlation([1, 2, 3], [1, 1, 1]) is None

    def test_neighbours_of_the_same_size_are_no_pair(self) -> None:
        assert rises([1, 2, 2, 3], [0.1, 0.5, 0.4, 0.6]) == (2, 2)
        assert rises([3, 1, 2], [0.1, 0.1, 0.2]) == (1, 2)


class TestCrossing:
    @pytest.mark.parametrize(
        ("rates", "rate", "cost", "kind"),
        [
            ({0: 0.0, 1: 0.04, 2: 0.18, 3: 0.33}, 0.10, 2e10, "reached"),
            ({0: 0.0, 1: 0.04, 2: 0.18, 3: 0.33}, 0.02, 1e10, "reached"),
            ({0: 0.0, 1: 0.04, 2: 0.10, 3: 0.33}, 0.10, 2e10, "reached"),
            ({12: 0.02, 24: 0.2}, 0.10, 24e10, "between"),
            ({12: 0.2, 24: 0.3}, 0.10, 12e10, "at most"),
            ({1: 0.0, 2: 0.05}, 0.10, 2e10, "more than"),
        ],
    )
    def test_of_a_published_curve(self, rates: dict[int, float], rate: float, cost: float, kind: str) -> None:
        found = crossing(curve(rates), rate)
        assert found is not None
        assert (found.cost, found.kind) == (cost, kind)

    def test_of_a_measured_one_counts_clean_correct_examples(self) -> None:
        standing = Measured(made([100, 300, 200, HELD, WRONG, HELD]), "scored")
        assert [crossing(standing, rate).cost for rate in (0.2, 0.21, 0.4, 0.6)] == [100, 200, 200, 300]
        held = crossing(standing, 0.61)
        assert held is not None
        assert (held.cost, held.kind) == (4e12, "more than")
        assert crossing(Measured(made([WRONG, WRONG]), "scored"), 0.1) is None

    def test_success_rates_of_a_measured_curve_are_over_clean_correct_examples(self) -> None:
        assert success_rates(Measured(made([100, 300, 200, HELD, WRONG]), "scored")) == [
            (100, 0.25),
            (200, 0.5),
            (300, 0.75),
        ]

    def test_hand_computed_rows_of_the_registry(self, models: dict[tuple[str, str], list[Model]]) -> None:
        # Pythia 14m on password-match: 0.345 broken after the first iteration, 1.746e11 FLOP. Pythia 31m: 0.04 after
        # the first and 0.18 after the second.
        by_slug = {each.slug: each for each in models[PASSWORDS]}
        first = crossing(by_slug["pythia-14m-finetuned"].standing, 0.10)
        second = crossing(by_slug["pythia-31m-finetuned"].standing, 0.10)
        assert first is not None
        assert second is not None
        assert first.cost == pytest.approx(1.746e11, rel=1e-3)
        assert second.cost == pytest.approx(2 * 3.97e11, rel=1e-3)
        # Trained to the end it held for all of 128 iterations.
        last = crossing(by_slug["pythia-14m-gcg-trained-last"].standing, 0.10)
        assert last is not None
        assert last.kind == "more than"


class TestWhatIsFitted:
    def test_families_sources_and_trainings_are_apart_and_no_model_counts_twice(
        self, models: dict[tuple[str, str], list[Model]]
    ) -> None:
        trend = size_trend(models[PASSWORDS])
        for fit in trend.fits:
            budget = (fit.budget.kind, fit.budget.amount)
            used = [each for each in trend.points if (each.series, each.budget, each.amount) == (fit.label, *budget)]
            used = [point for point in used if point.fitted]
            assert len({point.parameters for point in used}) == len(used) == fit.models
            assert len({(point.source, point.family, point.training) for point in used}) == 1

    def test_only_pythia_12b_is_doubtful_and_it_is_in_no_fit(self, site: Site, files: Files) -> None:
        doubtful = {each.slug for found in models_of(site).values() for each in found if each.doubtful}
        assert doubtful == {"pythia-12b-finetuned"}
        for name in ("size", "offence-defence"):
            points = json.loads(files[f"api/scaling/{name}.json"])["points"]
            assert not any(point["fitted"] for point in points if point["doubtful"])

    def test_pretraining_that_contradicts_itself_is_not_used(self, models: dict[tuple[str, str], list[Model]]) -> None:
        known = {each.series.family for found in models.values() for each in found if each.pretraining is not None}
        assert "Pythia" in known
        assert "Qwen2.5" not in known

    def test_of_two_curves_of_a_model_the_better_known_is_taken(self) -> None:
        short = model(1_000_000, curve({1: 0.1, 2: 0.2}), slug="short")
        long = model(1_000_000, curve({1: 0.1, 12: 0.2, 128: 0.9}), slug="long")
        chosen = one_per_model([short, long], lambda each: robust_at(each, MOST).bound)
        assert [each.slug for each in chosen] == ["long"]

    def test_a_bound_is_drawn_and_not_fitted(self) -> None:
        short, long = curve({1: 0.1, 5: 0.3}), curve({1: 0.1, 10: 0.9})
        trend = size_trend([model(10**n, short if n == 5 else long) for n in range(5, 11)])
        at_ten = [point for point in trend.points if point.budget == "passes" and point.amount == TEN.amount]
        assert [point.bound for point in at_ten] == [True, *[False] * 5]
        assert [point.fitted for point in at_ten] == [False, *[True] * 5]

    def test_four_sizes_make_no_trend(self) -> None:
        assert not size_trend([model(10**n, curve({1: 0.5, 10: 0.9})) for n in range(5, 9)]).fits
        assert success_trend([model(10**n, curve({1: 0.5, 10: 0.9})) for n in range(5, 9)]) is None

    def test_an_attack_without_known_passes_is_compared_by_iterations(
        self, models: dict[tuple[str, str], list[Model]]
    ) -> None:
        assert [budget.kind for budget in size_trend(models["harmless", "beast-suffix"]).budgets] == [
            "tier",
            "iterations",
        ]
        assert size_trend(models[IMDB]).budgets == (TIER, TEN, MOST)


class TestFindings:
    def test_without_a_defence_size_helps_modestly_and_not_reliably(
        self, models: dict[tuple[str, str], list[Model]]
    ) -> None:
        found = size_finding({key: size_trend(each) for key, each in models.items()})
        assert found is not None
        assert 1 < found.odds < 10
        assert found.always == 0
        assert found.better < 0.75 * found.pairs
        assert 0 < found.rising < len(found.fits)

    def test_training_against_the_attack_beats_size_but_not_at_another_position(
        self, models: dict[tuple[str, str], list[Model]]
    ) -> None:
        trends = {key: size_trend(each) for key, each in models.items()}
        size, findings = size_finding(trends), training_findings(models, trends)
        found = {(each.key, each.family, each.training): each for each in findings}
        for key in (PASSWORDS, IMDB):
            at_suffix = found[key, "Pythia", "trained against GCG"]
            assert at_suffix.better == at_suffix.pairs
            assert at_suffix.ratio is not None
            assert at_suffix.ratio > 100
            assert at_suffix.odds is not None
            assert size is not None
            assert at_suffix.odds > 10 * size.odds
        prefix = found[SPAM_PREFIX, "Pythia", "trained against GCG"]
        assert prefix.better < prefix.pairs / 2
        summary = training_summary(findings)
        assert summary is not None
        assert 0 < summary.always < len(summary.each)

    def test_attack_compute_grows_less_than_defence_compute_where_that_can_be_told(
        self, models: dict[tuple[str, str], list[Model]]
    ) -> None:
        defended = {key: found for key, each in models.items() if (found := offence_defence(each)) is not None}
        slopes = slope_finding(defended)
        assert slopes.above == 0
        assert slopes.below > 0
        assert slopes.without > 0


class TestPage:
    def test_the_same_registry_gives_the_same_bytes(self, site: Site) -> None:
        standings = {slug: {IMDB: held[IMDB]} for slug, held in site.standings.items() if IMDB in held}
        small = Site(site.entries, standings, {})
        assert pages(small) == pages(small)

    def test_the_page_is_light(self, files: Files) -> None:
        assert len(gzip.compress(files["scaling.html"])) < 200_000

    def test_a_chart_shows_what_is_downloaded(self, site: Site, files: Files) -> None:
        models = models_of(site)
        size = json.loads(files["api/scaling/size.json"])["points"]
        trend = size_trend(models[IMDB])
        drawn = size_chart(trend.budgets, trend.points, trend.fits)["datasets"]
        rows = [row for name, each in drawn.items() if name.startswith("points") for row in each]
        own = [point for point in size if (point["task"], point["attack"]) == IMDB]
        assert [(row["slug"], row["value"]) for row in rows] == [
            (point["slug"], 100 * point["robust_accuracy"]) for point in own
        ]
        assert size_rows(trend.points) == rows

        defence = json.loads(files["api/scaling/offence-defence.json"])["points"]
        found = offence_defence(models[PASSWORDS])
        assert found is not None
        shown = [point for point in found.points if point.success_rate == SHOWN_RATE]
        drawn = {
            (row["slug"], row["attack"])
            for series in {fit.series for fit in found.fits}
            for row in defence_rows(shown, series)
        }
        assert drawn == {
            (point["slug"], point["attack"])
            for point in defence
            if (point["task"], point["source"]) == (PASSWORDS[0], found.points[0].source)
            and point["success_rate"] == SHOWN_RATE
        }

        success = json.loads(files["api/scaling/attack-success.json"])["points"]
        curves = success_trend(models[IMDB])
        assert curves is not None
        assert [(row["slug"], row["cost"], row["logit"]) for row in success_rows(curves.points)] == [
            (point["slug"], point["cost"], point["logit"])
            for point in success
            if (point["task"], point["attack"]) == IMDB
        ]

    @pytest.mark.parametrize("name", ["size", "offence-defence", "attack-success"])
    def test_csv_and_json_hold_the_same_points(self, files: Files, name: str) -> None:
        points = json.loads(files[f"api/scaling/{name}.json"])["points"]
        rows = list(csv.DictReader(io.StringIO(files[f"api/scaling/{name}.csv"].decode())))
        assert [row["slug"] for row in rows] == [point["slug"] for point in points]
        assert list(rows[0]) == list(points[0])

    def test_the_page_says_its_findings_and_cautions(self, files: Files) -> None:
        page = files["scaling.html"].decode()
        assert "bigger is not reliably more robust" in page
        assert "Pythia 12b" in page
        assert page.count("<h1>") == 1
        assert 'style="' not in page
        assert page.count('data-rate="') - page.count('" hidden>') == page.count('data-rate="0.1"')

    def test_an_empty_registry_has_a_page(self) -> None:
        found = pages(Site({}, {}, {}))
        assert b"not yet enough entries" in found["scaling.html"]
        assert json.loads(found["api/scaling/size.json"])["points"] == []

    def test_a_family_with_a_hostile_name_breaks_nothing(self, site: Site) -> None:
        hostile = "=HYPERLINK(1)</script><b>\u202e"
        entries = {}
        for slug, entry in site.entries.items():
            if entry.manifest.family == "Pythia" and IMDB in site.standings[slug]:
                manifest = entry.manifest.model_copy(update={"family": hostile, "name": hostile})
                entries[slug] = replace(entry, manifest=manifest)
        found = pages(Site(entries, {slug: {IMDB: site.standings[slug][IMDB]} for slug in entries}, {}))
        page = found["scaling.html"].decode()
        assert "<b>" not in page
        assert "\u202e" not in page
        assert "'=HYPERLINK" in found["api/scaling/size.csv"].decode()
