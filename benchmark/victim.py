"""The victim: a loaded classifier or causal language model, and its public path from text to logits.

A checkpoint comes from a local folder or from the Hub at a commit. Weights are read from safetensors only and no
code from the checkpoint is run. The model that the attack searches with may be in low precision; what it claims is
judged by the same weights in fp32, one unpadded text at a time, so that a verdict depends on nothing but the text.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ..tasks import CheckpointError, UsageError
from .batch import one_sequence_on
from .checkpoint import (
    check_files,
    context_of,
    first_line,
    load_config,
    load_model,
    load_tokenizer,
    locate,
)
from .digest import checkpoint_digest
from .label_words import is_causal, label_tokens, with_two_rows
from .vocabulary import AttackVocabulary, attack_vocabulary

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass
class Victim:
    """A checkpoint ready to be attacked.

    model: what the attack searches with, in `dtype`, on `device`, in evaluation mode, without gradients.
    parameters: N, all parameters, embeddings included.
    context: the longest input in tokens.
    digest: SHA-256 over the names and contents of the weight, configuration and tokenizer files.
    causal: whether it is a causal language model, which answers in the words of a task: `for_labels` gives the victim
    that does. label_tokens: those words' first tokens, whose two logits are then all that `model` computes.
    spread: whether models are spread over all cards; `device` is then the one that inputs go to.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    reference: str
    revision: str | None
    folder: Path
    device: torch.device
    dtype: torch.dtype
    digest: str
    context: int
    parameters: int
    causal: bool = False
    label_tokens: tuple[int, int] | None = None
    spread: bool = False

    def for_labels(self, labels: Sequence[str]) -> "Victim":
        """This victim, answering with the logits of two label words if it is a language model; a classifier as it is.

        labels: the words for label 0 and label 1, as `task.labels`. Raises: CheckpointError when its tokenizer cannot
        tell the words apart, UsageError when it answers in others already.
        """
        if not self.causal:
            return self
        tokens = label_tokens(self.tokenizer, labels, self.reference)
        if self.label_tokens is not None:
            if self.label_tokens != tokens:
                raise UsageError(f"{self.reference} answers in other label words already; load it again.")
            return self
        bound = replace(self, model=with_two_rows(self.model, tokens, self.reference), label_tokens=tokens)
        bound.vocabulary = self.vocabulary
        if not self.exact and "judge" in self.__dict__:
            # Loaded already; it need not be a second time.
            bound.judge = with_two_rows(self.judge, tokens, self.reference)
        return bound

    def calibrated(self, texts: Callable[[], Sequence[str]]) -> "Victim":
        """This victim, with whatever it sets by a task's training texts; most set nothing."""
        return self

    @property
    def kind(self) -> Literal["classifier", "language-model", "ensemble", "filter"]:
        """How it answers, as results say it."""
        return "language-model" if self.causal else "classifier"

    @property
    def filter_threshold(self) -> float | None:
        """Mean loss per token above which a text gets no answer, in nats; None without a filter."""
        return None

    @property
    def architecture(self) -> str:
        """The name that transformers has for its architecture."""
        return str(self.model.config.model_type)

    def require_labels(self) -> None:
        """Raises: UsageError for a language model that has not been told its label words."""
        if self.causal and self.label_tokens is None:
            raise UsageError(
                f"{self.reference} is a language model, which answers in the words of a task; name them with "
                "victim.for_labels(task.labels)."
            )

    @cached_property
    def vocabulary(self) -> AttackVocabulary:
        """The attack vocabulary of the tokenizer. Raises: CheckpointError when it is empty."""
        return common_vocabulary([self])

    @property
    def pads(self) -> set[int]:
        """Token ids that stand for padding, which a classifier's pooling skips; an attacker may not write them."""
        candidates = (self.model.config.get_text_config().pad_token_id, self.tokenizer.pad_token_id)
        return {token_id for token_id in candidates if isinstance(token_id, int)}

    @property
    def exact(self) -> bool:
        """Whether the attack's model and the judge are the same fp32 weights."""
        return self.dtype == torch.float32

    @cached_property
    def judge(self) -> PreTrainedModel:
        """The fp32 model that decides; loaded when it is first needed if the attack runs in lower precision."""
        if self.exact:
            return self.model
        model = load_model(
            self.folder, self.reference, torch.float32, self.device, causal=self.causal, spread=self.spread
        )
        return model if self.label_tokens is None else with_two_rows(model, self.label_tokens, self.reference)

    @property
    def judges(self) -> list[PreTrainedModel]:
        """Every fp32 model that takes part in a verdict."""
        return [self.judge]

    def in_float32(self) -> "Victim":
        """The victim with its judge in place of the model that the attack searches with."""
        if self.exact:
            return self
        judging = replace(self, model=self.judge, dtype=torch.float32)
        judging.vocabulary = self.vocabulary
        return judging

    def logits(self, text: str) -> np.ndarray:
        """The public path: one text, tokenized from scratch, unpadded, in fp32. Returns (2,) float32."""
        self.require_labels()
        with torch.inference_mode(), one_thread_on_cpu(self.device):
            found = self.judged(self.token_ids(text))
            return (found if self.label_tokens is None else found[-1]).float().cpu().numpy()

    def token_ids(self, text: str) -> torch.Tensor:
        """A text, tokenized from scratch: (1, tokens). Raises: CheckpointError for tokens that the model lacks."""
        ids = self.tokenizer(text, return_tensors="pt")["input_ids"].to(self.device)
        rows = len(embedding_table(self.judge))
        if int(ids.max()) >= rows:
            raise CheckpointError(
                f"The tokenizer of {self.reference} writes the token {int(ids.max())}, but the model has only "
                f"{rows} tokens; they do not belong together."
            )
        return ids

    def judged(self, ids: torch.Tensor) -> torch.Tensor:
        """What the judge gives for one unpadded text: a classifier's logits (2,), a language model's (tokens, ...)."""
        with one_sequence_on(self.device):
            return self.judge(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]

    def verdict(self, text: str, label: int, *, attacked: bool) -> np.ndarray:
        """The answer to a text of a label: (2,) logits, that of the label larger where the text counts as answered
        rightly, or where it is attacked as held.
        """
        return self.logits(text)

    def classify(self, text: str) -> int:
        """The label the victim gives a text: 0 or 1."""
        return int(self.logits(text).argmax())


