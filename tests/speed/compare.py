"""Compare the last run of `make bench` with the earlier ones of the same machine.

    python tests/speed/compare.py [EARLIER.json ... LAST.json]      by default all in .benchmarks, by date

Each benchmark is compared with the earlier run in which its median was lowest, so that many small slowdowns add up to
one that is seen. Only runs with the same processor, threads, Python and PyTorch count, and of these only benchmarks
that did the same work. Slower is a benchmark whose rounds are slower by the Mann-Whitney test (one-sided, 1 %) and
whose fastest round takes at least 5 % longer; the fastest round is what other work on the machine disturbs least.

Exit codes: 0 nothing became slower, 1 something did, 2 something could not be compared.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import mannwhitneyu

STORED = Path(".benchmarks")
SLOWER = 1.05
SIGNIFICANT = 0.01
ROUNDS = 5
"""The fewest on both sides with which the test can reach 1 %: five against five are ordered by chance in 1 of 252."""


class NotComparableError(Exception):
    """One sentence: what cannot be compared, and what to do."""


@dataclass(frozen=True)
class Benchmark:
    """rounds: seconds of each. conditions: what was done, as in the number of examples; equal where times compare."""

    rounds: list[float]
    conditions: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """machine: what times depend on besides the code; None where the file does not say all of it."""

    path: Path
    date: str
    machine: str | None
    benchmarks: dict[str, Benchmark]


def main(arguments: Sequence[str]) -> int:
    try:
        if arguments:
            runs = [read_run(Path(name)) for name in arguments]
        else:
            runs = sorted((read_run(path) for path in STORED.rglob("*.json")), key=lambda run: run.date)
        last, earlier = last_and_earlier(runs)
    except NotComparableError as error:
        print(error)
        return 2
    print(f"{last.path}\nwith the fastest of {len(earlier)} earlier on this machine ({last.machine}):")
    slower, not_compared = 0, 0
    for name in last.benchmarks:
        try:
            base = fastest(name, last, earlier)
        except NotComparableError as error:
            not_compared += 1
            print(f"NOT COMPARED  {name}: {error}")
            continue
        old, new = base.benchmarks[name].rounds, last.benchmarks[name].rounds
        worse = is_slower(old, new)
        slower += worse
        times = f"{min(new) / min(old):6.2f} x  {min(old):9.4f} s -> {min(new):9.4f} s"
        print(f"{'SLOWER' if worse else '':6} {times}  {name}" + (f", since {base.path.name}" if worse else ""))
    print(f"{slower} of {len(last.benchmarks)} became slower, {not_compared} could not be compared.")
    return 1 if slower else 2 if not_compared else 0


def read_run(path: Path) -> Run:
    """Raises: NotComparableError for a file that `make bench` did not write."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        benchmarks = {
            each["fullname"]: Benchmark(each["stats"].get("data", []), each["extra_info"].get("conditions", {}))
            for each in stored["benchmarks"]
        }
        if not benchmarks:
            raise ValueError("no benchmark")
        return Run(path, stored["datetime"], machine_of(stored["machine_info"]), benchmarks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotComparableError(f"{path} is not a complete run of `make bench`; remove it.") from error


def machine_of(info: dict[str, Any]) -> str | None:
    """The host's name stands in where the processor has none."""
    processor = info["cpu"].get("brand_raw") or info.get("node")
    rest = [info.get(part) for part in ("threads", "python_version", "torch")]
    if not processor or None in rest:
        return None
    return "{}, threads: {}, Python {}, PyTorch {}".format(processor, *rest)


def last_and_earlier(runs: list[Run]) -> tuple[Run, list[Run]]:
    """The last run, and those before it on the same machine. Raises: NotComparableError."""
    if not runs:
        raise NotComparableError("There are no runs to compare; run `make bench` before and after a change.")
    *earlier, last = runs
    if last.machine is None:
        raise NotComparableError(
            f"{last.path} does not say which processor, threads, Python and PyTorch it ran on; run `make bench` again."
        )
    earlier = [run for run in earlier if run.machine == last.machine]
    if not earlier:
        raise NotComparableError(
            f"There is no run earlier than {last.path} on the same machine ({last.machine}); run `make bench` before "
            "and after a change."
        )
    return last, earlier


def fastest(name: str, last: Run, earlier: list[Run]) -> Run:
    """The earlier run in which a benchmark was fastest. Raises: NotComparableError when the last compares with none."""
    now = last.benchmarks[name]
    having = [run for run in earlier if name in run.benchmarks]
    if not having:
        raise NotComparableError("no earlier run has it; run `make bench` on the code before the change too")
    same = [run for run in having if run.benchmarks[name].conditions == now.conditions]
    if not same:
        before = having[-1].benchmarks[name].conditions
        changes = ", ".join(
            f"{part} {before.get(part)} -> {now.conditions.get(part)}"
            for part in {**before, **now.conditions}
            if before.get(part) != now.conditions.get(part)
        )
        raise NotComparableError(
            f"it did other work ({changes}); run `make bench` before and after the change with the same HOLDFAST_BENCH"
        )
    most = max(len(run.benchmarks[name].rounds) for run in same)
    if min(most, len(now.rounds)) < ROUNDS:
        raise NotComparableError(
            f"{most} and {len(now.rounds)} rounds are too few to tell a slowdown from chance; take {ROUNDS} or more"
        )
    enough = [run for run in same if len(run.benchmarks[name].rounds) >= ROUNDS]
    return min(enough, key=lambda run: median(run.benchmarks[name].rounds))


def is_slower(old: list[float], new: list[float]) -> bool:
    """old, new: seconds of each round."""
    chance = mannwhitneyu(new, old, alternative="greater").pvalue
    return bool(chance < SIGNIFICANT and min(new) / min(old) >= SLOWER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
