"""`--proposal` on the command line: where it is needed, where it is out of place, and that a score names it."""

import json
import re
from pathlib import Path

import pytest
from victims import save_checkpoint

from holdfast.submissions.checkpoints import checkpoint_folder

CHECKPOINT = checkpoint_folder("password-match-undefended")
ASKED = ("score", CHECKPOINT, "--task", "password-match", "--examples", "2", "--budget", "8e9FLOP", "--device", "cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("model") / "lm"
    return save_checkpoint(folder, tokenizer=AutoTokenizer.from_pretrained(CHECKPOINT), causal=True)


def test_a_score_is_guided_by_the_model_that_is_given(holdfast, model, tmp_path):
    done = holdfast(*ASKED, "--attack", "beast_lm", "--proposal", model, "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    [result] = json.loads(done.out)
    assert result["attack"]["parameters"]["proposal"] == str(model)
    assert (tmp_path / "out" / "results" / "password-match" / "beast_lm-suffix.json").is_file()
    assert "beast_lm" in holdfast("show", tmp_path / "out").out


def test_a_dry_run_knows_what_the_proposal_costs(holdfast, model, tmp_path):
    def iteration(*attack: object) -> int:
        done = holdfast(*ASKED, *attack, "--dry-run", "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)[0]["iteration_cost"]

    assert iteration("--attack", "beast_lm", "--proposal", model) > iteration("--attack", "beast")
    shown = holdfast(*ASKED, "--attack", "beast_lm", "--proposal", model, "--out", tmp_path / "out", "--dry-run").out
    assert re.search(r"^ *proposal +\S+ FLOP of it; \S+ ms, measured now", shown, re.MULTILINE)


def test_several_attacks_share_the_option(holdfast, model, tmp_path):
    done = holdfast(
        *ASKED, "--attack", "random_token", "--attack", "beast_lm-5", "--proposal", model, "--out", tmp_path, "--json"
    )
    assert done.code == 0, done.err
    plain, guided = json.loads(done.out)
    assert "proposal" not in plain["attack"]["parameters"]
    assert guided["attack"]["parameters"]["length"] == 5


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (("--attack", "beast_lm"), 2, "is guided by a language model; name one with --proposal"),
        (("--attack", "gcg", "--proposal", "MODEL"), 2, "None of the attacks uses a proposal; add --attack beast_lm"),
        (("--attack", "beast_lm", "--proposal", CHECKPOINT), 3, "only a causal language model can propose tokens"),
        (("--attack", "beast_lm", "--proposal", "OTHER"), 3, "shares the victim's tokenizer"),
        (("--attack", "beast_lm", "--proposal", "nowhere"), 3, "There is no checkpoint folder 'nowhere'"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(holdfast, model, tmp_path, given, code, sentence):
    if "OTHER" in given:
        save_checkpoint(tmp_path / "OTHER", causal=True)
    words = {"MODEL": model, "OTHER": tmp_path / "OTHER"}
    refused = holdfast(*ASKED, *(words.get(word, word) for word in given), "--out", tmp_path / "out")
    assert refused.code == code
    assert sentence in refused.sentence


def test_an_entry_is_not_begun_without_the_model(holdfast, tmp_path):
    (tmp_path / "entries").mkdir()
    refused = holdfast(
        *("submit", "new", "mine", "--checkpoint", f"password-match={CHECKPOINT}", "--name", "Mine", "--author", "Ada"),
        *("--licence", "MIT", "--family", "Tiny", "--defence", "none", "--attack", "beast_lm", "--registry", tmp_path),
    )
    assert refused.code == 2
    assert "name one with --proposal" in refused.sentence


def test_a_tokenizer_and_a_vocabulary_are_not_both_chosen(holdfast, tmp_path):
    given = ("--task", "password-match", "--out", tmp_path / "out", "--tokenizer-of", CHECKPOINT)
    refused = holdfast("train", *given, "--vocabulary", "500")
    assert refused.code == 2
    assert "leave out --vocabulary" in refused.sentence
    assert not (tmp_path / "out").exists()
