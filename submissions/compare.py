"""Compare a candidate with its base: what each held against, on the same examples, with the same attacks.

Nothing is compared that is not the same question: task, version and evaluation set, attack with its parameters, tier
within both budgets. What the base has and the candidate lacks is a row of its own. The tests are in `paired`, how they
are corrected for being many in `family`, and the reasons in docs/compare.md.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..benchmark import TIERS, Result, format_gpu_time
from ..benchmark.attacks import deciding_parameters
from ..benchmark.curves import Proportion, Survival, holds
from ..tasks import RecordError, UsageError
from .adversary import OFFICIAL_ADVERSARY, is_official, official_adversary, same_examples
from .comparison import CLEAN, Comparison, Row, Verdict, worst
from .family import verdicts
from .gate import Condition, Failure, failures, parse_condition
from .paired import curve_difference, paired_difference

__all__ = [
    "CLEAN",
    "OFFICIAL_ADVERSARY",
    "Comparison",
    "Condition",
    "Failure",
    "Row",
    "Verdict",
    "compare_results",
    "failures",
    "parse_condition",
    "worst",
]


def compare_results(
    base: Sequence[Result],
    candidate: Sequence[Result],
    *,
    tasks: Collection[str] = (),
    attacks: Collection[str] = (),
) -> Comparison:
    """Compare all results of a candidate with those of its base.

    tasks, attacks: compare only these, named as rows name them; all when empty. Raises: RecordError when a side is
    empty, or mixes victims, data or runs within a task; UsageError when the base has no task or attack of a name.
    """
    ours, theirs = _by_task(base, "base"), _by_task(candidate, "candidate")
    _refuse_unknown(tasks, list(ours), "task")
    rows = [
        row
        for task, results in ours.items()
        if not tasks or task in tasks
        for row in _task_rows(results, theirs.get(task, []))
    ]
    _refuse_unknown(attacks, list(dict.fromkeys(row.attack for row in rows)), "attack")
    return Comparison(
        rows=verdicts([row for row in rows if not attacks or row.attack in attacks]),
        added=tuple(_added(ours, theirs)),
    )


@dataclass(frozen=True)
class _Question:
    """What the base was asked on one task, by an attack or by nobody (CLEAN), and the candidate's answer.

    verdict, reason: what holds where there is no answer.
    """

    attack: str
    base: Survival
    candidate: Survival | None
    verdict: Verdict = "missing"
    reason: str = ""


def _by_task(results: Sequence[Result], side: str) -> dict[str, list[Result]]:
    """Results by task. Raises: RecordError where a task's results are not of one victim on one set of data."""
    if not results:
        raise RecordError(f"The {side} holds no results, so there is nothing to compare.")
    groups: dict[str, list[Result]] = {}
    for result in results:
        if not result.records:
            raise RecordError(
                f"The {side}'s result of {result.attack.name!r} on {result.task.name!r} holds no examples."
            )
        groups.setdefault(result.task.name, []).append(result)
    for task, group in groups.items():
        for what, values in (
            ("victims (their digests differ)", {result.victim.digest for result in group}),
            ("versions of the task", {result.task.version for result in group}),
            ("evaluation sets (their digests differ)", {result.task.digest for result in group}),
        ):
            if len(values) > 1:
                raise RecordError(f"The {side} holds results of several {what} on {task!r}; give one release only.")
        keys = [_key(result) for result in group]
        for result, key in zip(group, keys, strict=True):
            if keys.count(key) > 1:
                raise RecordError(
                    f"The {side} holds two results of {result.attack.name!r} on {task!r}; give one of them."
                )
    return groups


def _key(result: Result) -> tuple[str, str, tuple[tuple[str, object], ...]]:
    """What makes two attacks the same attack."""
    return result.attack.name, result.attack.position, tuple(sorted(_parameters(result).items()))


def _parameters(result: Result) -> dict[str, Any]:
    """What its attack is told apart by from others of the same name."""
    return deciding_parameters(result.attack.parameters)


def _refuse_unknown(wanted: Collection[str], known: Sequence[str], what: str) -> None:
    # A filter that matches nothing would pass every gate.
    for name in wanted:
        if name not in known:
            raise UsageError(f"The base has no {what} {name!r} to compare; it has {', '.join(map(repr, known))}.")


def _task_rows(base: Sequence[Result], candidate: Sequence[Result]) -> Iterator[Row]:
    """The rows of one task, as yet without verdicts where there is a p-value."""
    task, obstacle = base[0].task.name, _obstacle(base[0], candidate)
    for question in _questions(base, candidate):
        if obstacle:
            yield Row(task, question.attack, None, *obstacle)
        elif question.candidate is None:
            yield Row(task, question.attack, None, question.verdict, question.reason)
        elif not same_examples(question.base.records, question.candidate.records):
            reason = "the examples are not the same, or not in the same order"
            yield Row(task, question.attack, None, "not comparable", reason)
        else:
            yield from _rows(task, question.attack, question.base, question.candidate)


