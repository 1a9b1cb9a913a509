"""A hostile checkpoint is refused within limits, and what is beside the weights has no effect on what is loaded.

Each is written under its own digest, as a submitter would: what stops it is not that the digest differs.
"""

import json
import pickle
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tampered import GCG, RANDOM, forged

from holdfast.benchmark.digest import checkpoint_digest, deciding_files
from holdfast.submissions.declared import HubCheckpoint
from holdfast.submissions.limits import CHECKPOINT_BYTES
from holdfast.submissions.sealed import fetch, refuse_unsafe, sealed
from holdfast.submissions.verify import EntryReport, Evaluations, Request, verify_entry
from holdfast.tasks import CheckpointError

REQUEST = Request(by="the tests", device="cpu", seconds=60, memory=1_500_000_000)
EVALUATIONS = Evaluations(None)


def verify(entry: Path, **changes) -> EntryReport:
    return verify_entry(entry, replace(REQUEST, **changes), EVALUATIONS)


def said(report: EntryReport) -> list[str]:
    return [message for _, message in report.problems] + [each for result in report.results for each in result.problems]


def config(**fields: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text()) | fields
        (folder / "config.json").write_text(json.dumps(content))

    return change


def a_pickle_for_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Opened(str(folder.parents[2] / "trap"))))


class Opened:
    """What a pickle can do: this one would leave a file behind."""

    def __init__(self, trap: str) -> None:
        self.trap = trap

    def __reduce__(self):
        return open, (self.trap, "w")


def header(length: int, content: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + content)

    return change


def offsets_beyond_the_file(folder: Path) -> None:
    content = json.dumps({"score.weight": {"dtype": "F32", "shape": [2, 64], "data_offsets": [0, 2**50]}}).encode()
    header(len(content), content)(folder)


def a_shape_of_terabytes(folder: Path) -> None:
    content = json.dumps({"score.weight": {"dtype": "F32", "shape": [2**30, 2**10], "data_offsets": [0, 512]}}).encode()
    header(len(content), content + bytes(512))(folder)


def shards_outside(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "a.safetensors")
    shards = dict.fromkeys(load_file(folder / "a.safetensors"), "../small/a.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))


def weights_that_are_no_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["score.weight"].fill_(float("nan"))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def a_tokenizer_of_brackets(folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(b"[" * 1_000_000)


def a_config_of_brackets(folder: Path) -> None:
    (folder / "config.json").write_bytes(b'{"a":' * 100_000)


def another_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fast_tokenizer_files": ["tokenizer.4.0.0.json"]}))


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a config of a model of terabytes": (
        config(vocab_size=10**11),
        "memory|does not fit|are not those that its config",
    ),
    "a config of a model without end": (config(num_hidden_layers=10**9), "took longer|memory|its process died"),
    "a config of a wide model": (config(hidden_size=2**20, intermediate_size=2**22), "memory|fit|are not those|longer"),
    "a config of two megabytes": (config(x="x" * 2_000_000), "its config.json has 2,000,.* 1,000,000 are allowed"),
    "a config of brackets": (a_config_of_brackets, "config.json"),
    "a kernel of somebody's": (config(attn_implementation="somebody/kernel"), "for which code would be fetched"),
    "a kernel in a field of its own": (
        config(_attn_implementation_internal="somebody/kernel"),
        "for which code would be fetched",
    ),
    "a kernel for a part": (config(text_config={"attn_implementation": "a/b"}), "for which code would be fetched"),
    "experts of somebody's": (config(experts_implementation={"": "a/b"}), "for which code would be fetched"),
    "another config in its place": (config(configuration_files=["/etc/config.1.0.0.json"]), "leads to other files"),
    "other weights in their place": (config(transformers_weights="../small/a.safetensors"), "leads to other files"),
    "another tokenizer in its place": (another_tokenizer, "tokenizer_config.json has the field fast_tokenizer_files"),
    "quantization": (config(quantization_config={"quant_method": "fp8"}), "asks for quantization"),
    "a model with code": (
        config(model_type="theirs", auto_map={"AutoConfig": "theirs.C"}),
        "without running the checkpoint's own code",
    ),
    "three labels": (config(id2label={"0": "a", "1": "b", "2": "c"}, label2id={}), "has 3 labels"),
    "a pickle for weights": (a_pickle_for_weights, "has no model.safetensors"),
    "a header of an exabyte": (header(2**60, b"{}"), "damaged or half downloaded"),
    "a header that is none": (header(8, b"notjson!"), "damaged or half downloaded"),
    "offsets beyond the file": (offsets_beyond_the_file, "damaged or half downloaded"),
    "a shape of terabytes": (a_shape_of_terabytes, "damaged or half downloaded"),
    "shards outside the folder": (shards_outside, "names the weight file '../small/a.safetensors', outside its folder"),
    "weights that are no numbers": (weights_that_are_no_numbers, "logits that are no finite numbers"),
    "a tokenizer of brackets": (a_tokenizer_of_brackets, "The tokenizer of checkpoints/small"),
}


