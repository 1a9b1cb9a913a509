"""Victim files: a victim of several checkpoints, declared in a small YAML file that stands in place of a checkpoint.

    kind: ensemble
    members:
      - checkpoints/my-first-model          # a folder, from the file's own
      - acme/my-second-model@COMMIT         # or a Hub id

    kind: filter
    model: checkpoints/my-model
    language_model: acme/a-language-model@COMMIT        # may be left out where the model is one

Plain data, read as strictly as a manifest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from ..benchmark.checkpoint import locate
from ..benchmark.digest import checkpoint_digest, digest_of_several
from ..benchmark.ensemble import Ensemble
from ..benchmark.filtered import Filtered
from ..benchmark.victim import Victim, load_victim
from ..tasks import CheckpointError
from .declared import AS_ENSEMBLE, AS_FILTER, KIND, Composition, EnsembleOf, FilterOf
from .plain_file import read_plain_file

SUFFIXES = (".yaml", ".yml")

_SAID = "A folder, from the file's own, or a Hub id as owner/name@commit"
ModelName = Annotated[str, Field(min_length=1, max_length=500, description=_SAID)]
VictimFile = Annotated[Annotated[EnsembleOf[ModelName], AS_ENSEMBLE] | Annotated[FilterOf[ModelName], AS_FILTER], KIND]
_READER: TypeAdapter[EnsembleOf[ModelName] | FilterOf[ModelName]] = TypeAdapter(VictimFile)


def is_victim_file(model: str | Path) -> bool:
    """Whether a victim is given as a file that declares it."""
    return Path(model).suffix in SUFFIXES and Path(model).expanduser().is_file()


def load_model(model: str | Path, *, device: str | None = None, dtype: str | None = None) -> Victim:
    """A victim, given as a checkpoint or as a victim file. Raises: CheckpointError, RecordError, UsageError."""
    composition, parts = load_parts(model, device=device, dtype=dtype)
    return assembled(composition, parts, str(model))


def load_parts(
    model: str | Path, *, device: str | None = None, dtype: str | None = None
) -> tuple[Composition, list[Victim]]:
    """The checkpoints of a victim that is given as one, or as a victim file, and how they are to be put together.

    A checkpoint that is named several times is loaded once. Raises: CheckpointError, RecordError, UsageError.
    """
    if not is_victim_file(model):
        return "checkpoint", [load_victim(model, device=device, dtype=dtype)]
    path = Path(model).expanduser()
    declared = read_victim_file(path)
    loaded: dict[str, Victim] = {}
    for part in declared.parts.values():
        try:
            if part not in loaded:
                loaded[part] = load_victim(_from(path, part), device=device, dtype=dtype)
        except CheckpointError as error:
            raise CheckpointError(f"A member of {model} cannot be used: {error}") from error
    return declared.kind, [loaded[part] for part in declared.parts.values()]


def assembled(composition: Composition, parts: Sequence[Victim], reference: str) -> Victim:
    """The victim that is made of loaded checkpoints, in the order of a declaration's parts. reference: its name.

    Raises: CheckpointError when they do not go together.
    """
    if composition == "ensemble":
        return Ensemble.of(parts, reference)
    first, *others = parts
    if composition == "filter":
        return Filtered.of(first, others[0] if others else None, reference)
    return first


def read_victim_file(path: Path) -> EnsembleOf[ModelName] | FilterOf[ModelName]:
    """What a victim file declares. Raises: RecordError with the line of the first thing that is wrong with it."""
    return read_plain_file(path, _READER)


def digest_of(model: str | Path) -> str:
    """The digest that a victim has, without loading it. Raises: CheckpointError, RecordError."""
    if not is_victim_file(model):
        _, folder, _ = locate(str(model), None)
        return checkpoint_digest(folder)
    path = Path(model).expanduser()
    declared = read_victim_file(path)
    return digest_of_several(declared.kind, [digest_of(_from(path, part)) for part in declared.parts.values()])


def _from(path: Path, part: str) -> str | Path:
    """A part that a victim file names: a folder, counted from the file's own, or a Hub id. Raises: CheckpointError."""
    folder = path.parent / Path(part).expanduser()
    if folder.is_dir():
        return folder
    if Path(part).expanduser().is_dir():
        raise CheckpointError(
            f"{path} names {part}, and there is no such folder beside that file; write its path from there."
        )
    return part
