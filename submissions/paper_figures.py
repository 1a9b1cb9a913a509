"""Import the figures published with "Effects of Scale on Language Model Robustness" as `reported` entries.

    python -m holdfast.submissions.paper_figures FIGURES_FOLDER --registry submissions

One entry per model and stage: fine-tuned, and after some rounds of adversarial training. Only derived figures are
written (curves of medians and ranges, with the citation), never the tables. docs/reported.md explains all of it.
"""

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

from ..benchmark.records import write_atomically
from ..tasks import DataError, HoldfastError, RecordError
from .entry import Key, file_of
from .manifest import (
    MANIFEST_FILE,
    Author,
    Citation,
    Defence,
    Manifest,
    Reported,
    TaskEntry,
    TrainingCompute,
    WebLink,
    manifest_yaml,
    read_manifest,
)
from .paper_curves import POSITIONS, Counts, from_to, reported_curve, six_digits
from .paper_stages import GRID, Stage, runs_before_training, runs_of_stage
from .paper_tables import Round, Run, Tables, Training, read_tables
from .reported import ReportedCurve, curve_json

CITATION = Citation(
    title="Effects of Scale on Language Model Robustness",
    authors=[
        "Nikolaus Howe",
        "Ian McKenzie",
        "Oskar Hollinsworth",
        "Michał Zajac",
        "Tom Tseng",
        "Aaron Tucker",
        "Pierre-Luc Bacon",
        "Adam Gleave",
    ],
    year=2024,
    url="https://arxiv.org/abs/2407.18213",
)
"""Of the paper that the figures are from."""

FAMILIES = {"pythia": "Pythia", "qwen2.5": "Qwen2.5"}
ATTACKS = {"gcg": "GCG", "beast": "BEAST", "random_token": "random token"}


@dataclass(frozen=True)
class Import:
    """One entry to write."""

    manifest: Manifest
    curves: Mapping[Key, ReportedCurve]


def imports(tables: Tables) -> list[Import]:
    """All entries, by slug. Raises: DataError."""
    counts = Counts([*tables.fine_tuned, *tables.adversarial])
    found: list[Import] = []
    for runs in _by_model(tables.fine_tuned):
        found.append(_entry(runs, "fine-tuned", counts, tables.training))
    for runs in _by_model(tables.adversarial):
        # Round 0 of a random-token training is the same models again, of fewer seeds.
        if runs[0].training == "gcg" and (before := runs_before_training(runs)):
            found.append(_entry(before, "round-0", counts, tables.training))
        for stage in (*GRID, "last"):
            if chosen := runs_of_stage(runs, stage):
                found.append(_entry(chosen, stage, counts, tables.training))
    return sorted(found, key=lambda each: each.manifest.slug)


