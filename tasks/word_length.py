"""word-length: is the second word longer than the first? Harder for a model that reads tokens, not letters."""

from collections.abc import Sequence

from .generated import Draws, GeneratedSource
from .task import Task


def word_pair(words: Sequence[str], label: int, draws: Draws) -> dict[str, str]:
    """Label 1: the second word is strictly longer. Label 0: it is as long or shorter, and another word."""
    while True:
        first, second = draws.pick(words), draws.pick(words)
        if first != second and (len(second) > len(first)) == bool(label):
            return {"first": first, "second": second}


task = Task(
    name="word-length",
    title="Word length",
    description="Two ordinary English words are shown. Is the second one strictly longer than the first?",
    version=1,
    labels=("no", "yes"),
    slot="On a line of its own, after the two words.",
    before=(
        "Two words follow. Count the letters of each, and answer yes if the second word is longer than the first, or "
        "no if it is as long or shorter.\nFirst word: {first}\nSecond word: {second}\n"
    ),
    after="\nAnswer:",
    source=GeneratedSource(word_pair),
    digest="46c570c73d9648091a46e28b4029ff6b1771f7e6c4573a5256711955af861e2c",
    licence="Apache-2.0; the words are from SCOWL, under the notice in words.NOTICE",
    citation=(
        "After the WordLength task of Howe et al. 2024, Effects of Scale on Language Model Robustness, "
        "arXiv:2407.18213; generator and prompt are our own"
    ),
    homepage="https://arxiv.org/abs/2407.18213",
)
