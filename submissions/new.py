"""Making an entry: score what is missing, gather results and traces, write the manifest, all or nothing.

Scores go to a work folder first, where an interrupted run goes on. The entry itself is put together in a hidden folder,
checked there like any other, and appears under its name in one rename.
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ..benchmark import Attack, Progress, Result, Settings, Victim, load_victim, score
from ..benchmark.attacks import attack_parameters, full_name
from ..benchmark.digest import checkpoint_digest
from ..benchmark.model_proposal import all_guided_by
from ..benchmark.position import Position
from ..benchmark.records import write_atomically
from ..benchmark.results import result_json
from ..benchmark.scoring import for_task
from ..benchmark.settings import Files
from ..tasks import CheckpointError, RecordError, Task, UsageError
from .check import check_entry
from .declared import Checkpoint, HubCheckpoint, RegistryCheckpoint, declared_as, full_reference
from .entry import Key, file_of, key_of
from .limits import REGISTRY_CHECKPOINT_BYTES
from .manifest import (
    MANIFEST_FILE,
    Author,
    Defence,
    Manifest,
    TaskEntry,
    TrainingCompute,
    WebLink,
    manifest_yaml,
    parse_manifest,
)
from .recipes import read_training_record
from .victim_file import assembled, is_victim_file, load_parts, read_victim_file

Display = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]
"""Shows the progress of one score under a title."""


@dataclass(frozen=True)
class Draft:
    """What a submitter says. checkpoints: by task, a folder, a Hub id as owner/name@commit, or a victim file. compute:
    by task, where it is not to be taken from the checkpoints' training records.
    """

    slug: str
    name: str
    authors: Sequence[Author]
    licence: str
    family: str
    defence: Defence
    checkpoints: Mapping[str, str]
    description: str | None = None
    links: Sequence[WebLink] = ()
    compute: Mapping[str, TrainingCompute] = field(default_factory=dict)


@dataclass(frozen=True)
class Scoring:
    """How checkpoints are scored, and where unfinished scores are kept. attacks: each with a position. proposal: the
    language model that guides those that one guides, a folder or a Hub id.
    """

    settings: Settings
    attacks: Sequence[tuple[Attack, Position]]
    work: Path
    proposal: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int | None = None
    mirror: Path | None = None


def create_entry(draft: Draft, tasks: Sequence[Task], scoring: Scoring, registry: Path, display: Display) -> Path:
    """Score what is missing and write the entry. Returns its folder.

    Raises: UsageError when the slug is taken, RecordError with all problems when the entry would not pass its check,
    and what scoring raises.
    """
    target = registry / "entries" / draft.slug
    # Everything that can be said is said before the compute is spent.
    _check_early(draft, target)
    entries: dict[str, TaskEntry] = {}
    results: dict[Key, tuple[Path, Result]] = {}
    proposal, attacks = _guided(scoring, registry)
    for task in tasks:
        model = draft.checkpoints[task.name]
        composition, parts = load_parts(model, device=scoring.device, dtype=scoring.dtype)
        victim = for_task(assembled(composition, parts, model), task, scoring.mirror)
        checkpoints = [_checkpoint_of(part, registry) for part in parts]
        entries[task.name] = TaskEntry(
            checkpoint=checkpoints[0] if composition == "checkpoint" else None,
            victim=None if composition == "checkpoint" else declared_as(composition, checkpoints),
            parameters=victim.parameters,
            compute=draft.compute.get(task.name) or _recorded_compute({part.folder for part in parts}),
        )
        evaluation = task.evaluation(mirror=scoring.mirror)
        for attack, position in attacks:
            name = full_name(attack)
            with display(f"{task.name} × {name}-{position}") as report:
                result = score(
                    victim,
                    evaluation,
                    attack,
                    scoring.settings,
                    scoring.work,
                    position=position,
                    proposal=proposal,
                    mirror=scoring.mirror,
                    batch_size=scoring.batch_size,
                    on_progress=report,
                )
            trace = Files.of(scoring.work, task.name, name, position).trace
            results[key_of(result)] = (trace, _named(result, entries[task.name], attack))
    return _write(draft, entries, results, registry, target)


def _guided(scoring: Scoring, registry: Path) -> tuple[Victim | None, list[tuple[Attack, Position]]]:
    """The proposal, and the attacks, with those that it guides naming it as the registry does."""
    if scoring.proposal is None:
        return None, list(scoring.attacks)
    model = load_victim(scoring.proposal, device=scoring.device, dtype="float32")
    return model, all_guided_by(scoring.attacks, model, full_reference(_checkpoint_of(model, registry)))


def _check_early(draft: Draft, target: Path) -> None:
    if target.exists():
        raise UsageError(
            f"There is already an entry {target}; choose another slug, or remove that folder to make it anew (its "
            "scores are taken from the work folder again)."
        )
    for model in draft.checkpoints.values():
        if is_victim_file(model):
            read_victim_file(Path(model).expanduser())
    placeholder = RegistryCheckpoint(path="checkpoints/placeholder")
    _manifest(draft, {name: TaskEntry(checkpoint=placeholder, parameters=1) for name in draft.checkpoints})


def _manifest(draft: Draft, entries: Mapping[str, TaskEntry]) -> Manifest:
    """The manifest, read back from its own text so that what is written is what was checked."""
    unchecked = Manifest.model_construct(
        schema_version=1,
        slug=draft.slug,
        name=draft.name,
        description=draft.description,
        authors=list(draft.authors),
        links=list(draft.links),
        licence=draft.licence,
        submitted=datetime.now(UTC).date(),
        family=draft.family,
        defence=draft.defence,
        tasks=dict(entries),
        reported=None,
    )
    manifest, problems = parse_manifest(manifest_yaml(unchecked), Path(MANIFEST_FILE))
    if manifest is None:
        raise UsageError("; ".join(problem.message.rstrip(".") for problem in problems) + ".")
    return manifest


def _checkpoint_of(victim: Victim, registry: Path) -> Checkpoint:
    """How the manifest names a checkpoint; a small local one is copied into the registry if it is not there yet."""
    if victim.revision is not None:
        if len(victim.revision) != 40:
            raise CheckpointError(f"{victim.reference} was loaded without its commit; name it as owner/name@commit.")
        return HubCheckpoint(repo=victim.reference, commit=victim.revision)
    folder = victim.folder.resolve()
    if folder.is_relative_to(registry.resolve()):
        return RegistryCheckpoint(path=folder.relative_to(registry.resolve()).as_posix())
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    if size > REGISTRY_CHECKPOINT_BYTES:
        raise CheckpointError(
            f"{victim.folder} has {size:,} bytes, and the registry holds checkpoints of at most "
            f"{REGISTRY_CHECKPOINT_BYTES:,}; upload it to the Hub and name it as owner/name@commit."
        )
    copy = registry / "checkpoints" / folder.name
    if not copy.exists():
        staged = copy.with_name(f".{folder.name}.partial")
        shutil.rmtree(staged, ignore_errors=True)
        shutil.copytree(folder, staged, ignore=lambda _, names: [name for name in names if name.startswith(".")])
        staged.rename(copy)
    elif checkpoint_digest(copy) != victim.digest:
        raise UsageError(
            f"The registry has another checkpoint called {folder.name}; rename the folder {victim.folder}."
        )
    return RegistryCheckpoint(path=f"checkpoints/{folder.name}")


def _recorded_compute(folders: Collection[Path]) -> TrainingCompute:
    """Training compute from the records that `holdfast train` leaves beside checkpoints, over all of them together.

    A stage is unknown where one of them does not have it.
    """
    records = [read_training_record(folder) for folder in folders]
    known = [record.compute for record in records if record is not None]
    if len(known) < len(records):
        return TrainingCompute()
    pretraining = [stages.pretraining for stages in known if stages.pretraining is not None]
    return TrainingCompute(
        pretraining=float(sum(pretraining)) if len(pretraining) == len(known) else None,
        fine_tuning=float(sum(stages.fine_tuning for stages in known)),
        defence=float(sum(stages.defence for stages in known)),
    )


def _named(result: Result, entry: TaskEntry, attack: Attack) -> Result:
    """The result under the names that the manifest has for its victim, and the registry for the attack's proposal,
    whatever folders they were scored in.
    """
    name, revision = entry.reference
    victim = result.victim.model_copy(update={"reference": name, "revision": revision})
    by = result.attack.model_copy(update={"parameters": attack_parameters(attack)})
    return result.model_copy(update={"victim": victim, "attack": by})


def _write(
    draft: Draft,
    entries: Mapping[str, TaskEntry],
    results: Mapping[Key, tuple[Path, Result]],
    registry: Path,
    target: Path,
) -> Path:
    staging = target.with_name(f".{target.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staged = staging / target.name
    for key, (trace, result) in results.items():
        write_atomically(file_of(staged, "traces", key), trace.read_bytes())
        write_atomically(file_of(staged, "results", key), result_json(result))
    write_atomically(staged / MANIFEST_FILE, manifest_yaml(_manifest(draft, entries)))
    problems = check_entry(staged, registry)
    if problems:
        shutil.rmtree(staging)
        listed = "; ".join(str(replace(each, file=each.file.relative_to(staged))).rstrip(".") for each in problems[:10])
        raise RecordError(f"The entry would not pass its check: {listed}.")
    staged.rename(target)
    staging.rmdir()
    return target
