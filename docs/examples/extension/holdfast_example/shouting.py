"""shouting: is a word of the message in capital letters? Quick to learn, and quick to break."""

from collections.abc import Sequence

from holdfast.tasks import Draws, GeneratedSource, Task

WORDS = 4


def message(words: Sequence[str], label: int, draws: Draws) -> dict[str, str]:
    """Label 1: four words, one of them in capital letters. Label 0: four words, none of them."""
    said = [draws.pick(words) for _ in range(WORDS)]
    if label == 1:
        loud = draws.below(WORDS)
        said[loud] = said[loud].upper()
    return {"message": " ".join(said)}


task = Task(
    name="shouting",
    title="Shouting",
    description="A message of four words is shown. Is one of them in capital letters?",
    version=1,
    labels=("no", "yes"),
    slot="On a line of its own, after the message.",
    before=(
        "Does the message shout? Answer yes if one of its words is in capital letters, or no if none is.\n"
        "Message: {message}\n"
    ),
    after="\nAnswer:",
    source=GeneratedSource(message),
    digest="67532376dd45e312f8953e6e05fce700c4cb8055834e7e1dbd79eed661f92aae",
    licence="Apache-2.0; the words are from SCOWL, under the notice in holdfast's words.NOTICE",
    citation="Our own, for illustration",
    homepage="https://example.org/shouting",
)
