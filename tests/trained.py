"""Tiny classifiers of several architectures that have really learned something: is it a season, or a colour?"""

from itertools import product
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
from victims import ARCHITECTURES, byte_level_tokenizer, save_checkpoint, word_piece_tokenizer

from holdfast.tasks import Example

_SEASONS = ("winter", "summer", "autumn", "spring")
_COLOURS = ("yellow", "purple", "copper", "silver")
_THINGS = ("apple", "river", "stone", "cloud", "lantern", "orchard", "pepper", "violin", "garden", "marble")
_PEOPLE = ("teacher", "farmer", "painter", "sailor", "doctor", "lawyer", "singer", "dancer", "writer", "pilot")
STEPS, BATCH = 80, 16


def _examples() -> list[Example]:
    found = []
    for number, (word, thing, person) in enumerate(product((*_SEASONS, *_COLOURS), _THINGS, _PEOPLE)):
        told = f"{thing} {word}\n" + f"the {person} of a {thing}, said {word}: is it {person}?\n" * (1 + number % 2)
        found.append(Example(f"word-{number}", told, "\nYes or no.", int(word in _COLOURS)))
    return [found[place] for place in np.random.default_rng(0).permutation(len(found)).tolist()]


_EVERY = _examples()
EXAMPLES = _EVERY[:60]
"""Kept aside from training, of one or two sentences."""


def save_trained(folder: Path, architecture: str) -> Path:
    """Write a checkpoint that answers EXAMPLES rightly, whatever stands in the slot."""
    encoder = architecture in ("bert", "modernbert")
    tokenizer = word_piece_tokenizer() if encoder else byte_level_tokenizer()
    save_checkpoint(folder, architecture, tokenizer, scale=1.0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    for _ in range(STEPS):
        chosen = [_EVERY[len(EXAMPLES) + place] for place in rng.integers(len(_EVERY) - len(EXAMPLES), size=BATCH)]
        texts = [each.text(_noise(rng, tokenizer)) for each in chosen]
        batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
        labels = torch.tensor([each.label for each in chosen])
        batch.pop("token_type_ids", None)
        # Without smoothing so easy a task ends in saturated answers.
        torch.nn.functional.cross_entropy(model(**batch).logits, labels, label_smoothing=0.1).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


def _noise(rng: np.random.Generator, tokenizer: PreTrainedTokenizerFast) -> str:
    """What the slot holds in training: nothing, or random tokens."""
    if rng.random() < 0.25:
        return ""
    ids = rng.integers(5, len(tokenizer), size=10).tolist()
    text = tokenizer.decode(ids)
    assert isinstance(text, str)
    return text


assert set(ARCHITECTURES) >= {"gpt2", "llama", "bert", "modernbert"}
