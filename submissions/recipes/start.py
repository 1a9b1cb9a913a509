"""Where training starts: a small new model, or a checkpoint that somebody trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ...benchmark.victim import DTYPES
from ...tasks import Example
from .base import load_base, load_tokenizer_of
from .shapes import Shape, new_model
from .tokenizer import train_tokenizer
from .training_record import Compute, read_training_record


@dataclass
class Start:
    """A model before training. spent: compute that went into it so far. whole: whether it has a trained head."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    dtype: torch.dtype
    spent: Compute
    revision: str | None
    whole: bool


def from_scratch(
    shape: Shape,
    labels: tuple[str, str] | None,
    examples: Sequence[Example],
    tokenizer_of: str | Path | None,
    seed: int,
    weights_dtype: str | None,
) -> Start:
    """A new model. labels: of a classifier; None for a language model. tokenizer_of: a checkpoint to share it with."""
    if tokenizer_of is None:
        tokenizer = train_tokenizer((example.text() for example in examples), shape.vocabulary, shape.context)
    else:
        tokenizer = load_tokenizer_of(tokenizer_of)
        tokenizer.model_max_length = shape.context
    return Start(
        model=new_model(shape, tokenizer, labels, seed),
        tokenizer=tokenizer,
        dtype=DTYPES[weights_dtype or "float16"],
        spent=Compute(pretraining=0, fine_tuning=0, defence=0),
        revision=None,
        whole=False,
    )


def from_base(reference: str | Path, labels: tuple[str, str] | None, seed: int, weights_dtype: str | None) -> Start:
    """A checkpoint's model, with a new head where it has none of the kind. labels: as for `from_scratch`."""
    base = load_base(reference, labels, seed)
    before = read_training_record(Path(reference).expanduser())
    return Start(
        model=base.model,
        tokenizer=base.tokenizer,
        dtype=DTYPES[weights_dtype] if weights_dtype else base.dtype,
        spent=before.compute if before else Compute(pretraining=None, fine_tuning=0, defence=0),
        revision=base.revision,
        whole=base.whole,
    )
