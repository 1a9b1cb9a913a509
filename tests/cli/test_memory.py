"""Scoring stays within the memory of a laptop."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from holdfast.submissions.checkpoints import checkpoint_folder

LIMIT = 4 * 1024**3


@pytest.mark.alone
@pytest.mark.slow
def test_a_pythia_sized_model_on_200_real_reviews_stays_under_4_gb(tmp_path, mirror, holdfast_process):
    source = mirror / "models" / "EleutherAI" / "pythia-14m"
    if not (source / "tokenizer.json").is_file():
        pytest.skip("needs Pythia's tokenizer in the mirror of the Hub")
    config = AutoConfig.from_pretrained(source, num_labels=2)
    config.pad_token_id = 1
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "victim")
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "victim")
    outcome = holdfast_process(
        *("score", tmp_path / "victim", "--task", "imdb", "--examples", 200, "--budget", "1.3ms", "--json"),
        *("--mirror", mirror, "--out", tmp_path / "out"),
        timeout=600,
    )
    assert outcome.code == 0, outcome.err
    for result in json.loads(outcome.out):
        assert result["victim"]["parameters"] == 7_629_056
        assert result["summary"]["examples"] == 200
        assert sum(record["iterations"] for record in result["records"]) > 0
        assert 0 < result["run"]["peak_memory"] < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["gcg", "beast"])
def test_memory_grows_with_neither_examples_nor_iterations(tmp_path, holdfast_process, attack):
    """Four times the examples, or five times the budget: within 5 % of the same peak, which is mostly PyTorch."""

    def peak(examples: int, budget: str) -> tuple[int, int]:
        outcome = holdfast_process(
            *("score", checkpoint_folder("password-match-adversarial"), "--task", "password-match", "--json"),
            *("--attack", attack, "--examples", examples, "--budget", budget, "--batch-size", 64),
            *("--out", tmp_path / f"{examples}-{budget}"),
        )
        assert outcome.code == 0, outcome.err
        [result] = json.loads(outcome.out)
        return result["run"]["peak_memory"], sum(record["iterations"] for record in result["records"])

    few, iterations = peak(16, "0.02ms")
    more_examples, _ = peak(64, "0.02ms")
    more_iterations, again = peak(16, "0.1ms")
    assert again > 2 * iterations
    assert max(more_examples, more_iterations) < 1.05 * few
