"""Compare two runs of `make bench` on the same machine: exit code 1 where something became slower beyond chance.

    python tests/speed/compare.py [BEFORE.json AFTER.json]      by default the last two in build/benchmarks

Slower is a benchmark whose rounds are slower by the Mann-Whitney test (one-sided, 1 %) and whose fastest round takes at
least 5 % longer; the fastest round is what other work on the machine disturbs least.
"""

import json
import sys
from pathlib import Path
from typing import Any

from scipy.stats import mannwhitneyu

STORED = Path("build/benchmarks")
SLOWER = 1.05
SIGNIFICANT = 0.01


def main() -> int:
    files = [Path(name) for name in sys.argv[1:]] or sorted(STORED.rglob("*.json"))[-2:]
    if len(files) != 2:
        print(f"There are no two runs to compare in {STORED}; run `make bench` before and after a change.")
        return 2
    before, after = (json.loads(path.read_text()) for path in files)
    if before["machine_info"]["cpu"].get("brand_raw") != after["machine_info"]["cpu"].get("brand_raw"):
        print(
            f"{files[0]} and {files[1]} are of different machines; run `make bench` on one, before and after a change."
        )
        return 2
    old, new = rounds(before), rounds(after)
    names = [name for name in new if name in old]
    if not names:
        print("The two runs have no benchmark in common; run both with the same HOLDFAST_BENCH.")
        return 2
    worse = 0
    for name in names:
        chance = mannwhitneyu(new[name], old[name], alternative="greater").pvalue
        ratio = min(new[name]) / min(old[name])
        slower = bool(chance < SIGNIFICANT and ratio > SLOWER)
        worse += slower
        times = f"{min(old[name]):9.4f} s -> {min(new[name]):9.4f} s"
        print(f"{'SLOWER' if slower else '':6} {ratio:6.2f} x  {times}  {name}")
    print(f"{worse} of {len(names)} became slower.")
    return 1 if worse else 0


def rounds(run: dict[str, Any]) -> dict[str, list[float]]:
    """Seconds of every round, by benchmark."""
    return {each["fullname"]: each["stats"]["data"] for each in run["benchmarks"]}


if __name__ == "__main__":
    sys.exit(main())