def _questions(base: Sequence[Result], candidate: Sequence[Result]) -> Iterator[_Question]:
    """Nobody, the official adversary, then every attack of the base."""
    longest = max(candidate, key=lambda result: len(result.records), default=None)
    yield _Question(CLEAN, max(base, key=lambda result: len(result.records)), longest)
    # Variants at another position stand alone.
    official = [result for result in base if is_official(result) and result.attack.position == "suffix"]
    if len({result.attack.name for result in official}) > 1:
        same = [result for result in candidate if is_official(result) and _named(result, official)]
        lacking = [result.attack.name for result in official if not _named(result, same)]
        theirs = None if lacking else official_adversary(same)
        reason = f"the candidate lacks {', '.join(lacking)}"
        yield _Question(OFFICIAL_ADVERSARY, official_adversary(official), theirs, "missing", reason)
    for result in base:
        match = next((each for each in candidate if _key(each) == _key(result)), None)
        other = next((each for each in candidate if _named(each, [result])), None)
        verdict: Verdict = "missing" if other is None else "not comparable"
        reason = "the candidate lacks it" if other is None else f"the parameters differ: {_differing(result, other)}"
        yield _Question(_label(result, base), result, match, verdict, reason)


def _obstacle(base: Result, candidate: Sequence[Result]) -> tuple[Verdict, str] | None:
    """Why nothing of a task can be compared, if so."""
    if not candidate:
        return "missing", "the candidate lacks the task"
    ours, theirs = base.task, candidate[0].task
    if ours.version != theirs.version:
        return "not comparable", f"version {ours.version} of the task in the base, {theirs.version} in the candidate"
    if ours.digest != theirs.digest:
        return (
            "not comparable",
            f"the evaluation sets differ: digest {ours.digest[:12]} in the base, {theirs.digest[:12]} in the candidate",
        )
    return None


def _named(result: Result, among: Sequence[Result]) -> bool:
    """Whether one of them is of the same attack at the same position, whatever its parameters."""
    return any(_key(result)[:2] == _key(each)[:2] for each in among)


def _differing(one: Result, other: Result) -> str:
    """The parameters in which two results of an attack differ."""
    ours, theirs = _parameters(one), _parameters(other)
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    return ", ".join(f"{name} {ours.get(name, 'none')} and {theirs.get(name, 'none')}" for name in names)


def _label(result: Result, among: Sequence[Result]) -> str:
    """An attack's name, with its position unless that is the official one, and what tells it from its variants."""
    attack = result.attack
    name = attack.name if attack.position == "suffix" else f"{attack.name} {attack.position}"
    twins = [_parameters(each) for each in among if _named(each, [result])]
    telling = [
        f"{key} {value}"
        for key, value in sorted(_parameters(result).items())
        if any(p.get(key) != value for p in twins)
    ]
    return f"{name} ({', '.join(telling)})" if telling else name


def _rows(task: str, attack: str, base: Survival, candidate: Survival) -> Iterator[Row]:
    """Clean accuracy, or one attack at every tier within both budgets and over the curve; then what is missing."""
    count = min(len(base.records), len(candidate.records))
    fewer = len(candidate.records) < len(base.records)
    verdict: Verdict = "missing" if fewer else "no evidence"
    reason = f"the candidate has {len(candidate.records)} of the base's {len(base.records)} examples" if fewer else ""
    ours, theirs = base.records[:count], candidate.records[:count]
    budget = min(base.budget, candidate.budget)
    for tier in [0.0] if attack == CLEAN else _tiers(budget):
        held, now = [holds(each, tier) for each in ours], [holds(each, tier) for each in theirs]
        test = paired_difference(held, now)
        yield Row(
            task=task,
            attack=attack,
            tier=tier,
            verdict=verdict,
            reason=reason,
            examples=count,
            base=Proportion(sum(held), count),
            candidate=Proportion(sum(now), count),
            difference=test.value,
            interval=test.interval,
            lost=test.lost,
            gained=test.gained,
            p=test.p,
        )
    if attack != CLEAN:
        curve = curve_difference(ours, theirs, budget)
        yield Row(task, attack, None, verdict, reason, count, p=curve.p, statistic=curve.statistic)
        reason = f"the candidate's budget ends at {format_gpu_time(budget)}"
        for tier in _tiers(base.budget):
            if tier > budget * (1 + 1e-9):
                yield Row(task, attack, tier, "missing", reason)


def _tiers(budget: float) -> list[float]:
    """The tiers within a budget, and the budget itself."""
    return [tier for tier in TIERS if tier < budget * (1 - 1e-9)] + [budget]


def _added(base: dict[str, list[Result]], candidate: dict[str, list[Result]]) -> Iterator[str]:
    """What the candidate has and the base has not."""
    for task, results in candidate.items():
        for result in results:
            if not _named(result, base.get(task, [])):
                yield f"{task} × {_label(result, results)}"
