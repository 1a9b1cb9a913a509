"""Fields of a checkpoint's configuration for which transformers would fetch code from the Hub, read a file other than
the one that was looked at, or load weights that are no numbers of a model. Needs no model.
"""

from collections.abc import Iterator
from typing import Any

_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
_OTHER_FILES = ("configuration_files", "fast_tokenizer_files", "transformers_weights")
_BUILT_IN = (None, "eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")
"""Implementations that transformers holds itself; for others it fetches a kernel, which is code, from the Hub."""


def fetches_code(config: Any) -> str | None:
    """The field and value that ask for code of somebody else's; None when there is no such field."""
    for field, value in all_fields(config):
        chosen = value.values() if isinstance(value, dict) else [value]
        name = field.lstrip("_").removesuffix("_internal")
        if name in _IMPLEMENTATIONS and any(each not in _BUILT_IN for each in chosen):
            return f"{field} {value!r}"
    return None


def names_other_files(config: Any) -> str | None:
    """The field that has transformers read another file in place of config.json, tokenizer.json or the weights, by a
    name that may lead anywhere; such a file is not in the digest. None when there is no such field.
    """
    return next((field for field in _OTHER_FILES if isinstance(config, dict) and field in config), None)


def is_quantized(config: Any) -> bool:
    """Whether the weights are stored in a form that cannot be judged in float32."""
    return any(field.lstrip("_") == "quantization_config" and value is not None for field, value in all_fields(config))


def all_fields(value: Any) -> Iterator[tuple[str, Any]]:
    """All fields of a configuration, those of the configurations inside it included."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from each.items()
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
