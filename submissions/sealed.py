"""A stranger's checkpoint, made safe to load: only the files that its digest covers, and nothing that reaches further.

A checkpoint folder can hold more than weights: adapters that are merged in silence, distributed checkpoints with
pickles, code. So the victim is loaded from a folder with links to exactly the files that the digest is over, after
their sizes and those fields of the configuration that make transformers fetch something else have been looked at.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants, snapshot_download

from ..benchmark.digest import deciding_files
from ..benchmark.foreign_code import fetches_code, is_quantized, names_other_files
from ..tasks import CheckpointError, HoldfastError
from .declared import Checkpoint, HubCheckpoint, checkpoint_named, name_of
from .entry import checkpoint_in_registry
from .limits import CHECKPOINT_BYTES

CONFIG_BYTES = 1_000_000
"""The configuration of a model; the largest known has some 100 kB."""
INDEX_BYTES = 50_000_000
TOKENIZER_BYTES = 100_000_000
"""One file of a tokenizer; those of the largest vocabularies have some 35 MB."""


def fetch(checkpoint: HubCheckpoint, allowed: int = CHECKPOINT_BYTES) -> Path:
    """The folder of a checkpoint on the Hub, in the Hub's cache; fetched if need be, and only if it is not too large.

    allowed: bytes. Raises: CheckpointError.
    """
    from ..benchmark.checkpoint import DOWNLOADED, locate

    name = name_of(checkpoint)
    if not constants.HF_HUB_OFFLINE:
        try:
            files = snapshot_download(
                checkpoint.repo, revision=checkpoint.commit, allow_patterns=DOWNLOADED, dry_run=True
            )
        except Exception:  # the client raises its own and httpx's; `locate` meets the same and says what it means
            files = []
        size = sum(file.file_size or 0 for file in files)
        missing = sum(file.file_size or 0 for file in files if file.will_download)
        if size > allowed:
            raise CheckpointError(f"{name} has {size:,} bytes, and {allowed:,} are allowed.")
        cache = next(folder for folder in (Path(constants.HF_HUB_CACHE), Path.home()) if folder.exists())
        if missing > (free := shutil.disk_usage(cache).free):
            raise CheckpointError(
                f"{name} takes {missing:,} bytes to download, and {free:,} are free at {cache}; make room, or set "
                "HF_HOME to a larger disk."
            )
    return locate(checkpoint.repo, checkpoint.commit)[1]


@contextmanager
def sealed(folder: Path) -> Iterator[Path]:
    """A temporary folder with links to the files of a checkpoint that its digest covers, and no others."""
    with tempfile.TemporaryDirectory(prefix="holdfast-victim-") as made:
        for path in deciding_files(folder):
            (Path(made) / path.name).symlink_to(path.resolve())
        yield Path(made)


def sealed_parts(
    checkpoints: Sequence[Checkpoint], registry: Path, known: dict[Checkpoint, Path], stack: ExitStack
) -> tuple[Path, ...]:
    """The checkpoints of a victim, each fetched once and sealed as long as the stack lasts. known: those that are so.

    Raises: CheckpointError, RecordError when one cannot be had, or they are too large together.
    """
    left = CHECKPOINT_BYTES
    for checkpoint in dict.fromkeys(checkpoints):
        if checkpoint not in known:
            on_hub = isinstance(checkpoint, HubCheckpoint)
            found = fetch(checkpoint, left) if on_hub else checkpoint_in_registry(registry, checkpoint)
            known[checkpoint] = stack.enter_context(sealed(found))
        left -= weight_bytes(known[checkpoint])
    return tuple(known[checkpoint] for checkpoint in checkpoints)


def sealed_proposals(
    references: Sequence[str], registry: Path, known: dict[Checkpoint, Path], stack: ExitStack
) -> tuple[dict[str, Path], dict[str, str]]:
    """The language models that guided attacks which are to be run again, sealed; and why that cannot be of others."""
    found: dict[str, Path] = {}
    lacking: dict[str, str] = {}
    for reference in dict.fromkeys(references):
        cannot = f"its attack cannot be run again here: the proposal {reference!r}"
        checkpoint = checkpoint_named(reference)
        if checkpoint is None:
            lacking[reference] = f"{cannot} is neither in the registry nor on the Hub at a commit"
            continue
        try:
            [found[reference]] = sealed_parts([checkpoint], registry, known, stack)
        except HoldfastError as error:
            lacking[reference] = f"{cannot} cannot be had ({str(error).removesuffix('.')})"
    return found, lacking


def weight_bytes(folder: Path) -> int:
    """Size of the weights of a checkpoint."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def refuse_unsafe(folder: Path) -> None:
    """Look at a sealed checkpoint before transformers does. Raises: CheckpointError.

    To be called in a process with limits (`bounded`): the files are a stranger's.
    """
    total = 0
    for path in folder.iterdir():
        size = path.stat().st_size
        total += size
        most = TOKENIZER_BYTES
        if path.name == "config.json":
            most = CONFIG_BYTES
        elif path.name.endswith(".index.json"):
            most = INDEX_BYTES
        elif path.suffix == ".safetensors":
            most = CHECKPOINT_BYTES
        if size > most:
            raise CheckpointError(f"its {path.name} has {size:,} bytes, and {most:,} are allowed.")
    if total > CHECKPOINT_BYTES:
        raise CheckpointError(f"it has {total:,} bytes, and {CHECKPOINT_BYTES:,} are allowed.")
    for path in folder.glob("*.index.json"):
        shards = _json(path).get("weight_map", {})
        for shard in shards.values() if isinstance(shards, dict) else ():
            if not isinstance(shard, str) or Path(shard).name != shard or os.sep in shard:
                raise CheckpointError(f"its {path.name} names the weight file {shard!r}, outside its folder.")
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and (field := names_other_files(_json(folder / name))):
            raise CheckpointError(f"its {name} has the field {field}, which leads to other files; remove that field.")
    if (folder / "config.json").is_file():
        config = _json(folder / "config.json")
        if fetched := fetches_code(config):
            raise CheckpointError(
                f"its config.json asks for the {fetched}, for which code would be fetched; remove that field."
            )
        if is_quantized(config):
            raise CheckpointError(
                "its config.json asks for quantization, which cannot be judged in float32; save it as is."
            )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"its {path.name} cannot be read as JSON.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"its {path.name} is not a mapping of names to values.")
    return content
