"""What is published of every entry for comparing two of them in the browser.

It is a script per entry that is loaded when it is asked for, as a page that was opened from a file may load no data:

    holdfastRecords("slug", {"tasks": [{
        "name", "version", "digest"     the evaluation set, for entries with results
        "measured": [{                  results, in the order in which `compare_results` takes them
            "attack", "position", "name", "label", "parameters": [[name, text]], "official", "variant",
            "budget", "budgetText", "prefixes": {count: digest}, "costs": [FLOP, null where it held, 0 where wrong]
        }],
        "reported": [{                  published figures; held: [[tier, examples that hold]], as far as exactly known
            "attack", "position", "name", "label", "examples", "clean", "held"
        }],
        "curves": [[attack, [[cost, share, low, high, 1 for a bound]]]]   shares in percent, as they are drawn
    }]})

Ids of examples are not published: `prefixes` has a digest of the first ids, for every number of examples that any
result of the task has, so that two results were asked the same where the digests for the smaller number are equal.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from ..benchmark import OFFICIAL_ATTACKS, TIERS, Result, format_gpu_time
from ..benchmark.attacks import deciding_parameters
from ..submissions.adversary import is_official
from ..submissions.entry import Entry
from ..submissions.published import published_accuracy, published_clean_accuracy
from ..submissions.reported import ReportedCurve
from .curve_points import curve_points
from .render import label
from .site import Files, Site
from .standing import Bounded, Standing
from .text import plain
from .views import ADVERSARY, OVERALL

Lengths = Mapping[str, Sequence[int]]
"""By task, every number of examples that a result has."""
Data = dict[str, Any]


def record_files(site: Site) -> Files:
    """The script of every entry."""
    lengths = lengths_of(result for entry in site.entries.values() for result in entry.results.values())
    asked = json.dumps(lengths, sort_keys=True)

    def script(slug: str, entry: Entry) -> bytes:
        return _script(slug, record(entry, site.standings.get(slug, {}), lengths))

    return {
        f"data/records/{slug}.js": site.once(("record", slug, asked), [entry], partial(script, slug, entry))
        for slug, entry in site.entries.items()
    }


def lengths_of(results: Iterable[Result]) -> Lengths:
    found: dict[str, set[int]] = {}
    for result in results:
        found.setdefault(result.task.name, set()).add(len(result.records))
    return {task: sorted(counts) for task, counts in found.items()}


def record(entry: Entry, standings: Mapping[tuple[str, str], Standing], lengths: Lengths) -> Data:
    """What is published of an entry."""
    tasks = dict.fromkeys(key.task for key in (*entry.results, *entry.curves))
    return {
        "tasks": [
            task_record(
                task,
                [result for key, result in entry.results.items() if key.task == task],
                lengths.get(task, ()),
                [curve for key, curve in entry.curves.items() if key.task == task],
                {attack: standing for (of, attack), standing in standings.items() if of == task != OVERALL},
            )
            for task in tasks
        ]
    }


def task_record(
    task: str,
    results: Sequence[Result],
    lengths: Sequence[int],
    curves: Sequence[ReportedCurve] = (),
    standings: Mapping[str, Standing] | None = None,
) -> Data:
    """One task of an entry."""
    asked = {"version": results[0].task.version, "digest": results[0].task.digest} if results else {}
    drawn = sorted((standings or {}).items(), key=lambda each: (each[0] != ADVERSARY, each[0]))
    return {
        "name": plain(task),
        **asked,
        "measured": [_measured(result, lengths) for result in results],
        "reported": [_reported(curve) for curve in curves],
        "curves": [[plain(attack), _points(each)] for attack, each in drawn if not isinstance(each, Bounded)],
    }


def attack_words(name: str) -> str:
    """An attack as a row of a comparison names it, as people read it: gcg infix -> GCG infix."""
    head, space, rest = name.partition(" ")
    return f"{label(head)}{space}{rest}"


def _measured(result: Result, lengths: Sequence[int]) -> Data:
    ids = tuple(each.id for each in result.records)
    official = is_official(result)
    return {
        **_attack(result.attack.name, result.attack.position),
        "parameters": [
            [plain(key), plain(str(value))]
            for key, value in sorted(deciding_parameters(result.attack.parameters).items())
        ],
        "official": official,
        "variant": result.attack.name in OFFICIAL_ATTACKS and not official,
        "budget": _whole(result.budget),
        "budgetText": format_gpu_time(result.budget),
        "prefixes": {count: _digest(ids, count) for count in lengths if count <= len(ids)},
        "costs": [each.break_cost if each.clean_correct else 0 for each in result.records],
    }


def _reported(curve: ReportedCurve) -> Data:
    at = [(tier, published_accuracy(curve, tier)) for tier in TIERS]
    return {
        **_attack(curve.attack, curve.position),
        "examples": curve.examples,
        "clean": published_clean_accuracy(curve).successes,
        "held": [[_whole(tier), share.successes] for tier, share in at if not share.bound],
    }


def _attack(attack: str, position: str) -> Data:
    name = attack if position == "suffix" else f"{attack} {position}"
    return {
        "attack": plain(attack),
        "position": plain(position),
        "name": plain(name),
        "label": plain(attack_words(name)),
    }


def _points(standing: Standing) -> list[list[float]]:
    return [[_whole(each.cost), *each.share.percents, int(each.share.bound)] for each in curve_points(standing)]


@cache
def _digest(ids: tuple[str, ...], count: int) -> str:
    return hashlib.sha256(json.dumps(ids[:count]).encode()).hexdigest()[:16]


def _whole(number: float) -> float:
    """Without the `.0` that costs two bytes in every number of a file."""
    return int(number) if number.is_integer() else number


def _script(slug: str, data: Data) -> bytes:
    return f'holdfastRecords("{slug}",{json.dumps(data, separators=(",", ":"))});\n'.encode()
