"""Models and prompts for timing: Pythia's shapes with random weights, its real tokenizer, and no string that breaks.

Weights are random, as speed does not depend on them; the head is set so that every example holds by far, so that an
attack runs for as many iterations as it is given and every run does the same work.
"""

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPTNeoXConfig

from holdfast.benchmark import Victim, load_victim
from holdfast.tasks import Example

PYTHIA = {
    "14m": (128, 6, 4),
    "31m": (256, 6, 8),
    "70m": (512, 6, 8),
    "160m": (768, 12, 12),
    "410m": (1024, 24, 16),
    "1b": (2048, 16, 8),
    "1.4b": (2048, 24, 16),
}
"""Width, layers and heads [Biderman et al. 2023, arXiv 2304.01373, table 1; 14m and 31m from their configurations]."""
WORDS = ["river", "stone", "copper", "lantern", "orchard", "winter", "violin", "garden", "morning", "silver"]
END = "\nAnswer:"


def save_shape(name: str, tokenizer: Path, folder: Path) -> Path:
    """Write a classifier of one of Pythia's shapes."""
    width, layers, heads = PYTHIA[name]
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=50_304,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        rotary_pct=0.25,
        max_position_embeddings=2048,
        num_labels=2,
        pad_token_id=1,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return folder


def load_shape(folder: Path, device: str, dtype: str | None) -> Victim:
    """The classifier with a head that says label 0 to whatever ends as the prompts do, by a margin of about 20."""
    victim = load_victim(folder, device=device, dtype=dtype)
    with torch.inference_mode():
        ids = victim.tokenizer(prompts(victim, 60, 1)[0].text(), return_tensors="pt")["input_ids"].to(victim.device)
        end = victim.model.base_model(input_ids=ids).last_hidden_state[0, -1].float()
    direction = 10 * end / end.square().sum()
    victim.model.score.weight.copy_(torch.stack([direction, -direction]).to(victim.dtype))
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
