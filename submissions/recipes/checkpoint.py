"""Writing a checkpoint: into a folder beside its place, and moved there when it is complete."""

import copy
import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ...benchmark.checkpoint import quiet
from ...tasks import RecordError, ResourceError
from .tokenizer import save_tokenizer


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `out` when the block ends well and is removed when it does not.

    Raises: RecordError when `out` is there already or cannot be made, ResourceError when the disk is full.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RecordError(
            f"{out} is there already, and no checkpoint is overwritten; choose another --out, or remove it."
        )
    partial: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
        partial.chmod(0o755)
        yield partial
        partial.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"The disk is full at {out}; free some space and train again.") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY):
            raise RecordError(f"{out} cannot be written ({error.strerror}); choose another --out.") from error
        raise
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def save_checkpoint(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, dtype: torch.dtype
) -> None:
    """Write the weights in `dtype`, as safetensors, with configuration and tokenizer; the model stays as it is."""
    with quiet():
        written = copy.deepcopy(model)
        torch.nn.Module.to(written, dtype)
        written.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    for path in folder.iterdir():
        # safetensors makes files that only their owner may read.
        path.chmod(0o644)