def under_its_own_digest(entry: Path, change: Callable[[Path], None]) -> None:
    folder = entry.parents[1] / "checkpoints" / "small"
    change(folder)
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.result["victim"]["digest"] = checkpoint_digest(folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_within_limits(scored: Path, name: str) -> None:
    change, reason = HOSTILE[name]
    under_its_own_digest(scored, change)
    report = verify(scored, seconds=20)
    assert not report.verified
    assert any(re.search(reason, each) for each in said(report)), said(report)
    assert not any("/tmp" in each and "holdfast-victim" in each for each in said(report)), "called by its name"
    assert not (scored / "evidence").exists()
    assert not (scored.parents[2] / "trap").exists()


def an_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "a/b", "peft_type": "LORA"}))


def code_beside_it(folder: Path) -> None:
    trap = folder.parents[2] / "trap"
    (folder / "theirs.py").write_text(f"open({str(trap)!r}, 'w')\n")
    config(auto_map={"AutoConfig": "theirs.C", "AutoModelForSequenceClassification": "theirs.M"})(folder)


def a_pickle_beside_it(folder: Path) -> None:
    trap = folder.parents[2] / "trap"
    for name in ("pytorch_model.bin", "training_args.bin", ".metadata", "__0_0.distcp"):
        (folder / name).write_bytes(pickle.dumps(Opened(str(trap))))


@pytest.mark.parametrize("beside", [an_adapter, code_beside_it, a_pickle_beside_it])
def test_what_lies_beside_the_weights_has_no_effect(scored: Path, beside: Callable[[Path], None]) -> None:
    under_its_own_digest(scored, beside)
    assert said(verify(scored, memory=None)) == []
    assert not (scored.parents[2] / "trap").exists()


def test_only_what_the_digest_covers_is_loaded(scored: Path) -> None:
    folder = scored.parents[1] / "checkpoints" / "small"
    an_adapter(folder)
    (folder / "sub").mkdir()
    (folder / "training_args.bin").touch()
    with sealed(folder) as made:
        assert sorted(path.name for path in made.iterdir()) == [path.name for path in deciding_files(folder)]
        assert checkpoint_digest(made) == checkpoint_digest(folder)
    assert not made.exists()
    assert len(deciding_files(folder)) >= 3, "the files themselves stay"


def test_weights_beyond_the_limit_are_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(CHECKPOINT_BYTES + 1)
    with pytest.raises(CheckpointError, match=r"its model.safetensors has 400,000,000,001 bytes"):
        refuse_unsafe(tmp_path)


def test_a_checkpoint_that_cannot_be_had_is_a_sentence() -> None:
    with pytest.raises(CheckpointError, match=r"a/b.* is not in the local Hub cache and the Hub cannot be reached"):
        fetch(HubCheckpoint(repo="a/b", commit="0" * 40))


def test_random_bytes_for_any_file_are_refused(scored: Path) -> None:
    chance = np.random.default_rng(0)
    folder = scored.parents[1] / "checkpoints" / "small"
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        kept = (folder / name).read_bytes()
        under_its_own_digest(scored, lambda folder, name=name: (folder / name).write_bytes(chance.bytes(10_000)))
        assert not verify(scored).verified
        (folder / name).write_bytes(kept)
