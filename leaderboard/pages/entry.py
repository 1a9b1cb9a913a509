"""The page of one entry: its figures, curves and flags, what broke it, what it took, and where that comes from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ...benchmark import Result
from ...benchmark.results import RunPart
from ...submissions.entry import Entry, Key
from ...submissions.evidence import LEVELS, Evidence, Level
from ...submissions.flags import flags_of
from ...submissions.manifest import TaskEntry
from ...submissions.reported import ReportedCurve
from ..citation import bibtex_of, bibtex_of_source
from ..entry_chart import drawable, entry_chart, places
from ..figures import flop
from ..headline import Line, Standings, lines_of, main_view, tasks_of, tier_of
from ..health import Flag, flag
from ..quantities import duration, size
from ..site import Files, Site
from ..transfer import transfers_of
from ..views import ADVERSARY, OVERALL, view_order
from .badges import badge_file, badge_of
from .strings import Section, sections_of, strings_page

_SAMPLES = 3
"""Strings per task that the page itself shows."""
EVIDENCE: Mapping[Level, str] = {
    "reported": "figures from a publication, without results per example; they are not comparable one to one, as data, "
    "prompts and attack may differ",
    "scored": "scored by the submitter; nobody else has checked it yet",
    "replayed": "every recorded string was run through the victim again, and did what the result says",
    "reproduced": "replayed, and an independent run of the attack on a sample of the examples agrees",
}


@dataclass(frozen=True)
class Group:
    """The lines of one task."""

    task: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Curves:
    """The chart of one task. legend: the attacks in it and the number of their colours; wide: drawn as a broad line."""

    task: str
    svg: Markup
    legend: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Raised:
    """A flag, and the results that it was raised for."""

    flag: Flag
    where: Sequence[str]


@dataclass(frozen=True)
class Compute:
    """What training for one task took, as it is written."""

    task: str
    declared: TaskEntry

    @property
    def stages(self) -> list[str]:
        compute = self.declared.compute
        return [_stage(stage) for stage in (compute.pretraining, compute.fine_tuning, compute.defence)]

    @property
    def share(self) -> str:
        """The defence as a share of pretraining."""
        compute = self.declared.compute
        if compute.defence == 0:
            return "none"
        if compute.pretraining == 0:
            return "no pretraining"
        if compute.defence is None or compute.pretraining is None:
            return "not known"
        return f"{100 * compute.defence / compute.pretraining:.3g} %"


@dataclass(frozen=True)
class Origin:
    """Where one result or curve comes from."""

    key: Key
    level: Level
    result: Result | None = None
    curve: ReportedCurve | None = None
    evidence: Evidence | None = None

    @property
    def attack(self) -> str:
        return f"{self.key.attack}-{self.key.position}"


def entry_files(site: Site, slug: str) -> Files:
    """The page of one entry."""
    entry, standings = site.entries[slug], site.standings[slug]
    lines = lines_of(site, slug)
    sections = sections_of(site, entry, _SAMPLES)
    main = main_view(standings)
    url = None if site.url is None else f"{site.url}entries/{slug}.html"
    badge = badge_of(site, slug, *(main or (None, ADVERSARY)))
    return site.page(
        f"entries/{slug}.html",
        "entry.html",
        section="Leaderboard",
        entry=entry,
        manifest=entry.manifest,
        evidence=[(level, EVIDENCE[level]) for level in LEVELS if level in {line.standing.level for line in lines}],
        groups=groups_of(lines),
        main=next((line for line in lines if (line.task, line.attack) == main), None),
        tier=None if main is None else tier_of(site, *main),
        curves=list(curves_of(standings)),
        transfers=[
            transfer
            for task in tasks_of(standings)
            for transfer in transfers_of(entry, task, standings, tier_of(site, task, ADVERSARY))
        ],
        samples=samples_of(sections),
        strings_page=strings_page(slug) if sections else None,
        raised=raised_by(entry),
        compute=[Compute(task, entry.manifest.tasks[task]) for task in _in_order(entry.manifest.tasks)],
        origins=origins_of(entry),
        bibtex=bibtex_of(entry, url),
        bibtex_source=bibtex_of_source(entry),
        badge=badge,
        badge_path=badge_file(slug),
        badge_url=f"{site.url or 'https://your-copy-of-this-site/'}{badge_file(slug)}",
        badge_target=url or f"https://your-copy-of-this-site/entries/{slug}.html",
        badge_tasks=[(task, badge_file(slug, task)) for task in tasks_of(standings) if (task, ADVERSARY) in standings],
        wall_shares=wall_shares,
        duration=duration,
        size=size,
        OVERALL=OVERALL,
    )


def groups_of(lines: Sequence[Line]) -> list[Group]:
    tasks = dict.fromkeys(line.task for line in lines)
    return [Group(task, [line for line in lines if line.task == task]) for task in tasks]


def curves_of(standings: Standings) -> Iterator[Curves]:
    """A chart per task, an attack in the same colour in all of them."""
    keys = [key for key in sorted(standings, key=view_order) if drawable(standings[key])]
    attacks = dict.fromkeys(attack for _, attack in sorted(keys, key=lambda key: (key[1] != ADVERSARY, key[1])))
    colours = places(list(attacks))
    for task in dict.fromkeys(task for task, _ in keys):
        held = {attack: standings[task, attack] for _, attack in keys if (task, attack) in standings}
        held = {attack: standing for attack, standing in held.items() if drawable(standing)}
        if (drawn := entry_chart(held, colours)) is not None:
            yield Curves(task, drawn, [(attack, colours[attack] + 1) for attack in held])


def samples_of(sections: Sequence[Section]) -> list[tuple[str, list]]:
    """A few strings per task: the cheapest breaks that any attack found, each on another example."""
    found: list[tuple[str, list]] = []
    for task in dict.fromkeys(section.key.task for section in sections):
        every = [(each, section) for section in sections if section.key.task == task for each in section.shown]
        broken = sorted(
            (pair for pair in every if pair[0].found.cost is not None), key=lambda pair: pair[0].found.cost or 0
        )
        first = {pair[0].found.example: pair for pair in reversed(broken)}
        chosen = sorted(first.values(), key=lambda pair: pair[0].found.cost or 0)[:_SAMPLES]
        if chosen:
            found.append((task, chosen))
    return found


def raised_by(entry: Entry) -> list[Raised]:
    """The flags of all results, by name."""
    where: dict[str, list[str]] = {}
    for key in _keys(entry.results):
        for name in flags_of([entry.results[key]], list(entry.results.values())):
            where.setdefault(name, []).append(str(key))
    return [Raised(flag(name), where[name]) for name in sorted(where)]


def origins_of(entry: Entry) -> list[Origin]:
    return [
        Origin(key, entry.level_of(key), entry.results.get(key), entry.curves.get(key), entry.evidence.get(key))
        for key in _keys([*entry.results, *entry.curves])
    ]


def wall_shares(run: RunPart) -> str:
    """Where the wall time went, as `holdfast show` says it."""
    seconds = run.seconds
    if not seconds.total:
        return ""
    return " / ".join(f"{part / seconds.total:.0%}" for part in (seconds.model, seconds.tokenization, seconds.rest))


def _stage(compute: float | None) -> str:
    if compute is None:
        return "not known"
    return flop(compute) if compute else "none"


def _keys(keys: "Mapping[Key, object] | Sequence[Key]") -> list[Key]:
    return sorted(keys, key=lambda key: view_order((key.task, f"{key.attack}-{key.position}")))


def _in_order(tasks: Mapping[str, object]) -> list[str]:
    return sorted(tasks, key=lambda task: view_order((task, "")))
