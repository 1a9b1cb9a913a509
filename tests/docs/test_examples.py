"""The Python blocks in the documents run as they stand, one after the other, wherever there is an installation."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.submissions.checkpoints import checkpoint_names

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = "password-match-undefended"


def blocks(document: str) -> list[str]:
    """The Python blocks of a document, each padded to its line so that a traceback points into the document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        "\n" * text[: match.start(1)].count("\n") + match[1]
        for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("document", ["README.md", "docs/api.md", "docs/health-checks.md"])
def test_the_examples_in_a_document_run(document: str, tmp_path: Path) -> None:
    if CHECKPOINT not in checkpoint_names():
        pytest.skip(f"needs the bundled checkpoint {CHECKPOINT}")
    examples = blocks(document)
    assert examples
    # One program, in an empty folder: the blocks share their names, and must not need anything from the checkout.
    program = "\n".join(f"exec(compile({block!r}, {document!r}, 'exec'))" for block in examples)
    (tmp_path / "examples.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "examples.py"],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
