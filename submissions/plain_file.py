"""Reading the small YAML files that users write, as victim files and sweeps: strictly, with the line of an error."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from ..tasks import RecordError
from .limits import MANIFEST_BYTES, read_limited
from .manifest import explained, place_of
from .safe_yaml import YamlError, read_yaml

Declared = TypeVar("Declared")


def read_plain_file(path: Path, reader: TypeAdapter[Declared]) -> Declared:
    """What a file declares. Raises: RecordError with the line of the first thing that is wrong with it."""
    try:
        document = read_yaml(read_limited(path, MANIFEST_BYTES))
    except YamlError as error:
        raise RecordError(f"{path}:{error.line}: {error}.") from error
    try:
        return reader.validate_python(document.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = place_of(first)
        field = ".".join(str(part)[:64] for part in place)
        raise RecordError(
            f"{path}:{document.line(place)}: {f'{field}: ' if field else ''}{explained(first)}."
        ) from error
