"""What the tests of this room share."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from transformers import PreTrainedTokenizerFast
from victims import byte_fallback_tokenizer, byte_level_tokenizer, metaspace_tokenizer, word_piece_tokenizer

from holdfast.benchmark.vocabulary import AttackVocabulary, attack_vocabulary

TOKENIZERS = {
    "byte-level": byte_level_tokenizer,
    "byte-fallback": byte_fallback_tokenizer,
    "word-piece": word_piece_tokenizer,
    "unigram": metaspace_tokenizer,
}


@pytest.fixture(scope="module", params=[*TOKENIZERS, "pythia"])
def tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """One of every common kind, trained on the spot, and the real one of Pythia."""
    if request.param != "pythia":
        return TOKENIZERS[request.param]()
    folder = request.getfixturevalue("mirror") / "models/EleutherAI/pythia-14m"
    if not (folder / "tokenizer.json").is_file():
        pytest.skip("needs models/EleutherAI/pythia-14m/tokenizer.json in the mirror")
    return PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def vocabulary(tokenizer: PreTrainedTokenizerFast) -> AttackVocabulary:
    return attack_vocabulary(tokenizer, len(tokenizer), exclude={tokenizer.pad_token_id or 0})


@pytest.fixture(scope="module")
def byte_level() -> AttackVocabulary:
    tokenizer = byte_level_tokenizer()
    return attack_vocabulary(tokenizer, len(tokenizer))


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which the operating system lets no file grow beyond so many bytes: a full disk, for real."""

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