def _by_model(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs by model and what it was trained against."""
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.family not in FAMILIES or run.attack not in ATTACKS or run.position not in POSITIONS:
            raise DataError(
                f"The tables have a family, attack or position that is not known here: {run.family}, {run.attack}, "
                f"{run.position}."
            )
        if run.training is not None and run.training not in ATTACKS:
            raise DataError(f"The tables have an adversarial training that is not known here: {run.training}.")
        groups[run.model, run.training or ""].append(run)
    return list(groups.values())


def _entry(runs: Sequence[Run], stage: Stage, counts: Counts, training: Mapping[Round, Training]) -> Import:
    by_key: dict[Key, list[Run]] = defaultdict(list)
    for run in runs:
        by_key[Key(run.task, run.attack, POSITIONS[run.position])].append(run)
    curves = {key: reported_curve(by_key[key], counts) for key in sorted(by_key)}
    pretrained, about_pretraining = pretraining(runs[0], training)
    tasks = {
        task: TaskEntry(
            parameters=runs[0].parameters,
            compute=TrainingCompute(
                pretraining=pretrained,
                defence=_defence_compute([run for run in runs if run.task == task], training),
            ),
        )
        for task in sorted({run.task for run in runs})
    }
    name, defence = _name_and_defence(runs, stage)
    manifest = Manifest(
        schema_version=1,
        slug=_slug(runs[0], stage),
        name=name,
        authors=[Author(name=author) for author in CITATION.authors],
        links=[WebLink(title="The paper", url=CITATION.url)],
        licence="LicenseRef-not-stated",
        submitted=date(2026, 11, 21),
        family=FAMILIES[runs[0].family],
        defence=defence,
        tasks=tasks,
        reported=Reported(citation=CITATION, note=_note(runs, counts, about_pretraining)),
    )
    return Import(manifest, curves)


def _slug(run: Run, stage: Stage) -> str:
    model = run.model.lower().replace(".", "-")
    if stage == "fine-tuned":
        return f"{model}-finetuned"
    if stage == "round-0":
        return f"{model}-finetuned-128-iterations"
    attack = str(run.training).replace("_", "-")
    return f"{model}-{attack}-trained-{stage if stage == 'last' else f'round-{stage}'}"


def _name_and_defence(runs: Sequence[Run], stage: Stage) -> tuple[str, Defence]:
    family, _, size = runs[0].model.partition("-")
    model = f"{FAMILIES[family.lower()]} {size}"
    if stage == "fine-tuned":
        return f"{model}, fine-tuned", Defence(kind="none")
    if stage == "round-0":
        return f"{model}, fine-tuned, up to 128 iterations", Defence(
            kind="none", description="Fine-tuned. The same models as before the first round of adversarial training."
        )
    attack = ATTACKS[str(runs[0].training)]
    rounds = from_to({run.round for run in runs})
    by_task = [
        f"{task} {from_to({run.round for run in runs if run.task == task})}"
        for task in sorted({run.task for run in runs})
    ]
    what = "the last published round of each seed" if stage == "last" else f"the published round nearest to {stage}"
    return (
        f"{model}, trained against {attack}, {'last ' if stage == 'last' else ''}round {rounds}",
        Defence(
            kind="adversarial-training",
            description=f"Adversarial training against {attack}, after {what}: {', '.join(by_task)}.",
        ),
    )


def _defence_compute(runs: Sequence[Run], training: Mapping[Round, Training]) -> float | None:
    """FLOP of the defence on one task: the median over seeds of what was spent up to their rounds."""
    spent = []
    for run in {run.seed: run for run in runs}.values():
        if run.training is None:
            return 0.0
        key = Round(run.task, run.family, run.training, run.parameters, run.round)
        if key not in training:
            return None
        spent.append(training[key].defence)
    return six_digits(median(spent))


def pretraining(run: Run, training: Mapping[Round, Training]) -> tuple[float | None, str | None]:
    """FLOP of pretraining of a model, and what there is to say about it.

    Sizes that are not in the training table get the value that the others of the family imply, where those agree on
    the number of tokens to one per cent; FLOP = 6 * parameters * tokens.
    """
    sizes = {key.parameters: row.pretraining for key, row in training.items() if key.family == run.family}
    tokens = sorted(flop / (6 * size) for size, flop in sizes.items())
    agree = bool(tokens) and tokens[-1] <= 1.01 * tokens[0]
    if run.parameters in sizes:
        doubt = (
            f"The pretraining FLOP are as published. At 6 FLOP per parameter and token they are "
            f"{sizes[run.parameters] / (6 * run.parameters):.3g} tokens here and {tokens[0]:.3g} to {tokens[-1]:.3g} "
            "over the sizes of this family, so compare sizes by them with care."
        )
        return sizes[run.parameters], None if agree else doubt
    if not agree:
        return None, None
    return six_digits(6 * run.parameters * median(tokens)), (
        "The pretraining FLOP of this size were not published; those of the other sizes of the family are "
        "proportional to parameters, and so is this value."
    )


def _note(runs: Sequence[Run], counts: Counts, about_pretraining: str | None) -> str:
    corrected = sorted({run.task for run in runs if counts.cost(run)[1] is not None})
    parts = [
        "Derived from tables that the authors published beside their code: costs per attacked example, and the running "
        "maximum of the success rate, as median and range over seeds.",
        "On the paper's own examples and prompts, which are not those of the tasks here; there are no figures per "
        "example.",
        "GCG has 10 tokens and 128 candidates per iteration.",
    ]
    if any(run.attack == "beast" for run in runs):
        parts.append("BEAST has up to 25 tokens.")
    if corrected:
        parts.append(
            f"The published FLOP per iteration are too low for some seeds on {', '.join(corrected)}, and were replaced "
            "by what the other sizes imply; see the notes of these curves."
        )
    if about_pretraining:
        parts.append(about_pretraining)
    return " ".join(parts)


def write_imports(found: Sequence[Import], registry: Path) -> None:
    """Write entries into a registry; what an earlier import wrote for them is replaced, all other entries stay.

    Raises: RecordError when a folder holds an entry that is not from this paper.
    """
    entries = registry / "entries"
    for each in found:
        if (folder := entries / each.manifest.slug).exists():
            earlier = read_manifest(folder / MANIFEST_FILE).reported
            if earlier is None or earlier.citation.url != CITATION.url:
                raise RecordError(f"{folder} holds an entry that is not from this paper; rename one of the two.")
    for each in found:
        folder = entries / each.manifest.slug
        shutil.rmtree(folder / "curves", ignore_errors=True)
        for key, curve in each.curves.items():
            write_atomically(file_of(folder, "curves", key), curve_json(curve))
        write_atomically(folder / MANIFEST_FILE, manifest_yaml(each.manifest))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit code is that of the error, 0 without one."""
    parser = argparse.ArgumentParser(
        prog="python -m holdfast.submissions.paper_figures",
        description="Import the published figures as `reported` entries.",
    )
    parser.add_argument("figures", type=Path, help="folder with the three published CSV files")
    parser.add_argument("--registry", type=Path, required=True, help="folder that holds entries/")
    given = parser.parse_args(arguments)
    try:
        found = imports(read_tables(given.figures))
        write_imports(found, given.registry)
    except HoldfastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{len(found)} entries with {sum(len(each.curves) for each in found)} curves in {given.registry / 'entries'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
