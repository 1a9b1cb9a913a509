"""The manifest: `submission.yaml`, what an entry says about itself.

Its JSON Schema is in docs/schema/. Reading collects every error, each with its line, because a submitter wants to see
them all at once.
"""

import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..tasks import RecordError
from .declared import TAGS, UNKNOWN_KIND, Checkpoint, Composition, DeclaredVictim, reference_of
from .limits import MANIFEST_BYTES, read_limited
from .safe_yaml import YamlError, read_yaml

SCHEMA_VERSION = 1
MANIFEST_FILE = "submission.yaml"
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
TASK_NAME = r"^[a-z0-9]+([-_][a-z0-9]+)*$"


def not_plain(text: str, *, limit: int) -> str | None:
    """Why a text of a stranger is not one plain line: too long, empty, or with characters that hide or reorder it."""
    if len(text) > limit:
        return f"the text is longer than {limit} characters"
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"):
            return f"the character U+{ord(character):04X} is not allowed; write plain text"
    return None if text.strip() else "the text is empty"


def _one_line(text: str) -> str:
    if problem := not_plain(text, limit=len(text)):
        raise ValueError("the text must be on one line" if "\n" in text else problem)
    return text


def _plain(text: str) -> str:
    _one_line(text.replace("\n", " "))
    return text


def _web_link(url: str) -> str:
    message = "only links that begin with http:// or https:// and name a host are allowed"
    if not url.isascii() or not url.isprintable() or any(character in url for character in " <>\"'`\\{}|^"):
        raise ValueError(f"{message}, in plain ASCII; percent-encode the rest")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(message) from error
    if parts.scheme not in ("http", "https") or not host or "." not in host or port == 0:
        raise ValueError(message)
    if parts.username is not None or parts.password is not None:
        raise ValueError("a link must not hold a user name or password")
    return url


def _licence(expression: str) -> str:
    try:
        return canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        raise ValueError(
            "this is not an SPDX licence expression like Apache-2.0 or MIT; for others write LicenseRef- and a name"
        ) from error


Line = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]
Prose = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_plain)]
_WEB = r"^https?://"
Link = Annotated[str, Field(max_length=500, pattern=_WEB), AfterValidator(_web_link)]
Slug = Annotated[str, Field(min_length=2, max_length=64, pattern=SLUG)]
Licence = Annotated[str, Field(max_length=120, description="SPDX expression"), AfterValidator(_licence)]
Compute = Annotated[float, Field(ge=0, le=1e30, allow_inf_nan=False, description="FLOP")]

DefenceKind = Literal["none", "adversarial-training", "filter", "ensemble", "other"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Author(_Strict):
    name: Line
    url: Link | None = None


class WebLink(_Strict):
    title: Line
    url: Link


class TrainingCompute(_Strict):
    """What training took by stage, in FLOP; null or absent where it is not known."""

    pretraining: Compute | None = None
    fine_tuning: Compute | None = None
    defence: Compute | None = None


class TaskEntry(_Strict):
    """What was submitted for one task: a checkpoint, or a victim that is made of several."""

    checkpoint: Checkpoint | None = None
    victim: DeclaredVictim | None = None
    parameters: Annotated[int, Field(gt=0, le=10**15, description="N: all parameters, embeddings included")]
    compute: TrainingCompute = TrainingCompute()

    @model_validator(mode="after")
    def _one_or_the_other(self) -> "TaskEntry":
        if self.checkpoint is not None and self.victim is not None:
            raise ValueError("it has a checkpoint and a victim; give the one that was scored")
        return self

    @property
    def composition(self) -> Composition:
        """How the victim is put together."""
        return "checkpoint" if self.victim is None else self.victim.kind

    @property
    def checkpoints(self) -> dict[str, Checkpoint]:
        """What the victim is made of, in order, by field; nothing for figures from a publication."""
        if self.victim is not None:
            return {f"victim.{field}": part for field, part in self.victim.parts.items()}
        return {} if self.checkpoint is None else {"checkpoint": self.checkpoint}

    @property
    def reference(self) -> tuple[str, str | None]:
        """What a result has as the reference and revision of this victim."""
        return reference_of(self.composition, list(self.checkpoints.values()))


class Defence(_Strict):
    kind: DefenceKind
    description: Prose | None = None


class Citation(_Strict):
    """The publication that reported figures are taken from."""

    title: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_one_line)]
    authors: Annotated[list[Line], Field(min_length=1, max_length=50)]
    year: Annotated[int, Field(ge=1900, le=2100)]
    url: Link


class Reported(_Strict):
    """Only for entries whose figures come from a publication."""

    citation: Citation
    note: Prose


