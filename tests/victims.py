"""Small real checkpoints of several architectures, for tests: random weights, real tokenizers trained on the spot."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    ModernBertConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from holdfast.benchmark import Victim

TEXT = [
    f"{a} {b}\nthe {c} of a {a}, said {b}: is it {c}? Yes or no."
    for a, b, c in zip(
        ["apple", "river", "stone", "cloud", "lantern", "orchard", "pepper", "violin", "garden", "marble"] * 8,
        ["winter", "summer", "autumn", "spring", "morning", "evening", "yellow", "purple", "copper", "silver"] * 8,
        ["teacher", "farmer", "painter", "sailor", "doctor", "lawyer", "singer", "dancer", "writer", "pilot"] * 8,
        strict=True,
    )
]

_COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_labels": 2,
}

ARCHITECTURES = {
    "gpt_neox": lambda size: GPTNeoXConfig(vocab_size=size, max_position_embeddings=256, **_COMMON),
    "llama": lambda size: LlamaConfig(vocab_size=size, num_key_value_heads=2, max_position_embeddings=256, **_COMMON),
    "qwen2": lambda size: Qwen2Config(vocab_size=size, num_key_value_heads=2, max_position_embeddings=256, **_COMMON),
    "qwen3": lambda size: Qwen3Config(
        vocab_size=size, num_key_value_heads=2, head_dim=8, max_position_embeddings=256, **_COMMON
    ),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=256, num_labels=2, bos_token_id=0, eos_token_id=0
    ),
    "bert": lambda size: BertConfig(vocab_size=size, max_position_embeddings=256, **_COMMON),
    "modernbert": lambda size: ModernBertConfig(
        vocab_size=size,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        cls_token_id=0,
        sep_token_id=0,
        **_COMMON,
    ),
}
DECODERS = ("gpt_neox", "llama", "qwen2", "qwen3", "gpt2")


def byte_level_tokenizer(size: int = 400, *, pad: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, as GPT-2's and Pythia's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    special = {"pad_token": "<|endoftext|>"} if pad else {}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", **special)


def word_piece_tokenizer(size: int = 400) -> PreTrainedTokenizerFast:
    """A lower-casing WordPiece tokenizer with [CLS] and [SEP], as BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    )
    ids = {name: tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]")}
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=list(ids.items()))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def save_checkpoint(
    folder: Path,
    architecture: str = "gpt_neox",
    tokenizer: PreTrainedTokenizerFast | None = None,
    scale: float = 3.0,
    *,
    causal: bool = False,
    **changes: object,
) -> Path:
    """Write a checkpoint with random weights, spread widely enough that labels differ between texts.

    causal: a language model in place of a classifier. changes: to its configuration.
    """
    encoder = architecture in ("bert", "modernbert")
    tokenizer = tokenizer or (word_piece_tokenizer() if encoder else byte_level_tokenizer())
    config = ARCHITECTURES[architecture](len(tokenizer))
    if tokenizer.pad_token_id is not None:
        config.pad_token_id = tokenizer.pad_token_id
    for name, value in changes.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model = (AutoModelForCausalLM if causal else AutoModelForSequenceClassification).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(scale)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def metaspace_tokenizer(size: int = 300) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer that writes spaces as ▁, as SentencePiece's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<unk>", "</s>"],
        unk_token="<unk>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:?!'\n"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


def byte_fallback_tokenizer(size: int = 500) -> PreTrainedTokenizerFast:
    """A BPE tokenizer with ▁ for spaces, one in front of every text, and bytes for unknown characters, as Llama 2's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator([word for text in TEXT for word in text.split()], trainer)
    ids = {"<s>": tokenizer.token_to_id("<s>")}
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=list(ids.items()))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )


def as_language_model(classifier: Path, folder: Path, labels: Sequence[str]) -> Path:
    """Write a language model that answers as a classifier: the head's rows of the label words are the classifier's."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(classifier)
    trained = AutoModelForSequenceClassification.from_pretrained(classifier, dtype=torch.float32)
    model = AutoModelForCausalLM.from_config(trained.config)
    model.base_model.load_state_dict(trained.base_model.state_dict())
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.weight.normal_()
        for label, row in zip(labels, trained.score.weight, strict=True):
            head.weight[tokenizer(f"Answer: {label}")["input_ids"][len(tokenizer("Answer:")["input_ids"])]] = row
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class ChangedLinear(nn.Linear):
    """A classification head whose logits are changed on their way out, run like the one it replaces."""

    def __init__(self, inner: nn.Linear, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(inner.in_features, inner.out_features, bias=inner.bias is not None)
        self.load_state_dict(inner.state_dict())
        self.change = change

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.change(super().forward(input))


def with_logits(victim: Victim, change: Callable[[torch.Tensor], torch.Tensor]) -> Victim:
    """The victim with its logits changed by a function."""
    name = "score" if hasattr(victim.model, "score") else "classifier"
    setattr(victim.model, name, ChangedLinear(getattr(victim.model, name), change).requires_grad_(False))
    return victim
