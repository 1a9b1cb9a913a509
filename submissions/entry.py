"""An entry and the registry: where the files of a submission lie, and how they are read.

    submissions/                          the registry
        entries/<slug>/                   an entry
            submission.yaml               the manifest
            results/<task>/<attack>-<position>.json
            traces/<task>/<attack>-<position>.parquet
            evidence/<task>/<attack>-<position>.json
            curves/<task>/<attack>-<position>.json      in place of results, for figures from a publication
        checkpoints/<name>/               checkpoints small enough to lie in the registry

Reading trusts nothing: files are plain, of limited size, and nothing outside the registry is opened.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..benchmark.attacks import variant_name
from ..benchmark.results import Result, parse_result, sha256
from ..tasks import RecordError, UsageError
from .declared import RegistryCheckpoint
from .evidence import LEVELS, Evidence, Level, read_evidence
from .limits import RESULT_BYTES, TRACE_BYTES, read_limited
from .manifest import MANIFEST_FILE, Manifest, read_manifest
from .reported import ReportedCurve, read_curve


class Key(NamedTuple):
    """What one result of an entry is about."""

    task: str
    attack: str
    position: str

    def __str__(self) -> str:
        return f"{self.task} × {self.attack}-{self.position}"


def key_of(result: Result) -> Key:
    """What a result is about."""
    attack = result.attack
    return Key(result.task.name, variant_name(attack.name, attack.parameters), attack.position)


def file_of(entry: Path, kind: str, key: Key) -> Path:
    """Where a file lies. kind: results, traces, evidence or curves."""
    suffix = "parquet" if kind == "traces" else "json"
    return entry / kind / key.task / f"{key.attack}-{key.position}.{suffix}"


def keys_in(entry: Path, kind: str) -> list[Key]:
    """What there are files of a kind for, in order of name; folders that are links are not followed."""
    suffix = ".parquet" if kind == "traces" else ".json"
    found = []
    if (entry / kind).is_symlink():
        return []
    for path in sorted((entry / kind).glob(f"*/*{suffix}")):
        attack, dash, position = path.name.removesuffix(suffix).rpartition("-")
        if dash and not path.parent.is_symlink():
            found.append(Key(path.parent.name, attack, position))
    return found


@dataclass(frozen=True)
class Entry:
    """One submission, read. Evidence holds only records that belong to the files as they are."""

    folder: Path
    manifest: Manifest
    results: Mapping[Key, Result] = field(default_factory=dict)
    curves: Mapping[Key, ReportedCurve] = field(default_factory=dict)
    evidence: Mapping[Key, Evidence] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return self.manifest.slug

    def level_of(self, key: Key) -> Level:
        """The evidence for one result or curve."""
        if key in self.curves:
            return "reported"
        if key in self.evidence:
            return self.evidence[key].level
        return "scored"

    @property
    def level(self) -> Level:
        """The weakest evidence among the results."""
        return self.weakest((*self.results, *self.curves))

    def weakest(self, keys: Iterable[Key]) -> Level:
        """The weakest evidence among some results or curves."""
        return min(map(self.level_of, keys), key=LEVELS.index)


def load_entry(folder: Path) -> Entry:
    """Read an entry. Raises: RecordError at the first file that cannot be used; `check_entry` finds all problems."""
    manifest = read_manifest(folder / MANIFEST_FILE)
    results: dict[Key, Result] = {}
    evidence: dict[Key, Evidence] = {}
    for key in keys_in(folder, "results"):
        path = file_of(folder, "results", key)
        content = read_limited(path, RESULT_BYTES)
        results[key] = parse_result(content, path)
        if file_of(folder, "evidence", key).exists():
            trace = read_limited(file_of(folder, "traces", key), TRACE_BYTES)
            if (record := evidence_for(folder, key, sha256(content), sha256(trace))) is not None:
                evidence[key] = record
    curves = {key: read_curve(file_of(folder, "curves", key)) for key in keys_in(folder, "curves")}
    if not results and not curves:
        raise RecordError(f"{folder} has no results; score its checkpoints with `holdfast submit new`.")
    return Entry(folder, manifest, results, curves, evidence)


def evidence_for(folder: Path, key: Key, result: str, trace: str) -> Evidence | None:
    """The evidence in a folder for a result and trace with these digests, None where there is none for them."""
    path = file_of(folder, "evidence", key)
    if not path.exists():
        return None
    evidence = read_evidence(path)
    same = (evidence.digests.result, evidence.digests.trace) == (result, trace)
    return evidence if same and (evidence.task, evidence.attack, evidence.position) == key else None


def checkpoint_in_registry(registry: Path, checkpoint: RegistryCheckpoint) -> Path:
    """The folder of a checkpoint of the registry. Raises: RecordError when it is not there, or leads outside."""
    folder = registry / checkpoint.path
    if not folder.is_dir():
        raise RecordError(f"There is no checkpoint folder {folder}; a path counts from the folder that has entries/.")
    if not folder.resolve().is_relative_to(registry.resolve()):
        raise RecordError(f"The checkpoint {checkpoint.path} leads outside the registry through a link.")
    return folder


def entry_folders(registry: Path) -> Iterator[Path]:
    """The entries of a registry, by slug; half-made ones (hidden folders) are passed over."""
    for folder in sorted((registry / "entries").iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            yield folder


def load_registry(registry: Path) -> list[Entry]:
    """All entries, by slug. Raises: RecordError at the first that cannot be read."""
    return [load_entry(folder) for folder in entry_folders(registry)]


def find_entry(text: str, registry: Path | None) -> Path:
    """The folder of an entry, given as that or as its slug in the registry. Raises: UsageError when there is none."""
    folder = Path(text).expanduser()
    if folder.is_dir():
        # Resolved, because the folder's name is the entry's, and `.` has none. A link stays one, to be refused.
        return folder if folder.is_symlink() else folder.resolve()
    hint = ""
    if folder.name == text:
        known = {each.name: each for each in entry_folders(find_registry(registry))}
        if text in known:
            return known[text]
        if nearest := difflib.get_close_matches(text, known, n=1):
            hint = f" (did you mean {nearest[0]!r}?)"
    raise UsageError(f"There is no entry {text[:120]}{hint}; give its folder, or its slug in the registry.")


def find_registry(given: Path | None) -> Path:
    """The registry to work on: the one given, else `submissions/` here, else the one this package lies in.

    Raises: UsageError when there is none.
    """
    if given is not None:
        if not (given / "entries").is_dir():
            raise UsageError(f"{given} is not a registry: it has no folder entries/; give the folder that has it.")
        return given
    for folder in (Path("submissions"), Path(__file__).parent):
        if (folder / "entries").is_dir():
            return folder
    raise UsageError("There is no registry here; run this in a checkout of the project, or name one with --registry.")
