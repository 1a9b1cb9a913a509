"""The files of a checkpoint: finding them, refusing what cannot be used, loading what can, and their digest.

A checkpoint is a folder that `save_pretrained` wrote, local or fetched from the Hub at a commit. Weights come from
safetensors only and no code of the checkpoint is run. What is missing or damaged is said before transformers meets
it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from ..tasks import CheckpointError, ResourceError
from .batch import out_of_memory
from .foreign_code import fetches_code, is_quantized, names_other_files
from .label_words import is_causal

_VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
"""Files one of which every tokenizer has."""
DOWNLOADED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
"""What is fetched of a checkpoint on the Hub."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_UNLIMITED = 10**9
"""Tokenizers without a limit say so with a huge model_max_length."""


def locate(reference: str, revision: str | None) -> tuple[str, Path, str | None]:
    """Name, folder and commit of a checkpoint, fetched from the Hub when it is not a folder."""
    path = Path(reference).expanduser()
    if reference and path.is_dir():
        return reference, path, None
    if path.is_file():
        raise CheckpointError(f"{reference} is a file; give the folder that holds config.json and the weights.")
    name, _, given = reference.partition("@")
    revision = revision or given or None
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"There is no checkpoint folder '{reference}', and it is not a Hub id like owner/name@commit; check the "
            f"path."
        )
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=DOWNLOADED))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{reference} is not in the local Hub cache and the Hub cannot be reached (or HF_HUB_OFFLINE is set); "
            "download it first, or give a local folder."
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"There is neither a folder nor a Hub model '{reference}'; check the spelling, or log in if it is private."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{reference} could not be downloaded ({first_line(error)}); try again.") from error
    return name, folder, folder.name


def check_files(folder: Path, name: str) -> None:
    """Say what is missing before transformers meets it."""
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{name} has no config.json; give the folder that save_pretrained wrote, or download it again."
        )
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{name} has an adapter beside its weights (adapter_config.json), which some installations merge and "
            "others ignore; merge it, and save the whole model."
        )
    for file in ("config.json", "tokenizer_config.json"):
        with suppress(ValueError, RecursionError, FileNotFoundError):  # what is wrong with it is said when it is loaded
            config = json.loads((folder / file).read_bytes())
            refuse_foreign_code(config, name)
            if field := names_other_files(config):
                raise CheckpointError(
                    f"The {file} of {name} has the field {field}, which has other files read in its place; remove that "
                    "field, or save the model again."
                )
            if is_quantized(config):
                raise CheckpointError(
                    f"The {file} of {name} asks for quantization, which cannot be judged in float32; save the model as "
                    "it is."
                )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_bytes())["weight_map"].values())
            elsewhere = sorted(shard for shard in shards if Path(shard).name != shard)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise CheckpointError(f"{index} is not a readable index of weight files; download it again.") from error
        if elsewhere:
            raise CheckpointError(
                f"{index} names the weight file {elsewhere[0]!r}, outside its folder; save the model again."
            )
        missing = sorted(shard for shard in shards if not (folder / shard).is_file())
        if missing:
            raise CheckpointError(
                f"{name} is half downloaded: {len(missing)} of {len(shards)} weight files are missing, the first of "
                f"them {missing[0]}; download it again."
            )
    elif not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickles:
            raise CheckpointError(
                f"{name} has its weights only as a pickle ({pickles[0]}), which could run code when loaded; save it "
                "again with save_pretrained, which writes model.safetensors."
            )
        raise CheckpointError(
            f"{name} has no model.safetensors; download the weights, or save them with save_pretrained."
        )
    if not any((folder / file).is_file() for file in _VOCABULARIES):
        raise CheckpointError(f"{name} has no tokenizer; save a tokenizer.json beside the weights.")


