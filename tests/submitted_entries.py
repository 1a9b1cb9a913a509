"""Entries made as `holdfast submit new` makes them, of victim files, and verified."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from holdfast.benchmark import Settings, get_attack
from holdfast.submissions.manifest import Author, Defence
from holdfast.submissions.new import Draft, Scoring, create_entry
from holdfast.submissions.verify import EntryReport, Evaluations, Request, verify_entry
from holdfast.tasks import get_task

TASK = "password-match"
SETTINGS = Settings("custom", 8, 1.2e10)
"""A few iterations of GCG against two small checkpoints."""
REQUEST = Request(by="The tests", device="cpu", again=True)
EVALUATIONS = Evaluations(None)


def draft(victim: Path) -> Draft:
    return Draft(
        slug="composed",
        name="A victim of several checkpoints",
        authors=[Author(name="Ada Tester")],
        licence="Apache-2.0",
        family="GPT-NeoX",
        defence=Defence(kind="other"),
        checkpoints={TASK: str(victim)},
    )


def submit(
    folder: Path,
    victim: str,
    *,
    attacks: tuple[str, ...] = ("random_token", "gcg"),
    settings: Settings = SETTINGS,
    dtype: str = "float32",
) -> Path:
    """Make an entry of a victim file in a registry of its own, below a folder."""
    registry = folder / "submissions"
    (registry / "entries").mkdir(parents=True)
    (registry / "checkpoints").mkdir()
    (folder / "victim.yaml").write_text(victim)
    scoring = Scoring(
        settings=settings,
        attacks=[(get_attack(attack), "suffix") for attack in attacks],
        work=folder / "scores",
        device="cpu",
        dtype=dtype,
    )
    quiet = nullcontext(lambda progress: None)
    return create_entry(draft(folder / "victim.yaml"), [get_task(TASK)], scoring, registry, lambda title: quiet)


def verify(entry: Path, **changes: object) -> EntryReport:
    return verify_entry(entry, replace(REQUEST, **changes), EVALUATIONS)


def said(report: EntryReport) -> list[str]:
    return [message for _, message in report.problems] + [each for result in report.results for each in result.problems]
