"""What publishing an entry on the Hugging Face Hub means: which repos are to hold which files.

A model repo gets the evaluation results of its tasks and a section of its model card; a data-set repo gets the entry's
files as they are. Nothing here speaks to the Hub: `hub` compares this with what is there and commits the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from huggingface_hub.utils import HFValidationError, validate_repo_id

from ..tasks import RecordError, UsageError
from .check import check_entry
from .declared import HubCheckpoint
from .entry import Entry, file_of, load_entry
from .eval_results import eval_results_file, eval_results_yaml
from .limits import EVIDENCE_BYTES, MANIFEST_BYTES, RESULT_BYTES, TRACE_BYTES, read_limited
from .manifest import MANIFEST_FILE
from .model_card import card_section


@dataclass(frozen=True)
class Target:
    """What one repo is to hold. files: content by path. section: of its model card. folder: where files of the kinds
    in an entry that are not among `files` are old ones, to be removed.
    """

    repo: str
    kind: Literal["model", "dataset"]
    title: str
    files: Mapping[str, bytes] = field(repr=False)
    section: str | None = field(default=None, repr=False)
    folder: str | None = None

    def __str__(self) -> str:
        return f"{'model' if self.kind == 'model' else 'data set'} {self.repo}"


def publishable_entry(folder: Path) -> Entry:
    """An entry that can be published. Raises: RecordError when something is wrong with it, UsageError when its figures
    come from a publication.
    """
    problems = check_entry(folder)
    if problems:
        more = f" ({len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise RecordError(f"The entry is not fit to be published: {problems[0]}{more}")
    entry = load_entry(folder)
    if entry.manifest.reported is not None:
        raise UsageError(
            f"{entry.slug} holds figures from a publication, and only measured results are published; score the "
            "checkpoints and submit them as an entry."
        )
    return entry


def repo_name(text: str, option: str) -> str:
    """A repo on the Hub as owner/name. Raises: UsageError."""
    try:
        validate_repo_id(text)
    except HFValidationError as error:
        raise UsageError(f"{option} '{text}' is not a repo on the Hub; write it as owner/name.") from error
    if text.count("/") != 1:
        raise UsageError(f"{option} '{text}' does not name a repo with its owner; write it as owner/name.")
    return text


def targets_of(
    entry: Entry,
    *,
    model: str | None = None,
    dataset: str | None = None,
    benchmark: str | None = None,
    model_repos: bool = True,
    endpoint: str = "https://huggingface.co",
) -> list[Target]:
    """The repos that an entry is published in, the data set first, since the others link to it.

    model: the model repo for all tasks; without it, every task's own, where its victim is one checkpoint on the Hub.
    benchmark: the data-set repo that evaluation results name; `dataset` without it. Raises: UsageError when there is no
    repo to publish in, or evaluation results have none to name; RecordError when a file cannot be read.
    """
    tasks_by_repo: dict[str, list[str]] = {}
    for task, submitted in entry.manifest.tasks.items():
        own = submitted.checkpoint.repo if isinstance(submitted.checkpoint, HubCheckpoint) else None
        if model_repos and (repo := model or own):
            tasks_by_repo.setdefault(repo, []).append(task)
    if not tasks_by_repo and dataset is None:
        raise UsageError(
            f"There is no repo to publish {entry.slug} in: name a model repo with --model, or a data-set repo with "
            "--dataset."
        )
    named = benchmark or dataset
    if tasks_by_repo and named is None:
        raise UsageError(
            "Evaluation results in a model repo must name a data-set repo: give the one for results and traces with "
            "--dataset, or the benchmark's with --benchmark."
        )
    targets = [_dataset(entry, dataset)] if dataset else []
    source = f"{endpoint}/datasets/{dataset}/tree/main/entries/{entry.slug}" if dataset else None
    for repo, tasks in tasks_by_repo.items():
        results = {eval_results_file(task): eval_results_yaml(entry, task, named or "", source) for task in tasks}
        targets.append(
            Target(
                repo=repo,
                kind="model",
                title=f"Adversarial robustness, measured by Holdfast: {entry.slug}",
                files={path: content for path, content in results.items() if content},
                section=card_section(entry, tasks, source),
            )
        )
    return targets


def _dataset(entry: Entry, repo: str) -> Target:
    """The files of an entry, but for evidence that the results have outlived."""
    files = {entry.folder / MANIFEST_FILE: MANIFEST_BYTES}
    for key in entry.results:
        files[file_of(entry.folder, "results", key)] = RESULT_BYTES
        files[file_of(entry.folder, "traces", key)] = TRACE_BYTES
    for key in entry.evidence:
        files[file_of(entry.folder, "evidence", key)] = EVIDENCE_BYTES
    folder = f"entries/{entry.slug}"
    return Target(
        repo=repo,
        kind="dataset",
        title=f"Holdfast entry: {entry.slug}",
        files={
            f"{folder}/{path.relative_to(entry.folder).as_posix()}": read_limited(path, limit)
            for path, limit in files.items()
        },
        folder=folder,
    )