def embedding_table(model: PreTrainedModel) -> torch.Tensor:
    """The input embeddings: (tokens, width)."""
    table = model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor)
    return table


def common_vocabulary(victims: Sequence[Victim]) -> AttackVocabulary:
    """What can be written to all of some victims with one tokenizer. Raises: CheckpointError when that is nothing."""
    rows = min(len(embedding_table(victim.model)) for victim in victims)
    return attack_vocabulary(victims[0].tokenizer, rows, exclude=set().union(*(victim.pads for victim in victims)))


def parameters_of(victims: Sequence[Victim]) -> int:
    """N of some victims together; a checkpoint that is there twice has to be run once."""
    return sum({victim.digest: victim.parameters for victim in victims}.values())


def same_tokenizer(first: Victim, second: Victim) -> bool:
    """Whether two checkpoints split every text into the same tokens."""
    return first.tokenizer.backend_tokenizer.to_str() == second.tokenizer.backend_tokenizer.to_str()


@contextmanager
def one_thread_on_cpu(device: torch.device) -> Iterator[None]:
    """Matrix products on several CPU threads may add in another order; what decides is computed on one."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def load_victim(
    reference: str | Path, *, revision: str | None = None, device: str | None = None, dtype: str | None = None
) -> Victim:
    """Load a checkpoint from a local folder, or from the Hub as `owner/name` or `owner/name@revision`.

    device: a torch device, or `auto` to spread the model over all cards; by default CUDA when there is a card. dtype:
    float32, bfloat16 or float16; by default bfloat16 on CUDA and float32 elsewhere.
    Raises: CheckpointError when the checkpoint cannot be used, UsageError for a device or dtype that is not there.
    """
    spread = device == "auto"
    chosen_device = find_device(None if spread else device)
    chosen_dtype = _dtype(dtype, chosen_device)
    name, folder, commit = locate(str(reference), revision)
    check_files(folder, name)
    config = load_config(folder, name)
    tokenizer = load_tokenizer(folder, name)
    causal = is_causal(config)
    model = load_model(folder, name, chosen_dtype, chosen_device, causal=causal, spread=spread)
    return Victim(
        model=model,
        tokenizer=tokenizer,
        reference=name,
        revision=commit,
        folder=folder,
        device=embedding_table(model).device if spread else chosen_device,
        dtype=chosen_dtype,
        digest=checkpoint_digest(folder),
        context=context_of(config, tokenizer),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        causal=causal,
        spread=spread,
    )


def find_device(device: str | None) -> torch.device:
    """The device of that name, by default a card if there is one. Raises: UsageError when it cannot be used."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"The device '{device}' cannot be used here ({first_line(error)}); try --device cpu."
        ) from error
    return chosen


def _dtype(dtype: str | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise UsageError(f"There is no dtype '{dtype}'; choose one of {', '.join(DTYPES)}.")
    return DTYPES[dtype]
