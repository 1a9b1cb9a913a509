"""The model that training starts from, when it does not start from scratch: a local folder or a Hub id."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ...benchmark.checkpoint import first_line, quiet, refuse_foreign_code
from ...tasks import CheckpointError


@dataclass(frozen=True)
class Base:
    """model: a two-label classifier in fp32. dtype: of the weights as stored. revision: the Hub commit, if any.

    whole: whether the checkpoint had its classification head, so that it has been trained as a classifier before.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    dtype: torch.dtype
    revision: str | None
    whole: bool


def load_base(reference: str | Path, labels: tuple[str, str], seed: int) -> Base:
    """Load a checkpoint as a two-label classifier. reference: a folder, or `owner/name` or `owner/name@revision`.

    A head that is missing, or has another number of labels, is made anew. Raises: CheckpointError.
    """
    local = Path(reference).expanduser().is_dir()
    name, _, revision = (str(Path(reference).expanduser()), "", "") if local else str(reference).partition("@")
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fields, _ = PreTrainedConfig.get_config_dict(name, revision=revision or "main")
            refuse_foreign_code(fields, str(reference))
            config = AutoConfig.from_pretrained(name, revision=revision or "main", trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision or "main", trust_remote_code=False)
            config.problem_type = "single_label_classification"
            config.id2label = dict(enumerate(labels))
            config.label2id = {label: i for i, label in enumerate(labels)}
            stored = config.dtype
            model, info = AutoModelForSequenceClassification.from_pretrained(
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
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(f"{reference} has no fast tokenizer; save a tokenizer.json beside its weights.")
    _pad_token(reference, tokenizer)
    model.config.get_text_config().pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    backbone = f"{model.base_model_prefix}."
    mismatched = sorted(key for key, *_ in info["mismatched_keys"])
    if any(key.startswith(backbone) for key in mismatched):
        raise CheckpointError(
            f"The weights of {reference} do not fit its config.json ({mismatched[0]}); download it again."
        )
    return Base(
        model=model,
        tokenizer=tokenizer,
        dtype=stored if isinstance(stored, torch.dtype) else torch.float32,
        revision=None if local else getattr(config, "_commit_hash", None),
        whole=not mismatched and not info["missing_keys"],
    )


def _pad_token(reference: str | Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Texts of one batch are padded to one length; a tokenizer without a pad token pads with its end of text."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise CheckpointError(
                f"The tokenizer of {reference} has neither a pad token nor an end-of-text token to pad with; set "
                "pad_token in tokenizer_config.json."
            )
        tokenizer.pad_token = tokenizer.eos_token
