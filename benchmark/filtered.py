"""A filter in front: texts that a language model finds too unlikely get no answer [Jain et al. 2023, sec. 4.1].

What is judged is the perplexity of the whole text, as its mean loss per token. The threshold is set on a task's own
training texts, so that one in a hundred of them is refused. A refused text is not broken, whatever the model behind the
filter would have said; a refused clean text is an error, for nobody gets an answer to it.

The attack sees the filter: what it lowers is the larger of two things, the margin and how far the text lies above the
threshold, so that a string breaks an example exactly where that is negative. It is charged for both models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..tasks import CheckpointError, DataError, UsageError
from .counting import moved_apart
from .digest import digest_of_several
from .likelihood import mean_loss
from .victim import Victim, common_vocabulary, one_thread_on_cpu, parameters_of, same_tokenizer
from .vocabulary import AttackVocabulary

FALSE_POSITIVES = 0.01
"""Share of clean training texts that are refused."""
TEXTS = 1000
"""Training texts by which the threshold is set, at most."""
FEWEST = 100
"""The same at least: with fewer, there is no telling one in a hundred."""
ANSWERED = 100
"""Of them, those that the model behind the filter answers too, for the size of its margins."""


@dataclass(kw_only=True)
class Filtered(Victim):
    """A model behind a filter, with one tokenizer. What a victim has one of is the model's, except:

    parameters: of model and language model together, once where they are the same. context: the shorter one.
    digest: over the digests of both.
    asked: the model. language_model: what tells how likely a text is; its answers are not asked for.
    threshold: mean loss per token above which a text is refused, in nats; None before it is set.
    logits_per_nat: what turns a distance from the threshold into logits: typical texts lie as far below it as a typical
    margin is large.
    """

    asked: Victim
    language_model: Victim
    threshold: float | None = None
    logits_per_nat: float = 1.0

    @staticmethod
    def of(model: Victim, language_model: Victim | None, reference: str) -> "Filtered":
        """language_model: None where the model is a language model, and serves as its own.

        Raises: CheckpointError when there is no language model, or its tokens are not the model's.
        """
        reader = language_model or model
        if not reader.causal:
            raise CheckpointError(
                f"{reader.reference} is no causal language model, so it cannot tell how likely a text is; name one "
                "as the `language_model` of the filter."
            )
        if not same_tokenizer(model, reader):
            raise CheckpointError(
                f"{reader.reference} has another tokenizer than {model.reference}; a filter's language model must "
                "share the model's, so that an attack string is the same tokens for both."
            )
        parts = [model] if language_model is None else [model, language_model]
        return Filtered(
            model=model.model,
            tokenizer=model.tokenizer,
            reference=reference,
            revision=None,
            folder=model.folder,
            device=model.device,
            dtype=model.dtype,
            digest=digest_of_several("filter", [part.digest for part in parts]),
            context=min(part.context for part in parts),
            parameters=parameters_of(parts),
            asked=model,
            language_model=reader,
        )

    def for_labels(self, labels: Sequence[str]) -> "Filtered":
        return replace(self, asked=self.asked.for_labels(labels))

    def calibrated(self, texts: Callable[[], Sequence[str]]) -> "Filtered":
        """The same with its threshold set. Raises: DataError when there are too few texts."""
        chosen = texts()[:TEXTS]
        if len(chosen) < FEWEST:
            raise DataError(
                f"A filter sets its threshold by training texts, and there are {len(chosen)}; at least {FEWEST} are "
                "needed."
            )
        losses = np.array([mean_loss(self.language_model, text) for text in chosen])
        threshold = float(np.quantile(losses, 1 - FALSE_POSITIVES, method="higher"))
        sizes = [abs(float(np.diff(_answer_to_end(self.asked, text))[0])) for text in chosen[:ANSWERED]]
        below = threshold - float(np.median(losses))
        if not (np.isfinite(threshold) and below > 0):
            raise CheckpointError(
                f"{self.language_model.reference} finds all texts equally likely, or its losses are no numbers, so it "
                "cannot serve as a filter."
            )
        return replace(self, threshold=threshold, logits_per_nat=float(np.median(sizes)) / below)

    def require_labels(self) -> None:
        self.asked.require_labels()
        if self.threshold is None:
            raise UsageError(
                f"{self.reference} sets its threshold by a task's training texts; name them with "
                "victim.calibrated(texts)."
            )

    @property
    def kind(self) -> Literal["filter"]:
        return "filter"

    @property
    def filter_threshold(self) -> float | None:
        return self.threshold

    @property
    def architecture(self) -> str:
        return "+".join(dict.fromkeys((self.asked.architecture, self.language_model.architecture)))

    @cached_property
    def vocabulary(self) -> AttackVocabulary:
        return common_vocabulary([self.asked, self.language_model])

    @property
    def judges(self) -> list[PreTrainedModel]:
        return [*self.asked.judges, *self.language_model.judges]

    def in_float32(self) -> "Filtered":
        asked = self.asked.in_float32()
        judging = replace(
            self, asked=asked, language_model=self.language_model.in_float32(), model=asked.model, dtype=asked.dtype
        )
        judging.vocabulary = self.vocabulary
        return judging

    def excess(self, mean_losses: Tensor) -> Tensor:
        """How far losses lie above the threshold, in logits of the model: (...) -> (...)."""
        self.require_labels()
        return (mean_losses - (self.threshold or 0.0)) * self.logits_per_nat

    def refuses(self, text: str) -> bool:
        """Whether a text gets no answer."""
        return float(self._excess_of(text)) > 0

    def logits(self, text: str) -> np.ndarray:
        """What the model behind the filter answers."""
        self.require_labels()
        return self.asked.logits(text)

    def verdict(self, text: str, label: int, *, attacked: bool) -> np.ndarray:
        logits = torch.from_numpy(self.logits(text))
        return as_it_counts(logits, self._excess_of(text), torch.tensor(label), attacked=attacked).numpy()

    def _excess_of(self, text: str) -> Tensor:
        return self.excess(torch.tensor(mean_loss(self.language_model, text)))


def _answer_to_end(victim: Victim, text: str) -> np.ndarray:
    """The logits of as much of a text's end as the victim can read: (2,)."""
    with torch.inference_mode(), one_thread_on_cpu(victim.device):
        found = victim.judged(victim.token_ids(text)[:, -victim.context :])
        return (found if victim.label_tokens is None else found[-1]).float().cpu().numpy()


def as_it_counts(logits: Tensor, excess: Tensor, labels: Tensor, *, attacked: bool) -> Tensor:
    """Logits behind a filter, moved apart so that the label's is larger where a text counts as right, or as held.

    logits: (..., 2). excess: (...), above 0 where the text is refused. labels: (...) int64. Returns (..., 2).
    """
    margins = (logits[..., 1] - logits[..., 0]) * (2 * labels - 1)
    counted = torch.maximum(margins, excess) if attacked else torch.minimum(margins, -excess)
    return moved_apart(logits, labels, counted)
