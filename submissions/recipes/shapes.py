"""Shapes of the small models that are trained from scratch: GPT-NeoX-shaped, as the Pythia models are."""

import math
from dataclasses import dataclass

import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GPTNeoXForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ...tasks import UsageError
from .tokenizer import pad_id


@dataclass(frozen=True)
class Shape:
    """width: of the residual stream. vocabulary: tokens of the tokenizer. context: longest input in tokens."""

    layers: int = 2
    width: int = 64
    heads: int = 2
    vocabulary: int = 400
    context: int = 256

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "context"):
            if getattr(self, name) < 1:
                raise UsageError(f"A model needs {name} of at least 1, not {getattr(self, name)}.")
        if self.width % (2 * self.heads):
            raise UsageError(
                f"A width of {self.width} cannot be shared by {self.heads} heads of an even size; choose a multiple of "
                f"{2 * self.heads}."
            )


def new_model(
    shape: Shape, tokenizer: PreTrainedTokenizerFast, labels: tuple[str, str] | None, seed: int
) -> PreTrainedModel:
    """A model of that shape with random weights, in fp32: a classifier with these labels, or a language model.

    The last token's output is what classifies a text.
    """
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=shape.context,
        # GELU takes almost a third of a small model's forward pass on a CPU.
        hidden_act="relu",
        # Small init [Nguyen & Salazar 2019]: the default of 0.02 keeps so narrow a model near zero for long.
        initializer_range=math.sqrt(2 / (5 * shape.width)),
        # Each MLP sees what its own layer attended to: with two layers, few tasks are learned without.
        use_parallel_residual=False,
        classifier_dropout=0.0,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 1.0},
        bos_token_id=pad_id(tokenizer),
        eos_token_id=pad_id(tokenizer),
        pad_token_id=pad_id(tokenizer),
    )
    if labels is not None:
        with_labels(config, labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPTNeoXForCausalLM(config) if labels is None else GPTNeoXForSequenceClassification(config)


def with_labels(config: PreTrainedConfig, labels: tuple[str, str]) -> None:
    """Have a configuration describe a classifier with these labels."""
    config.problem_type = "single_label_classification"
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: i for i, label in enumerate(labels)}
