"""Checking an entry without running anything: every problem at once, each with its file and, where there is one, line.

What is checked: that the folder holds plain files of the known kinds within the limits and nothing else; the manifest;
that every result has its trace, belongs to the manifest and contradicts neither itself, nor its trace, nor the other
results of the same victim; that a checkpoint in the registry is the one that was scored, or that guided an attack.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..benchmark.attacks import is_guided, recorded_attack
from ..benchmark.digest import checkpoint_digest, digest_of_several
from ..benchmark.results import Result, VictimPart, parse_result, sha256
from ..tasks import RecordError, UsageError
from .consistency import contradictions, trace_contradictions
from .declared import Composition, RegistryCheckpoint, checkpoint_named
from .entry import Key, checkpoint_in_registry, file_of, key_of, keys_in
from .evidence import read_evidence
from .limits import (
    ENTRY_BYTES,
    FILES,
    MANIFEST_BYTES,
    REGISTRY_CHECKPOINT_BYTES,
    RESULT_BYTES,
    TRACE_BYTES,
    read_limited,
)
from .manifest import MANIFEST_FILE, Manifest, Problem, TaskEntry, parse_manifest
from .reported import read_curve
from .traces import read_trace

_FILES = re.compile(
    r"submission\.yaml|"
    r"(results|evidence|curves)/[a-z0-9_-]+/[a-z0-9_]+(-[0-9]+)?-[a-z]+\.json|"
    r"traces/[a-z0-9_-]+/[a-z0-9_]+(-[0-9]+)?-[a-z]+\.parquet|"
    # What a verification that was killed while it wrote leaves behind; the next one replaces it.
    r"evidence/[a-z0-9_-]+/\.[a-z0-9_]+(-[0-9]+)?-[a-z]+\.json\.partial"
)

_KINDS: dict[Composition, tuple[str, ...]] = {
    "checkpoint": ("classifier", "language-model"),
    "ensemble": ("ensemble",),
    "filter": ("filter",),
}
"""By how a victim is put together, what results may say of how it answers."""


def check_entry(folder: Path, registry: Path | None = None, *, proposals: bool = True) -> list[Problem]:
    """All that is wrong with an entry; nothing when it can be published.

    registry: the folder with `entries/` and `checkpoints/`; by default the one that the entry lies in. proposals:
    whether language models that guided attacks are looked at, too; a replay does without them.
    """
    problems = list(_misplaced_files(folder))
    if problems:
        # Nothing is opened in a folder that holds links, devices or more than an entry can.
        return problems
    manifest_file = folder / MANIFEST_FILE
    try:
        content = read_limited(manifest_file, MANIFEST_BYTES)
    except RecordError as error:
        return [Problem(manifest_file, str(error))]
    manifest, problems = parse_manifest(content, manifest_file)
    if manifest is None:
        return problems
    if manifest.slug != folder.name:
        line = 1 + content[: content.find(b"slug:")].count(b"\n")
        problems.append(
            Problem(manifest_file, f"slug: it is {manifest.slug}, and the folder is called {folder.name}.", line)
        )
    if manifest.reported is None:
        problems.extend(_about_results(folder, registry or folder.parent.parent, manifest, proposals))
    else:
        problems.extend(_about_curves(folder, manifest))
    return problems


def _misplaced_files(folder: Path) -> Iterator[Problem]:
    if folder.is_symlink() or not folder.is_dir():
        yield Problem(folder, "this is not the folder of an entry; give submissions/entries/SLUG.")
        return
    count = size = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for each in found:
                path = Path(each.path)
                name = path.relative_to(folder).as_posix()
                count += 1
                if count > FILES:
                    yield Problem(folder, f"it holds more than {FILES} files and folders.")
                    return
                if each.is_symlink():
                    yield Problem(path, "links are not allowed; put the file itself here.")
                elif each.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif not each.is_file(follow_symlinks=False):
                    yield Problem(path, "this is neither a file nor a folder; remove it.")
                elif not _FILES.fullmatch(name):
                    yield Problem(path, "an entry has no such file; remove it, or correct its name.")
                else:
                    size += each.stat(follow_symlinks=False).st_size
    if size > ENTRY_BYTES:
        yield Problem(folder, f"its files are too large: {size:,} bytes, and {ENTRY_BYTES:,} are allowed.")


def _about_results(folder: Path, registry: Path, manifest: Manifest, proposals: bool) -> Iterator[Problem]:
    for key in keys_in(folder, "curves"):
        yield Problem(file_of(folder, "curves", key), "curves are for entries with figures from a publication.")
    results: dict[Key, Result] = {}
    keys = keys_in(folder, "results")
    for key in keys:
        path = file_of(folder, "results", key)
        try:
            result = parse_result(read_limited(path, RESULT_BYTES), path)
        except RecordError as error:
            yield Problem(path, _without_path(error, path))
            continue
        results[key] = result
        said = key_of(result)
        if said != key:
            yield Problem(path, f"the result is of {_short(said)}, and its name says {_short(key)}.")
        yield from (Problem(path, problem) for problem in contradictions(result))
        yield from _about_trace(folder, key, result)
        if proposals:
            yield from _about_proposal(path, registry, result)
    for kind in ("traces", "evidence"):
        for key in keys_in(folder, kind):
            if key not in keys:
                yield Problem(file_of(folder, kind, key), "there is no result that this belongs to; remove it.")
    for key in keys_in(folder, "evidence"):
        path = file_of(folder, "evidence", key)
        try:
            evidence = read_evidence(path)
        except RecordError as error:
            yield Problem(path, _without_path(error, path))
            continue
        if (evidence.task, evidence.attack, evidence.position) != key:
            yield Problem(path, "it is evidence for another result; verify again.")
    yield from _about_tasks(folder, registry, manifest, results)


def _about_trace(folder: Path, key: Key, result: Result) -> Iterator[Problem]:
    path = file_of(folder, "traces", key)
    try:
        content = read_limited(path, TRACE_BYTES)
        if sha256(content) != result.trace_sha256:
            yield Problem(path, "this is not the trace that the result was written with (its SHA-256 differs).")
            return
        rows = read_trace(content)
    except RecordError as error:
        yield Problem(path, _without_path(error, path))
        return
    yield from (Problem(path, problem) for problem in trace_contradictions(result, rows))


def _about_proposal(path: Path, registry: Path, result: Result) -> Iterator[Problem]:
    """The language model that guided the attack, where the result names one in the registry."""
    try:
        attack = recorded_attack(result.attack.name, result.attack.parameters)
        proposal = checkpoint_named(attack.proposal) if is_guided(attack) else None
    except UsageError:
        return  # said as a contradiction
    if not is_guided(attack) or not isinstance(proposal, RegistryCheckpoint):
        return
    try:
        digest = _digest_in_registry(registry, proposal)
    except RecordError as error:
        yield Problem(path, f"attack.parameters.proposal: {error}")
        return
    if digest != attack.proposal_digest:
        yield Problem(
            path,
            f"attack.parameters.proposal_digest: {attack.proposal_digest[:12]} guided the attack, and what lies in the "
            f"registry is {digest[:12]}.",
        )


def _about_tasks(folder: Path, registry: Path, manifest: Manifest, results: dict[Key, Result]) -> Iterator[Problem]:
    """Results against the manifest, and against each other."""
    manifest_file = folder / MANIFEST_FILE
    scored = {key.task for key in keys_in(folder, "results")}
    for name, task in manifest.tasks.items():
        of_task = {key: result for key, result in results.items() if key.task == name}
        if name not in scored:
            yield Problem(manifest_file, f"tasks.{name}: there is no result for it; score it, or take it out.")
        yield from _about_victim(folder, registry, name, task, of_task)
        yield from _about_clean_answers(folder, list(of_task.items()))
    for key in results:
        if key.task not in manifest.tasks:
            yield Problem(file_of(folder, "results", key), f"the manifest does not name the task {key.task}.")


def _about_victim(
    folder: Path, registry: Path, name: str, task: TaskEntry, results: dict[Key, Result]
) -> Iterator[Problem]:
    digests: list[str] = []
    for field, checkpoint in task.checkpoints.items():
        if isinstance(checkpoint, RegistryCheckpoint):
            try:
                digests.append(_digest_in_registry(registry, checkpoint))
            except RecordError as error:
                yield Problem(folder / MANIFEST_FILE, f"tasks.{name}.{field}.path: {error}")
    if not results:
        return
    digest = None
    if len(digests) == len(task.checkpoints):
        digest = digests[0] if task.victim is None else digest_of_several(task.composition, digests)
    first = next(iter(results.values())).victim
    for key, result in results.items():
        path = file_of(folder, "results", key)
        victim = result.victim
        if victim.parameters != task.parameters:
            yield Problem(
                path, f"victim.parameters: {victim.parameters:,} here, and {task.parameters:,} in the manifest."
            )
        if digest is not None and victim.digest != digest:
            yield Problem(
                path,
                f"victim.digest: {victim.digest[:12]} was scored, and what lies in the registry is {digest[:12]}.",
            )
        if (victim.reference, victim.revision) != task.reference:
            yield Problem(
                path, "victim.reference: it is not the victim that the manifest names; score that one, by that name."
            )
        if victim.kind not in _KINDS[task.composition]:
            yield Problem(path, f"victim.kind: {victim.kind} is recorded, and the manifest has a {task.composition}.")
        if (victim.filter_threshold is None) == (task.composition == "filter"):
            said = "none is" if victim.filter_threshold is None else "one is"
            yield Problem(path, f"victim.filter_threshold: {said} recorded, and the manifest has a {task.composition}.")
        if _constant(victim) != _constant(first):
            yield Problem(path, "victim: another one was scored than for the other results of this task.")


def _constant(victim: VictimPart) -> tuple[object, ...]:
    """What results of the same victim agree on, beside what the manifest says."""
    return victim.digest, victim.architecture, victim.context, victim.filter_threshold


def _digest_in_registry(registry: Path, checkpoint: RegistryCheckpoint) -> str:
    """Digest of a checkpoint in the registry. Raises: RecordError when it is not there, or not of plain files."""
    folder = checkpoint_in_registry(registry, checkpoint)
    size = 0
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_file():
            raise RecordError(f"{path} is not a plain file.")
        size += path.stat().st_size
    if size > REGISTRY_CHECKPOINT_BYTES:
        raise RecordError(
            f"{folder} has {size:,} bytes, and checkpoints in the registry may have {REGISTRY_CHECKPOINT_BYTES:,}; put "
            "it on the Hub."
        )
    return checkpoint_digest(folder)


def _about_clean_answers(folder: Path, results: Sequence[tuple[Key, Result]]) -> Iterator[Problem]:
    """One victim has one answer to a text without an attack, and strings alike make all its texts as long."""
    answers: dict[str, tuple[tuple[bool, int], Key]] = {}
    tokens: dict[tuple[str, str, object], tuple[int, Key]] = {}
    for key, result in results:
        length = result.attack.parameters.get("length")
        for record in result.records:
            here = (record.clean_correct, record.label)
            answer, other = answers.setdefault(record.id, (here, key))
            count, alike = tokens.setdefault((record.id, key.position, length), (record.tokens, key))
            if (answer, count) != (here, record.tokens):
                yield Problem(
                    file_of(folder, "results", key),
                    f"the example {record.id} has another label, clean answer or length here than in "
                    f"{file_of(folder, 'results', alike if answer == here else other).name}.",
                )
                break


def _about_curves(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    for kind in ("results", "traces", "evidence"):
        for key in keys_in(folder, kind):
            yield Problem(file_of(folder, kind, key), "an entry with figures from a publication has only curves.")
    keys = keys_in(folder, "curves")
    for key in keys:
        path = file_of(folder, "curves", key)
        try:
            curve = read_curve(path)
        except RecordError as error:
            yield Problem(path, _without_path(error, path))
            continue
        if (curve.task, curve.attack, curve.position) != key:
            yield Problem(path, f"the curve is of {curve.task}, {curve.attack}-{curve.position}, and its name is not.")
        task = manifest.tasks.get(key.task)
        if task is None:
            yield Problem(path, f"the manifest does not name the task {key.task}.")
        elif task.parameters != curve.parameters:
            yield Problem(path, f"parameters: {curve.parameters:,} here, and {task.parameters:,} in the manifest.")
    for name in manifest.tasks:
        if not any(key.task == name for key in keys):
            yield Problem(folder / MANIFEST_FILE, f"tasks.{name}: there is no curve for it.")


def _without_path(error: RecordError, path: Path) -> str:
    """The message for a line that begins with the path already."""
    text = str(error).removeprefix(f"{path} ")
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _short(key: Key) -> str:
    return str(key)[:120]
