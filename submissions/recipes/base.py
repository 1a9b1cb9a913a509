"""What training takes from another checkpoint, a local folder or a Hub id: the model to start from, or a tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ...benchmark.checkpoint import first_line, load_tokenizer, locate, quiet, refuse_foreign_code
from ...tasks import CheckpointError
from .shapes import with_labels


@dataclass(frozen=True)
class Base:
    """model: a two-label classifier, or a language model, in fp32. dtype: of the weights as stored.

    revision: the Hub commit, if any. whole: whether the checkpoint had its head, so that it has been trained before as
    what it is loaded as.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    dtype: torch.dtype
    revision: str | None
    whole: bool


def load_base(reference: str | Path, labels: tuple[str, str] | None, seed: int) -> Base:
    """Load a checkpoint as a classifier with two labels, or as a causal language model where there are none.

    reference: a folder, or `owner/name` or `owner/name@revision`. A head that is missing, or has another number of
    labels, is made anew. Raises: CheckpointError.
    """
    local = Path(reference).expanduser().is_dir()
    name, _, revision = (str(Path(reference).expanduser()), "", "") if local else str(reference).partition("@")
    kind: Any = AutoModelForSequenceClassification if labels else AutoModelForCausalLM
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fields, _ = PreTrainedConfig.get_config_dict(name, revision=revision or "main")
            refuse_foreign_code(fields, str(reference))
            config = AutoConfig.from_pretrained(name, revision=revision or "main", trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision or "main", trust_remote_code=False)
            if labels:
                with_labels(config, labels)
            stored = config.dtype
            model, info = kind.from_pretrained(
                name,
                config=config,
                revision=revision or "main",
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"Training cannot start from {reference} ({first_line(error)}); give a folder or Hub id with config.json, "
            "tokenizer.json and weights in safetensors."
        ) from error
    tokenizer = _padding(reference, tokenizer)
    model.config.get_text_config().pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    backbone = f"{model.base_model_prefix}."
    mismatched = sorted(key for key, *_ in info["mismatched_keys"])
    if any(key.startswith(backbone) for key in mismatched):
        raise CheckpointError(
            f"The weights of {reference} do not fit its config.json ({mismatched[0]}); download it again."
        )
    if labels is None and _looks_ahead(model):
        raise CheckpointError(
            f"{reference} is an encoder, which sees what comes after a token, so it cannot be made a language model; "
            "start from a decoder."
        )
    return Base(
        model=model,
        tokenizer=tokenizer,
        dtype=stored if isinstance(stored, torch.dtype) else torch.float32,
        revision=None if local else getattr(config, "_commit_hash", None),
        whole=not mismatched and not info["missing_keys"],
    )


def load_tokenizer_of(reference: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a checkpoint, which is named as for `load_base`. Raises: CheckpointError."""
    name, folder, _ = locate(str(reference), None)
    return _padding(reference, load_tokenizer(folder, name))


def _padding(reference: str | Path, tokenizer: Any) -> PreTrainedTokenizerFast:
    """Texts of one batch are padded to one length; a tokenizer without a pad token pads with its end of text."""
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(f"{reference} has no fast tokenizer; save a tokenizer.json beside its weights.")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise CheckpointError(
                f"The tokenizer of {reference} has neither a pad token nor an end-of-text token to pad with; set "
                "pad_token in tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _looks_ahead(model: PreTrainedModel) -> bool:
    """Whether what a model says at a token depends on the tokens behind it."""
    model.eval()
    with torch.inference_mode():
        short = model(input_ids=torch.tensor([[1, 2]])).logits[0, 0]
        long = model(input_ids=torch.tensor([[1, 3]])).logits[0, 0]
    return not torch.allclose(short, long, rtol=1e-4, atol=1e-4)
