"""What a manifest, or a victim file, declares as a victim: its checkpoints, and how they are put together.

Plain data. `victim_file` makes a victim of it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Generic, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

Composition = Literal["checkpoint", "ensemble", "filter"]
"""How a victim is put together: of one checkpoint as it is, or of several."""
MEMBERS = 16
"""Checkpoints in an ensemble at most."""

Member = TypeVar("Member")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", path) or PurePosixPath(path).is_absolute() or not parts:
        raise ValueError(
            "give a path inside the registry, like checkpoints/my-model, of letters, digits, '.', '_', '-'"
        )
    if any(part.startswith(".") for part in parts) or str(PurePosixPath(path)) != path:
        raise ValueError("a path inside the registry has no '..', no hidden folders and no '/' at the end")
    return path


class HubCheckpoint(_Strict):
    """A model on the Hugging Face Hub, at a commit."""

    repo: Annotated[str, Field(max_length=140, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="Full commit hash")]


class RegistryCheckpoint(_Strict):
    """A checkpoint that lies in the registry itself."""

    path: Annotated[
        str,
        Field(max_length=200, description="From the folder that holds `entries/`, like checkpoints/my-model"),
        AfterValidator(_inside),
    ]


def _where(checkpoint: object) -> str:
    here = isinstance(checkpoint, RegistryCheckpoint) or (isinstance(checkpoint, dict) and "path" in checkpoint)
    return _IN_REGISTRY if here else _ON_HUB


_ON_HUB, _IN_REGISTRY = "checkpoint on the Hub", "checkpoint in the registry"
Checkpoint = Annotated[
    Annotated[HubCheckpoint, Tag(_ON_HUB)] | Annotated[RegistryCheckpoint, Tag(_IN_REGISTRY)], Discriminator(_where)
]


class EnsembleOf(_Strict, Generic[Member]):
    """One of several members answers each query, drawn at random."""

    kind: Literal["ensemble"]
    members: Annotated[list[Member], Field(min_length=2, max_length=MEMBERS)]

    @property
    def parts(self) -> dict[str, Member]:
        """What it is made of, in order, by field."""
        return {f"members.{number}": member for number, member in enumerate(self.members)}


class FilterOf(_Strict, Generic[Member]):
    """A model behind a filter, which refuses what a language model finds too unlikely; by default the model itself."""

    kind: Literal["filter"]
    model: Member
    language_model: Annotated[
        Member | None, Field(description="What the filter reads with; may be left out where the model is one")
    ] = None

    @property
    def parts(self) -> dict[str, Member]:
        """What it is made of, in order, by field."""
        return {"model": self.model, **({} if self.language_model is None else {"language_model": self.language_model})}


class DeclaredEnsemble(EnsembleOf[Checkpoint]):
    """One of several checkpoints answers each query, drawn at random."""


class DeclaredFilter(FilterOf[Checkpoint]):
    """A checkpoint behind a filter, which refuses what a language model finds too unlikely."""


def _kind(declared: object) -> str | None:
    """The tag of what a declaration says it is, None for what there is not."""
    kind = declared.get("kind") if isinstance(declared, Mapping) else getattr(declared, "kind", None)
    return {"ensemble": _ENSEMBLE, "filter": _FILTER}.get(kind) if isinstance(kind, str) else None


_ENSEMBLE, _FILTER = "several checkpoints, an ensemble", "several checkpoints, a filter"
UNKNOWN_KIND = "unknown_kind"
KIND = Discriminator(_kind, custom_error_type=UNKNOWN_KIND, custom_error_message="unknown kind")
AS_ENSEMBLE, AS_FILTER = Tag(_ENSEMBLE), Tag(_FILTER)
DeclaredVictim = Annotated[Annotated[DeclaredEnsemble, AS_ENSEMBLE] | Annotated[DeclaredFilter, AS_FILTER], KIND]

TAGS = frozenset((_ON_HUB, _IN_REGISTRY, _ENSEMBLE, _FILTER))
"""What pydantic puts into the place of an error beside names of fields."""


def declared_as(composition: Composition, checkpoints: Sequence[Checkpoint]) -> DeclaredEnsemble | DeclaredFilter:
    """The declaration of a victim of several checkpoints, in its order. The reverse of `parts`."""
    if composition == "ensemble":
        return DeclaredEnsemble(kind="ensemble", members=list(checkpoints))
    model, *others = checkpoints
    return DeclaredFilter(kind="filter", model=model, language_model=others[0] if others else None)


def victim_file(victim: DeclaredEnsemble | DeclaredFilter, called: Callable[[Checkpoint], str]) -> str:
    """The text of a victim file that declares the same. called: how the command line names a checkpoint."""
    parts = {field: called(part) for field, part in victim.parts.items()}
    said = {"members": list(parts.values())} if victim.kind == "ensemble" else parts
    return yaml.safe_dump({"kind": victim.kind, **said}, sort_keys=False, width=200)


def name_of(checkpoint: Checkpoint) -> str:
    """What people call a checkpoint, as in checkpoints/a and acme/b@0123456789ab."""
    if isinstance(checkpoint, HubCheckpoint):
        return f"{checkpoint.repo}@{checkpoint.commit[:12]}"
    return checkpoint.path


def checkpoint_named(reference: str) -> Checkpoint | None:
    """The checkpoint that a reference names, as in checkpoints/a and acme/b@COMMIT; None for any other text."""
    repo, at, commit = reference.partition("@")
    try:
        return HubCheckpoint(repo=repo, commit=commit) if at else RegistryCheckpoint(path=reference)
    except ValidationError:
        return None


def full_reference(checkpoint: Checkpoint) -> str:
    """What names a checkpoint without loss, for `checkpoint_named`."""
    return f"{checkpoint.repo}@{checkpoint.commit}" if isinstance(checkpoint, HubCheckpoint) else checkpoint.path


def reference_of(composition: Composition, checkpoints: Sequence[Checkpoint]) -> tuple[str, str | None]:
    """What a result has as the reference and revision of its victim."""
    first, *others = checkpoints
    if composition == "ensemble":
        return f"ensemble of {', '.join(map(name_of, checkpoints))}", None
    if composition == "filter":
        return f"{name_of(first)} behind a filter by {name_of(others[0]) if others else 'itself'}", None
    return (first.repo, first.commit) if isinstance(first, HubCheckpoint) else (first.path, None)
