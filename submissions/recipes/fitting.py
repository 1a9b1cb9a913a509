"""One stretch of training, by transformers' `Trainer`, with its cost metered by the canonical rule."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ...benchmark.budget import backward_cost, forward_cost
from ...benchmark.vocabulary import AttackVocabulary
from .batches import ByLength, Cases, Collator, RandomSlots
from .language_model import WholeTexts, weighted_loss

WARMUP = 0.05
"""Share of the steps in which the learning rate rises to its peak; it then falls to zero along a cosine."""
REPORTS = 100
"""Progress reports per stretch, about."""


@dataclass(frozen=True)
class Fit:
    """How one stretch of training runs. filled: share of the slots that random tokens are put into.

    seed: of the order of the cases and of the slots. device: `cpu` or `cuda`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    filled: float
    seed: int
    device: str


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    vocabulary: AttackVocabulary,
    cases: Cases,
    how: Fit,
    on_step: Callable[[int, int, float], None],
    words: tuple[str, str] | None = None,
) -> int:
    """Train the model in place, in fp32 (on CUDA with bf16 products). on_step: step, steps, mean loss since last time.

    words: of a language model, the label words that its texts end in; None for a classifier.
    Returns the canonical FLOP: 6NT per text, over its T real tokens, for one forward and one backward pass.
    """
    order, rng = np.random.default_rng(how.seed).spawn(2)
    slots = RandomSlots(vocabulary, how.filled, rng)
    model.requires_grad_(True)
    with tempfile.TemporaryDirectory() as unused:
        trainer = _Trainer(
            model=model,
            args=_arguments(how, len(cases), unused),
            data_collator=Collator(tokenizer, slots) if words is None else WholeTexts(tokenizer, slots, words),
            train_dataset=cases,
            callbacks=[_Reporter(on_step)],
        )
        trainer.order = ByLength(cases.lengths, how.batch_size, order)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    tokens = int(trainer.state.num_input_tokens_seen)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return forward_cost(parameters, tokens) + backward_cost(parameters, tokens)


def _arguments(how: Fit, cases: int, folder: str) -> TrainingArguments:
    steps = how.epochs * -(-cases // how.batch_size)
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=how.epochs,
        per_device_train_batch_size=how.batch_size,
        learning_rate=how.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=int(WARMUP * steps),
        weight_decay=0.01,
        adam_beta2=0.98,
        seed=how.seed,
        use_cpu=how.device == "cpu",
        bf16=how.device != "cpu",
        # What is metered: real tokens, padding left out.
        include_num_input_tokens_seen="non_padding",
        remove_unused_columns=False,
        logging_steps=max(1, steps // REPORTS),
        disable_tqdm=True,
        report_to=[],
        save_strategy="no",
    )


class _Trainer(Trainer):
    """Batches of similar length, in an order of our own seed."""

    order: ByLength

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self.order

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        # Only batches of whole texts say how much each token counts.
        weights = inputs.pop("weights", None)
        if weights is None:
            return super().compute_loss(model, inputs, *args, **kwargs)
        return weighted_loss(model(**inputs).logits, inputs["input_ids"], weights)


class _Reporter(TrainerCallback):
    """Hands on what the trainer would print."""

    def __init__(self, on_step: Callable[[int, int, float], None]) -> None:
        self._on_step = on_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if logs and "loss" in logs:
            self._on_step(state.global_step, state.max_steps, float(logs["loss"]))
