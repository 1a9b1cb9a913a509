"""Any common classifier loads, gives exactly the answers that transformers gives, and is known by its digest."""

import json
import shutil

import numpy as np
import pytest
import torch
from tokenizers import processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GPTNeoXConfig,
    GPTNeoXForSequenceClassification,
)
from victims import (
    ARCHITECTURES,
    DECODERS,
    byte_fallback_tokenizer,
    byte_level_tokenizer,
    metaspace_tokenizer,
    save_checkpoint,
    word_piece_tokenizer,
)

from holdfast.benchmark import RandomToken, attack_examples, load_victim
from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.pass_base import Unit
from holdfast.benchmark.passes import FullText, SharedPrefix
from holdfast.benchmark.slot import prepare_slot, survivors
from holdfast.tasks import Example, get_task

EXAMPLES = get_task("password-match").evaluation().examples
UNEVEN = [Example(f"e{count}", "a river and a stone\n" * count, "\nYes or no?", 0) for count in (1, 4, 2)]


def theirs(folder, text):
    """What transformers gives for one text on its own."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(**AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")).logits[0].numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_public_path_gives_transformers_own_logits(checkpoint, architecture):
    folder = checkpoint(architecture)
    victim = load_victim(folder, device="cpu")
    for example in (EXAMPLES[0], *UNEVEN):
        expected = theirs(folder, example.text("hello"))
        np.testing.assert_allclose(victim.logits(example.text("hello")), expected, rtol=1e-5, atol=1e-6)
        assert victim.classify(example.text("hello")) == int(expected.argmax())


def agrees_with_the_public_path(victim, kind):
    """Texts of different lengths in one batch have the logits that each has alone."""
    rng = np.random.default_rng(0)
    slots = [prepare_slot(example, victim.vocabulary, 10, victim.context) for example in UNEVEN]
    drawn = [victim.vocabulary.draw(rng, 64, 10) for _ in slots]
    units, texts = [], []
    passes = kind(victim)
    for slot, strings, (alive, written) in zip(
        slots, drawn, survivors(victim.vocabulary, list(zip(slots, drawn, strict=True))), strict=True
    ):
        chosen = np.flatnonzero(alive)[:3]
        units.append(Unit(passes.prepare(slot), strings[chosen]))
        texts.append([slot.example.text(written[i]) for i in chosen])
    batched = passes.logits(units).numpy()
    alone = np.array([[victim.logits(text) for text in row] for row in texts])
    np.testing.assert_allclose(batched, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("architecture", ["gpt_neox", "qwen2", "bert"])
def test_the_padding_side_makes_no_difference(checkpoint, tmp_path, architecture, side):
    folder = shutil.copytree(checkpoint(architecture), tmp_path / "v")
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"padding_side": side}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    victim = load_victim(folder, device="cpu")
    assert victim.tokenizer.padding_side == side
    agrees_with_the_public_path(victim, FullText)
    if architecture in DECODERS:
        agrees_with_the_public_path(victim, SharedPrefix)


@pytest.mark.parametrize("kind", [FullText, SharedPrefix])
def test_a_tokenizer_that_ends_texts_with_its_pad_token_is_pooled_as_transformers_does(tmp_path, kind):
    """Classifiers on decoders read the last token that is not padding, an end-of-text that doubles as padding aside."""
    tokenizer = byte_level_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", tokenizer.pad_token_id)]
    )
    victim = load_victim(save_checkpoint(tmp_path, "llama", tokenizer), device="cpu")
    assert victim.tokenizer("a")["input_ids"][-1] == victim.tokenizer.pad_token_id
    agrees_with_the_public_path(victim, kind)


@pytest.mark.parametrize("architecture", ["gpt_neox", "gpt2"])
def test_a_tokenizer_without_a_pad_token_is_fine(tmp_path, architecture):
    folder = save_checkpoint(tmp_path, architecture, byte_level_tokenizer(pad=False))
    victim = load_victim(folder, device="cpu")
    assert victim.tokenizer.pad_token_id is None
    agrees_with_the_public_path(victim, FullText)
    agrees_with_the_public_path(victim, SharedPrefix)
    assert len(attack_examples(victim, EXAMPLES[:3], RandomToken(), budget=2e8)) == 3


@pytest.mark.parametrize("tokenizer", [metaspace_tokenizer, byte_fallback_tokenizer, word_piece_tokenizer])
def test_a_decoder_with_any_common_tokenizer_can_be_attacked(tmp_path, tokenizer):
    victim = load_victim(save_checkpoint(tmp_path, "llama", tokenizer()), device="cpu")
    agrees_with_the_public_path(victim, SharedPrefix)
    records = attack_examples(victim, EXAMPLES[:4], RandomToken(), budget=1e9)
    assert all(record.iterations for record in records if record.clean_correct)
    assert any(record.clean_correct for record in records)


def test_the_digest_changes_with_any_byte_that_decides_an_answer(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint(), tmp_path / "v")
    seen = {checkpoint_digest(folder)}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        content = (folder / name).read_bytes()
        for at in (0, len(content) // 2, len(content) - 1):
            (folder / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            seen.add(checkpoint_digest(folder))
        (folder / name).write_bytes(content)
    assert len(seen) == 1 + 4 * 3
    (folder / "added_tokens.json").write_text("{}")
    assert checkpoint_digest(folder) not in seen, "a file that decides and was not there"


def test_the_digest_does_not_change_with_what_decides_nothing(checkpoint, tmp_path):
    original = checkpoint_digest(checkpoint())
    folder = shutil.copytree(checkpoint(), tmp_path / "another name")
    (folder / "README.md").write_text("# A model")
    (folder / "training_args.json").write_text("{}")
    (folder / "runs").mkdir()
    assert checkpoint_digest(folder) == original
    assert load_victim(folder, device="cpu").digest == original


def test_half_precision_weights_are_run_in_fp32_on_a_cpu(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("llama"), tmp_path / "v")
    AutoModelForSequenceClassification.from_pretrained(folder).half().save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    victim = load_victim(folder, device="cpu")
    assert (victim.dtype, victim.exact) == (torch.float32, True)
    assert {parameter.dtype for parameter in victim.model.parameters()} == {torch.float32}
    np.testing.assert_allclose(victim.logits("a river"), theirs(folder, "a river"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_success_found_in_low_precision_is_true_in_fp32(checkpoint, architecture, dtype):
    folder = checkpoint(architecture)
    victim = load_victim(folder, device="cpu", dtype=dtype)
    assert (str(victim.dtype), victim.exact) == (f"torch.{dtype}", False)
    by_id = {example.id: example for example in EXAMPLES[:8]}
    records = attack_examples(victim, list(by_id.values()), RandomToken(), budget=2e9)
    broken = [record for record in records if record.break_cost is not None]
    assert broken, "the victim is weak enough for this test to say something"
    for record in records:
        example = by_id[record.example_id]
        np.testing.assert_allclose(record.clean_logits, theirs(folder, example.text()), rtol=1e-5, atol=1e-6)
    for record in broken:
        example = by_id[record.example_id]
        logits = theirs(folder, example.text(record.attack_string))
        assert int(logits.argmax()) != example.label
        np.testing.assert_allclose(record.attack_logits, logits, rtol=1e-5, atol=1e-6)


PYTHIA_14M = GPTNeoXConfig(
    vocab_size=50304, hidden_size=128, num_hidden_layers=6, num_attention_heads=4, intermediate_size=512, num_labels=2
)


def test_pythia_14m_has_the_papers_parameter_count(tmp_path):
    GPTNeoXForSequenceClassification(PYTHIA_14M).save_pretrained(tmp_path)
    byte_level_tokenizer().save_pretrained(tmp_path)
    assert load_victim(tmp_path, device="cpu").parameters == 7_629_056


def test_the_real_pythia_14m_has_the_papers_parameter_count(mirror):
    folder = mirror / "models/EleutherAI/pythia-14m"
    if not (folder / "config.json").is_file():
        pytest.skip("needs models/EleutherAI/pythia-14m/config.json in the mirror")
    with torch.device("meta"):
        model = GPTNeoXForSequenceClassification(GPTNeoXConfig.from_pretrained(folder, num_labels=2))
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_629_056


def test_the_context_is_the_smaller_of_the_models_and_the_tokenizers(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint(), tmp_path / "v")
    assert load_victim(folder, device="cpu").context == 256
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": 200}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_victim(folder, device="cpu").context == 200


def test_a_tokenizer_that_truncates_or_pads_by_itself_is_told_not_to(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint(), tmp_path / "v")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    victim, usual = load_victim(folder, device="cpu"), load_victim(checkpoint(), device="cpu")
    np.testing.assert_array_equal(victim.logits(EXAMPLES[0].text()), usual.logits(EXAMPLES[0].text()))
