"""What the scaling figures say, in numbers: size without a defence, training against size, offence against defence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Literal

from .fits import Estimate
from .offence_defence import SHOWN_RATE, DefenceFit, OffenceDefence
from .scaling import TRAININGS, Model
from .size_trend import Budget, SizeFit, SizePoint, SizeTrend
from .success_trend import SuccessFit, SuccessTrend

Key = tuple[str, str]
Verdict = Literal["above", "below", "unclear"]


def verdict(estimate: Estimate, against: float = 0.0) -> Verdict:
    """Whether a 95 % interval lies above or below a value."""
    if estimate.low > against:
        return "above"
    return "below" if estimate.high < against else "unclear"


@dataclass(frozen=True)
class SizeFinding:
    """Size without a defence, at equal passes or iterations. fits: by task and attack, those with a slope.

    better, pairs: neighbouring sizes, and of how many the larger holds more. always: trends in which all of them do.
    odds: by what a tenfold size multiplies the odds of holding, median over the trends.
    """

    fits: tuple[tuple[Key, SizeFit, Verdict], ...]
    rising: int
    falling: int
    better: int
    pairs: int
    always: int
    odds: float


@dataclass(frozen=True)
class TrainingFinding:
    """One training against size, on one task under one attack, at equal passes.

    better, pairs: pairs of a smaller trained and a larger undefended model, and in how many the smaller holds more.
    odds: by what the training multiplies a model's own odds of holding, median over sizes. share: of its compute in
    pretraining, median. ratio: how many times the compute of the training the larger model's extra pretraining is,
    median over pairs. small, large: the smallest trained and the largest undefended model.
    """

    key: Key
    family: str
    training: str
    budget: Budget
    better: int
    pairs: int
    odds: float | None
    share: float | None
    ratio: float | None
    small: SizePoint
    large: SizePoint
    defence: float | None
    extra: float | None


@dataclass(frozen=True)
class TrainingSummary:
    """All comparisons of training with size.

    always: those in which the smaller, trained model holds more in every pair; ratios, odds: least and greatest of
    these.
    """

    each: tuple[TrainingFinding, ...]
    always: int
    ratios: tuple[float, float] | None
    odds: tuple[float, float] | None


@dataclass(frozen=True)
class SlopeFinding:
    """Offence against defence at one success rate: the series with an overall slope, and how many are not 1."""

    success_rate: float
    fits: tuple[tuple[Key, DefenceFit, Estimate, Verdict], ...]
    below: int
    above: int
    without: int


@dataclass(frozen=True)
class SuccessFinding:
    """Attack success without a defence: by task and attack, and whether the slope goes with size."""

    fits: tuple[tuple[Key, SuccessFit, Verdict], ...]
    lowest: float
    highest: float
    falling: int
    rising: int


def size_finding(trends: Mapping[Key, SizeTrend]) -> SizeFinding | None:
    """At the first equal budget of each, which is where most sizes are known; None without any fit."""
    chosen = []
    for key, trend in trends.items():
        equal = [budget for budget in trend.budgets if budget.kind != "tier"][:1]
        for fit in trend.fits:
            if fit.line is not None and fit.series.training == "none" and fit.budget in (equal or trend.budgets[1:]):
                chosen.append((key, fit, verdict(fit.line.slope)))
    if not chosen:
        return None
    counts = [fit.larger_better for _, fit, _ in chosen]
    return SizeFinding(
        fits=tuple(chosen),
        rising=sum(found == "above" for *_, found in chosen),
        falling=sum(found == "below" for *_, found in chosen),
        better=sum(better for better, _ in counts),
        pairs=sum(pairs for _, pairs in counts),
        always=sum(better == pairs for better, pairs in counts),
        odds=exp(median(fit.line.slope.value for _, fit, _ in chosen if fit.line is not None)),
    )


def training_findings(
    models: Mapping[Key, Sequence[Model]], trends: Mapping[Key, SizeTrend]
) -> tuple[TrainingFinding, ...]:
    """Every training that can be compared with size, as far as it was trained."""
    found = []
    for key, trend in trends.items():
        by_slug = {model.slug: model for model in models[key]}
        groups: dict[tuple[str, str, str], list[SizePoint]] = {}
        for point in trend.points:
            if point.training != "none" and point.stage in ("last", "") and not point.doubtful:
                groups.setdefault((point.source, point.family, point.training), []).append(point)
        for (source, family, _), trained in groups.items():
            plain = [
                point
                for point in trend.points
                if (point.source, point.family, point.training) == (source, family, "none") and not point.doubtful
            ]
            for budget in reversed([budget for budget in trend.budgets if budget.kind != "tier"]):
                one = _training_finding(key, budget, _known(trained, budget), _known(plain, budget), by_slug)
                if one is not None:
                    found.append(one)
                    break
    return tuple(found)


def training_summary(findings: Sequence[TrainingFinding]) -> TrainingSummary | None:
    """None where there is nothing to compare."""
    won = [each for each in findings if each.better == each.pairs]
    return (
        TrainingSummary(
            each=tuple(findings),
            always=len(won),
            ratios=_ends(each.ratio for each in won),
            odds=_ends(each.odds for each in won),
        )
        if findings
        else None
    )


def _ends(values: Iterable[float | None]) -> tuple[float, float] | None:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None


def slope_finding(all_points: Mapping[Key, OffenceDefence], rate: float = SHOWN_RATE) -> SlopeFinding:
    fits = [(key, fit) for key, each in all_points.items() for fit in each.fits if fit.success_rate == rate]
    chosen: list[tuple[Key, DefenceFit, Estimate, Verdict]] = [
        (key, fit, fit.overall.slope, verdict(fit.overall.slope, 1.0)) for key, fit in fits if fit.overall is not None
    ]
    return SlopeFinding(
        success_rate=rate,
        fits=tuple(chosen),
        below=sum(found == "below" for *_, found in chosen),
        above=sum(found == "above" for *_, found in chosen),
        without=len(fits) - len(chosen),
    )


def success_finding(trends: Mapping[Key, SuccessTrend]) -> SuccessFinding | None:
    chosen: list[tuple[Key, SuccessFit, Verdict]] = [
        (key, fit, verdict(fit.slopes.slope))
        for key, trend in trends.items()
        for fit in trend.fits
        if fit.slopes is not None
    ]
    if not chosen:
        return None
    slopes = [model.slope for _, fit, _ in chosen for model in fit.models if not model.doubtful]
    return SuccessFinding(
        fits=tuple(chosen),
        lowest=min(slopes),
        highest=max(slopes),
        falling=sum(found == "below" for *_, found in chosen),
        rising=sum(found == "above" for *_, found in chosen),
    )


def _known(points: Iterable[SizePoint], budget: Budget) -> list[SizePoint]:
    return [each for each in points if (each.budget, each.amount) == (budget.kind, budget.amount) and not each.bound]


def _training_finding(
    key: Key, budget: Budget, trained: Sequence[SizePoint], plain: Sequence[SizePoint], models: Mapping[str, Model]
) -> TrainingFinding | None:
    pairs = [(one, other) for one in trained for other in plain if one.parameters < other.parameters]
    if not pairs:
        return None
    own = [
        _log_odds(one) - _log_odds(other) for one in trained for other in plain if one.parameters == other.parameters
    ]
    ratios = [
        extra / defence for one, other in pairs if (found := _compute(models, one, other)) for defence, extra in [found]
    ]
    shares = [
        model.defence / model.pretraining
        for one in trained
        if (model := models[one.slug]).defence and model.pretraining
    ]
    small, large = trained[0], plain[-1]
    example = _compute(models, small, large)
    return TrainingFinding(
        key=key,
        family=small.family,
        training=TRAININGS[models[small.slug].series.training],
        budget=budget,
        better=sum(one.robust_accuracy > other.robust_accuracy for one, other in pairs),
        pairs=len(pairs),
        odds=exp(median(own)) if own else None,
        share=median(shares) if shares else None,
        ratio=median(ratios) if ratios else None,
        small=small,
        large=large,
        defence=example[0] if example else None,
        extra=example[1] if example else None,
    )


def _compute(models: Mapping[str, Model], small: SizePoint, large: SizePoint) -> tuple[float, float] | None:
    """FLOP of the smaller model's training, and of the pretraining that the larger had more; None where not known."""
    defence, less, more = models[small.slug].defence, models[small.slug].pretraining, models[large.slug].pretraining
    if not defence or less is None or more is None:
        return None
    return defence, more - less


def _log_odds(point: SizePoint) -> float:
    """With half an example added to either side, so that none and all have odds."""
    held = round(point.robust_accuracy * point.examples)
    return log((held + 0.5) / (point.examples - held + 0.5))
