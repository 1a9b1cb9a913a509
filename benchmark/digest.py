"""The digest of a checkpoint: over the files that decide what a victim answers. Needs no model."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

_TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)


def checkpoint_digest(folder: Path) -> str:
    """SHA-256 (hex) over name and content of every file that decides what the victim answers."""
    digest = hashlib.sha256()
    for path in deciding_files(folder):
        content = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        digest.update(f"{path.name}\0{content.hexdigest()}\n".encode())
    return digest.hexdigest()


def digest_of_several(kind: str, digests: Sequence[str]) -> str:
    """The digest of a victim that is made of several checkpoints. digests: theirs, in its order."""
    return hashlib.sha256(json.dumps({"kind": kind, "members": list(digests)}).encode()).hexdigest()


def deciding_files(folder: Path) -> list[Path]:
    """Weights, configuration and tokenizer: what the digest is over, in order of name."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")]
    others = [folder / name for name in ("config.json", *_TOKENIZER_FILES)]
    return sorted((path for path in (*weights, *others) if path.is_file()), key=lambda path: path.name)