class Manifest(_Strict):
    """What an entry says about itself."""

    schema_version: Literal[1]
    slug: Annotated[Slug, Field(description="The entry's name in links; also its folder's")]
    name: Annotated[Line, Field(description="What readers see")]
    description: Prose | None = None
    authors: Annotated[list[Author], Field(min_length=1, max_length=50)]
    links: Annotated[list[WebLink], Field(max_length=20)] = []
    licence: Annotated[Licence, Field(description="Of the checkpoints")]
    submitted: date
    family: Annotated[Line, Field(description="Model family, like Pythia")]
    defence: Defence
    tasks: Annotated[
        dict[Annotated[str, Field(max_length=64, pattern=TASK_NAME)], TaskEntry], Field(min_length=1, max_length=50)
    ]
    reported: Reported | None = None

    @model_validator(mode="after")
    def _checkpoints_where_they_belong(self) -> "Manifest":
        for name, task in self.tasks.items():
            if self.reported is None and not task.checkpoints:
                raise ValueError(f"the task {name} has no checkpoint; give its `repo` and `commit`, or its `path`")
            if self.reported is not None and task.checkpoints:
                raise ValueError(f"figures from a publication have no checkpoint, but the task {name} has one")
        return self


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an entry: in which file, at which line or field, and what to do."""

    file: Path
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line or 1}: {self.message}" if self.line else f"{self.file}: {self.message}"


def parse_manifest(content: bytes, file: Path) -> tuple[Manifest | None, list[Problem]]:
    """The manifest in a file's content, or everything that is wrong with it."""
    try:
        document = read_yaml(content)
    except YamlError as error:
        return None, [Problem(file, f"{error}.", error.line)]
    try:
        return Manifest.model_validate(document.data), []
    except ValidationError as error:
        problems = []
        for each in error.errors(include_url=False):
            path = place_of(each)
            field = ".".join(str(part)[:64] for part in path)
            message = explained(each)
            problems.append(Problem(file, f"{field}: {message}." if field else f"{message}.", document.line(path)))
        return None, problems


def place_of(error: Any) -> tuple[str | int, ...]:
    """Where one of pydantic's errors is in a document."""
    path = tuple(part for part in error["loc"] if part not in TAGS)
    return (*path, "kind") if error["type"] == UNKNOWN_KIND and isinstance(error["input"], dict) else path


_EXPLANATIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "this field is required and is missing",
    "extra_forbidden": lambda _: "there is no such field here; remove it, or correct its name",
    "string_type": lambda each: f"this must be text, and YAML reads it as {_kind(each['input'])}; put it in quotes",
    "int_type": lambda each: f"this must be a whole number, not {_kind(each['input'])}",
    "float_type": lambda each: f"this must be a number, not {_kind(each['input'])}",
    "finite_number": lambda _: "this must be a finite number",
    "list_type": lambda _: "this must be a list, its items on lines that begin with '- '",
    "dict_type": lambda _: "this must be a mapping of names to values",
    "model_type": lambda _: "this must be a mapping of names to values",
    "date_type": lambda _: "this must be a date like 2026-01-31, without quotes",
    "value_error": lambda each: str(each["ctx"]["error"]),
    UNKNOWN_KIND: lambda each: _about_kind(each["input"]),
}


def explained(error: Any) -> str:
    """One of pydantic's errors, as a submitter understands it, without a full stop."""
    explain = _EXPLANATIONS.get(error["type"])
    if explain:
        return explain(error)
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == SLUG:
        return "a slug has only small ASCII letters, digits and single '-' between them"
    if error["type"] == "string_pattern_mismatch" and error["loc"][-1:] == ("commit",):
        return "this must be the full commit hash, 40 hexadecimal digits in small letters"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == _WEB:
        return "only links that begin with http:// or https:// are allowed"
    message = str(error["msg"])
    return message[0].lower() + message[1:]


def _about_kind(declared: object) -> str:
    """Why a victim is none of those that are made of several checkpoints."""
    if not isinstance(declared, dict):
        return _EXPLANATIONS["model_type"]({})
    return "input should be 'ensemble' or 'filter'" if "kind" in declared else _EXPLANATIONS["missing"]({})


def _kind(value: object) -> str:
    names = {bool: "yes/no", int: "a number", float: "a number", date: "a date", type(None): "nothing", str: "text"}
    return names.get(type(value), "a list or mapping")


def read_manifest(file: Path) -> Manifest:
    """Load a manifest. Raises: RecordError with the first thing that is wrong with it."""
    manifest, problems = parse_manifest(read_limited(file, MANIFEST_BYTES), file)
    if manifest is None:
        raise RecordError(str(problems[0]))
    return manifest


def manifest_yaml(manifest: Manifest) -> bytes:
    """A manifest as the text of `submission.yaml`."""
    data = manifest.model_dump(mode="python", exclude_none=True, exclude_defaults=False)
    if not data["links"]:
        del data["links"]
    for task in data["tasks"].values():
        if not task["compute"]:
            del task["compute"]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110).encode()


def manifest_schema() -> str:
    """The JSON Schema of a manifest, as published under docs/schema/."""
    schema = Manifest.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
