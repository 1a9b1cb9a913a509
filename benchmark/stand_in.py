"""Stand-ins for timing: victims of real shapes with random weights, and prompts that no string breaks.

Speed does not depend on weights. The head is set so that every example holds by far: an attack then runs for as many
iterations as it is given, and every run does the same work.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPTNeoXConfig, PreTrainedTokenizerFast

from ..tasks import Example, UsageError
from .checkpoint import quiet
from .model_shape import PYTHIA, ModelShape, get_shape
from .victim import Victim, load_victim

WORDS = ["river", "stone", "copper", "lantern", "orchard", "winter", "violin", "garden", "morning", "silver"]
END = "\nAnswer:"
LARGE = 2_000_000_000
"""Parameters from which on a checkpoint is written in bfloat16."""


def save_shape(name: str, tokenizer: Path | None, folder: Path) -> Path:
    """Write a classifier of one of Pythia's shapes. tokenizer: its folder; None for one that is made here.

    Raises: UsageError for a shape that is not Pythia's.
    """
    shape = get_shape(name)
    if name not in PYTHIA:
        raise UsageError(f"No stand-in is made of the shape '{name}'; choose one of {', '.join(PYTHIA)}.")
    torch.manual_seed(0)
    config = config_of(shape, pad_token_id=1, num_labels=2)
    dtype = torch.float32 if shape.parameters < LARGE else torch.bfloat16
    with quiet():
        AutoModelForSequenceClassification.from_config(config, dtype=dtype).save_pretrained(folder)
    words = made_tokenizer() if tokenizer is None else AutoTokenizer.from_pretrained(tokenizer)
    words.save_pretrained(folder)
    return folder


def config_of(shape: ModelShape, **changes: Any) -> GPTNeoXConfig:
    """transformers' configuration of one of Pythia's shapes."""
    changes = {"rotary_pct": 0.25, **changes}
    return GPTNeoXConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=2048,
        **changes,
    )


def load_shape(folder: Path, device: str | None, dtype: str | None) -> Victim:
    """The classifier with a head that says label 0 to whatever ends as the prompts do, by a margin of about 20.

    Margins of random strings differ by about 0.5, as those of a trained classifier do: between candidates that are all
    alike an attack would have to settle ties.
    """
    victim = load_victim(folder, device=device, dtype=dtype)
    example = prompts(victim, 60, 1)[0]
    generator = torch.Generator().manual_seed(0)
    strings = victim.vocabulary.write(victim.vocabulary.draw(np.random.default_rng(0), 32, 10))
    models: list[Any] = [victim.model] if victim.exact else [victim.model, victim.judge]
    for model in models:
        with torch.inference_mode():
            ends = torch.stack(
                [
                    model.base_model(input_ids=victim.token_ids(example.text(string))).last_hidden_state[0, -1].float()
                    for string in strings
                ]
            )
        mean = ends.mean(dim=0)
        sensitive = torch.randn(ends.shape[1], generator=generator).to(mean)
        sensitive = sensitive - (sensitive @ mean) / mean.square().sum() * mean
        direction = 10 * mean / mean.square().sum() + 0.25 * sensitive / (ends @ sensitive).std()
        model.score.weight.copy_(torch.stack([direction, -direction]).to(model.dtype))
    return victim


def prompts(victim: Victim, tokens: int, count: int) -> list[Example]:
    """Examples of about so many tokens each, all different, with a string of 10 tokens."""
    examples = []
    for number in range(count):
        before = f"{number}:"
        while len(victim.tokenizer(before + END)["input_ids"]) + 11 < tokens:
            before += f" {WORDS[(number + len(before)) % len(WORDS)]}"
        examples.append(Example(f"{tokens}-{number}", before + "\n", END, 0))
    return examples


def made_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 16,384 tokens, learned from the word list of the generated tasks."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=16_384,
        special_tokens=["<|endoftext|>", "<|padding|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = (files("holdfast.tasks") / "words.txt").read_text(encoding="utf-8").split()
    tokenizer.train_from_iterator((f"{word} {word.capitalize()}\n {word}" for word in words), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|padding|>", model_max_length=2048
    )
