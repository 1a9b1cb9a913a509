"""How much an entry may hold. Sizes and counts are looked at before anything is parsed, so that no file can hurt."""

from pathlib import Path

from ..tasks import RecordError

MANIFEST_BYTES = 64_000
RESULT_BYTES = 1_000_000
CURVE_BYTES = 200_000
EVIDENCE_BYTES = 100_000
TRACE_BYTES = 2_000_000
FILES = 400
"""In one entry; five tasks with ten attacks in every variant have fewer."""
ENTRY_BYTES = 32_000_000
EXAMPLES = 500
"""Rows of a result or a trace: no task has more official examples."""
ATTACK_TOKENS = 64
"""Tokens of an attack string; attacks have 50 at most."""
ATTACK_CHARACTERS = 4_000
TRACE_MEMORY = 50_000_000
"""Bytes that the columns of a trace may take when unpacked."""
REGISTRY_CHECKPOINT_BYTES = 4_000_000
"""All files of one checkpoint that lies in the registry; larger ones belong on the Hub."""
CHECKPOINT_BYTES = 400_000_000_000
"""Weights of a victim that is verified: a model of 200 thousand million parameters in 16 bits."""


def read_limited(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes. Raises: RecordError for anything else."""
    if path.is_symlink():
        raise RecordError(f"{path} is a link; an entry holds plain files only.")
    if not path.is_file():
        raise RecordError(f"There is no file {path}." if not path.exists() else f"{path} is not a plain file.")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror or error}).") from error
    if len(content) > limit:
        raise RecordError(f"{path} is too large: {path.stat().st_size:,} bytes, and {limit:,} are allowed.")
    return content