def refuse_foreign_code(config: Any, name: str) -> None:
    """Raises: CheckpointError when the fields of a config.json ask for code of somebody else's."""
    if fetched := fetches_code(config):
        raise CheckpointError(
            f"The config.json of {name} asks for the {fetched}, for which code would be fetched from the Hub; remove "
            "that field."
        )


def load_config(folder: Path, name: str) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (ValueError, KeyError, OSError) as error:
        raise CheckpointError(
            f"The config.json of {name} does not describe a model that transformers knows without running the "
            f"checkpoint's own code ({first_line(error)})."
        ) from error
    except Exception as error:  # the checks that configurations make of themselves raise their own
        raise CheckpointError(
            f"The config.json of {name} contradicts itself ({one_line(error)}); download it again."
        ) from error
    if config.num_labels != 2 and not is_causal(config):
        raise CheckpointError(
            f"{name} has {config.num_labels} labels; Holdfast's tasks are binary, so train a classifier with "
            f"num_labels=2."
        )
    return config


def load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerFast:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises bare Exception on a malformed file
        raise CheckpointError(
            f"The tokenizer of {name} cannot be loaded ({first_line(error)}); save a tokenizer.json beside the weights."
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise CheckpointError(
            f"{name} has no fast tokenizer ({type(tokenizer).__name__} is a slow one); save a tokenizer.json beside "
            f"the weights."
        )
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def load_model(
    folder: Path, name: str, dtype: torch.dtype, device: torch.device, *, causal: bool = False, spread: bool = False
) -> PreTrainedModel:
    """A checkpoint's model in evaluation mode, without gradients: a causal language model, or a classifier.

    spread: over all cards, as its layers fit, in place of the device.
    """
    kind: Any = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
    called = "language model" if causal else "sequence classifier"
    try:
        with quiet():
            model, info = kind.from_pretrained(
                folder,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype,
                device_map="auto" if spread else None,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
    except (SafetensorError, EOFError) as error:
        raise CheckpointError(
            f"The weights of {name} are damaged or half downloaded ({first_line(error)}); download them again."
        ) from error
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise _too_large(name, device) from error
        raise CheckpointError(
            f"{name} cannot be loaded as a {called} ({first_line(error)}); check that it was saved by {kind.__name__}."
        ) from error
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise CheckpointError(
            f"{name} is not a whole {called.split()[-1]}: {len(missing)} weights are missing from it, among them "
            f"{missing[0]}; {'' if causal else 'fine-tune it as a sequence classifier first, or '}download it again."
        )
    if info["mismatched_keys"]:
        mismatched = sorted(key for key, *_ in info["mismatched_keys"])
        raise CheckpointError(
            f"The weights of {name} are not those that its config.json describes: {len(mismatched)} have another "
            f"shape, among them {mismatched[0]}; download both again."
        )
    if spread:
        places = {str(place) for place in getattr(model, "hf_device_map", {}).values()}
        if device.type != "cpu" and places & {"cpu", "disk"}:
            raise ResourceError(
                f"{name} does not fit into the memory of all cards together; use a smaller dtype or more cards."
            )
        return model.eval().requires_grad_(False)
    try:
        model = model.to(device)
    except torch.OutOfMemoryError as error:
        raise _too_large(name, device) from error
    return model.eval().requires_grad_(False)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own progress bars and remarks."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def _too_large(name: str, device: torch.device) -> ResourceError:
    return ResourceError(f"{name} does not fit into the memory of {device}; use a smaller dtype or another device.")


def context_of(config: Any, tokenizer: PreTrainedTokenizerFast) -> int:
    """The longest input in tokens that both the model and its tokenizer accept."""
    limits = [tokenizer.model_max_length if tokenizer.model_max_length < _UNLIMITED else None]
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions and "roberta" in config.model_type:
        # RoBERTa counts positions from the padding id upwards.
        positions -= config.pad_token_id + 1
    limits.append(positions)
    return min((limit for limit in limits if limit), default=_UNLIMITED)


def first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip().rstrip(".:") if lines else type(error).__name__


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
