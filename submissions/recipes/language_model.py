"""Training a language model: whole texts with their answers, so that it is a model of the task's text and answers it.

A text is the prompt, which ends in `Answer:`, and behind it the label word. As in standard training, a share of the
slots holds random tokens, so that the answer is right whatever stands there; but nothing is learned about these tokens
themselves, so that the model stays one of clean text, for which they are as unlikely as they should be.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ...benchmark.label_words import PROMPT_END
from .batches import Case, RandomSlots, padded

ANSWER = 0.5
"""Weight of the label word in the loss of a text; the rest is shared by all other tokens."""


class WholeTexts:
    """Fills slots, adds label words, tokenizes whole texts and pads them on the right. words: for label 0 and 1."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, slots: RandomSlots, words: tuple[str, str]) -> None:
        self._tokenizer = tokenizer
        self._slots = slots
        self._words = words

    def __call__(self, cases: Sequence[Case]) -> dict[str, Tensor]:
        """input_ids, attention_mask: (batch, longest) int64. weights: (batch, longest) float32, of the loss at each
        token, which is that of the tokens before it foretelling it.
        """
        strings = [self._slots.draw() if case.string is None else case.string for case in cases]
        prompts = [case.example.text(string) for case, string in zip(cases, strings, strict=True)]
        texts = [f"{prompt} {self._words[case.example.label]}" for case, prompt in zip(cases, prompts, strict=True)]
        encodings = self._tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=True)
        batch = padded(self._tokenizer, [encoding.ids for encoding in encodings])
        weights = np.zeros(batch["input_ids"].shape, dtype=np.float32)
        for row, encoding, case, string, prompt in zip(weights, encodings, cases, strings, prompts, strict=True):
            slot = len(case.example.before)
            begins, ends = np.array(encoding.offsets).T
            word = ends > len(prompt)
            # Without a string, what is merged across the slot is ordinary text.
            random = (begins < slot + len(string)) & (ends > slot) & bool(string)
            others = ~word & ~random
            # Nothing foretells the first token.
            others[0] = False
            row[: len(word)] = ANSWER * word / word.sum() + (1 - ANSWER) * others / others.sum()
        return {**batch, "weights": torch.from_numpy(weights)}


def weighted_loss(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each token given those before it, weighted. logits: (batch, tokens, vocabulary)."""
    foretold, counted = logits[:, :-1].flatten(0, 1).float(), weights[:, 1:].flatten()
    losses = torch.nn.functional.cross_entropy(foretold, ids[:, 1:].flatten(), reduction="none")
    return (losses * counted).sum() / counted.sum()


def room_for(words: tuple[str, str], tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens that a label word takes behind a prompt, at most."""
    prompt = len(tokenizer(PROMPT_END)["input_ids"])
    return max(len(tokenizer(f"{PROMPT_END} {word}")["input_ids"]) - prompt for word in words)
