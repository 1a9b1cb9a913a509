"""Victim files: a victim of several checkpoints, declared in a small YAML file that stands in place of a checkpoint.

    kind: ensemble
    members:
      - checkpoints/my-first-model          # a folder, from the file's own
      - acme/my-second-model@COMMIT         # or a Hub id

Plain data, read as strictly as a manifest.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..benchmark.ensemble import Ensemble
from ..benchmark.victim import Victim, load_victim
from ..tasks import CheckpointError, RecordError
from .limits import MANIFEST_BYTES, read_limited
from .manifest import explained
from .safe_yaml import YamlError, read_yaml

SUFFIXES = (".yaml", ".yml")


class EnsembleFile(BaseModel):
    """One of several checkpoints answers each query, drawn at random."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["ensemble"]
    members: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)]],
        Field(min_length=2, max_length=16, description="Folders, from the file's own, or Hub ids as owner/name@commit"),
    ]


def is_victim_file(model: str | Path) -> bool:
    """Whether a victim is given as a file that declares it."""
    return Path(model).suffix in SUFFIXES and Path(model).expanduser().is_file()


def load_model(model: str | Path, *, device: str | None = None, dtype: str | None = None) -> Victim:
    """A victim, given as a checkpoint or as a victim file. Raises: CheckpointError, RecordError, UsageError."""
    if not is_victim_file(model):
        return load_victim(model, device=device, dtype=dtype)
    path = Path(model).expanduser()
    declared = read_victim_file(path)
    members = []
    for member in declared.members:
        folder = path.parent / Path(member).expanduser()
        try:
            members.append(load_victim(folder if folder.is_dir() else member, device=device, dtype=dtype))
        except CheckpointError as error:
            raise CheckpointError(f"A member of {model} cannot be used: {error}") from error
    return Ensemble.of(members, str(model))


def read_victim_file(path: Path) -> EnsembleFile:
    """What a victim file declares. Raises: RecordError with the line of the first thing that is wrong with it."""
    try:
        document = read_yaml(read_limited(path, MANIFEST_BYTES))
    except YamlError as error:
        raise RecordError(f"{path}:{error.line}: {error}.") from error
    try:
        return EnsembleFile.model_validate(document.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part)[:64] for part in first["loc"])
        line = document.line(tuple(first["loc"]))
        raise RecordError(f"{path}:{line}: {f'{field}: ' if field else ''}{explained(first)}.") from error
