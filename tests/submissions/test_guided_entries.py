"""Entries with an attack that a language model guided: made, checked, run again, shown how to repeat, compared."""

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from tampered import Forged, forged
from victims import save_checkpoint

from holdfast.benchmark import Settings, get_attack, load_victim, read_result, score
from holdfast.benchmark.model_proposal import guided_by
from holdfast.submissions.check import check_entry
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.compare import compare_results
from holdfast.submissions.entry import Key, file_of, load_entry
from holdfast.submissions.evidence import read_evidence
from holdfast.submissions.manifest import Author, Defence
from holdfast.submissions.model_card import card_section
from holdfast.submissions.new import Draft, Scoring, create_entry
from holdfast.submissions.recipes import Shape, StandardSettings, train
from holdfast.submissions.release import score_like
from holdfast.submissions.verdicts import Reproducing
from holdfast.submissions.verify import EntryReport, Evaluations, Request, verify_entry
from holdfast.tasks import RecordError, get_task

TASK = get_task("password-match")
CHECKPOINT = checkpoint_folder("password-match-undefended")
KEY = Key("password-match", "beast_lm", "suffix")
SETTINGS = Settings("custom", 8, 3e10)
AGAIN = Reproducing(examples=6, seed=1)


@pytest.fixture(scope="module")
def proposal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model that has learned a little, with the tokenizer of the checkpoint."""
    out = tmp_path_factory.mktemp("proposal") / "small-lm"
    brief = StandardSettings(examples=64, epochs=1, batch_size=16)
    train(TASK, out, recipe="language-model", tokenizer_of=CHECKPOINT, shape=Shape(1, 16, 2), standard=brief)
    return out


@pytest.fixture(scope="module")
def made(proposal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    registry = tmp_path_factory.mktemp("made") / "submissions"
    (registry / "checkpoints").mkdir(parents=True)
    draft = Draft(
        slug="guided",
        name="Guided",
        authors=[Author(name="Ada Tester")],
        licence="Apache-2.0",
        family="GPT-NeoX",
        defence=Defence(kind="none"),
        checkpoints={TASK.name: str(CHECKPOINT)},
    )
    scoring = Scoring(
        settings=SETTINGS,
        attacks=[(get_attack("beast_lm"), "suffix")],
        work=registry.parent / "work",
        proposal=str(proposal),
        device="cpu",
    )
    create_entry(draft, [TASK], scoring, registry, lambda title: nullcontext(lambda progress: None))
    return registry


@pytest.fixture
def entry(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "submissions") / "entries" / "guided"


def verify(entry: Path, reproducing: Reproducing) -> EntryReport:
    return verify_entry(entry, Request(by="Ada Tester", device="cpu", reproducing=reproducing), Evaluations(None))


def said(report: EntryReport) -> list[str]:
    return [message for _, message in report.problems] + [each for result in report.results for each in result.problems]


def test_an_entry_names_its_proposal_and_the_registry_has_it(entry: Path, proposal: Path) -> None:
    assert check_entry(entry) == []
    [result] = load_entry(entry).results.values()
    model = load_victim(proposal)
    assert result.attack.parameters["proposal"] == "checkpoints/small-lm"
    assert result.attack.parameters["proposal_digest"] == model.digest
    assert load_victim(entry.parents[1] / "checkpoints" / "small-lm").digest == model.digest
    assert any(record.break_cost for record in result.records)
    assert any(record.iterations > 3 for record in result.records)


def test_it_is_replayed_and_run_again_with_its_proposal(entry: Path) -> None:
    assert said(verify(entry, AGAIN)) == []
    evidence = read_evidence(file_of(entry, "evidence", KEY))
    assert evidence.level == "reproduced"
    assert evidence.reproduction is not None
    assert evidence.reproduction.identical == 6


def test_without_its_proposal_it_is_replayed_but_cannot_be_run_again(entry: Path) -> None:
    shutil.rmtree(entry.parents[1] / "checkpoints" / "small-lm")
    (problem,) = said(verify(entry, AGAIN))
    assert problem.startswith("its attack cannot be run again here: the proposal 'checkpoints/small-lm' cannot be had")
    assert said(verify(entry, Reproducing())) == []
    assert read_evidence(file_of(entry, "evidence", KEY)).level == "replayed"


def test_a_proposal_that_the_registry_lacks_or_has_another_of_is_found_by_the_check(entry: Path) -> None:
    folder = entry.parents[1] / "checkpoints" / "small-lm"
    digest = load_victim(folder).digest
    save_checkpoint(folder, causal=True)
    (problem,) = check_entry(entry)
    assert problem.file == file_of(entry, "results", KEY)
    assert problem.message.startswith(f"attack.parameters.proposal_digest: {digest[:12]} guided the attack, and what")
    shutil.rmtree(folder)
    (problem,) = check_entry(entry)
    assert problem.file == file_of(entry, "results", KEY)
    assert problem.message == (
        f"attack.parameters.proposal: There is no checkpoint folder {folder}; a path counts from the folder that has "
        "entries/."
    )


def test_a_proposal_from_a_folder_of_ones_own_cannot_be_run_again(entry: Path) -> None:
    with forged(entry, KEY) as forgery:
        forgery.result["attack"]["parameters"]["proposal"] = "/home/ada/small-lm"
    (problem,) = said(verify(entry, AGAIN))
    assert "'/home/ada/small-lm' is neither in the registry nor on the Hub at a commit" in problem


def test_another_proposal_than_the_recorded_one_is_found_out(entry: Path) -> None:
    with forged(entry, KEY) as forgery:
        forgery.result["attack"]["parameters"]["proposal_digest"] = "0" * 64
    assert said(verify(entry, Reproducing())) == [], "which model proposed a string does not show in the string"
    (problem,) = said(verify(replace_evidence(entry), AGAIN))
    assert problem == "checkpoints/small-lm is another proposal than the one that is recorded, by its SHA-256"


def replace_evidence(entry: Path) -> Path:
    shutil.rmtree(entry / "evidence")
    return entry


def cheaper_by(share: Callable[[Forged], int]) -> Callable[[Forged], None]:
    def forge(forgery: Forged) -> None:
        record = forgery.records[forgery.broken()]
        record["cost"] = record["break_cost"] = record["cost"] - share(forgery)

    return forge


def one_iteration_more(forgery: Forged) -> None:
    forgery.records[forgery.held()]["iterations"] = 1


def no_proposal(forgery: Forged) -> None:
    forgery.result["attack"]["parameters"].update(proposal="", proposal_digest="", proposal_parameters=0)


def a_cheap_proposal(forgery: Forged) -> None:
    forgery.result["attack"]["parameters"]["proposal_parameters"] = -5


def a_text_for_a_number(forgery: Forged) -> None:
    forgery.result["attack"]["parameters"]["proposal_parameters"] = "many"


def an_unprintable_proposal(forgery: Forged) -> None:
    forgery.result["attack"]["parameters"]["proposal"] = "checkpoints/\u202esmall"


FORGED = {
    "a FLOP less": (cheaper_by(lambda forgery: 1), "whole iterations"),
    "half the iterations": (cheaper_by(lambda forgery: forgery.records[forgery.broken()]["cost"] // 2), "iteration"),
    "more than the iterations cost": (one_iteration_more, "is not that of 1 whole iterations"),
    "no proposal": (no_proposal, "they do not say which one"),
    "a proposal of no size": (a_cheap_proposal, "they do not say which one"),
    "a proposal of a text's size": (a_text_for_a_number, "they are not those of beast_lm"),
    "a proposal with a hidden character": (an_unprintable_proposal, "attack.parameters.proposal: "),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_cannot_have_been_is_found_without_a_model(entry: Path, what: str) -> None:
    forge, message = FORGED[what]
    with forged(entry, KEY) as forgery:
        forge(forgery)
    found = [problem.message for problem in check_entry(entry)]
    assert any(message in each for each in found), found


def test_its_model_card_has_the_command_that_scores_it_again(entry: Path) -> None:
    section = card_section(load_entry(entry), [TASK.name], None)
    assert "--attack beast_lm --examples 8 --budget 3e+10FLOP --proposal submissions/checkpoints/small-lm" in section
    with forged(entry, KEY) as forgery:
        forgery.result["attack"]["parameters"]["proposal"] = "```\n<b>"
    loaded = load_entry(entry)
    assert "--proposal PROPOSAL" in card_section(loaded, [TASK.name], None)


def test_a_release_is_scored_as_its_baseline_was_with_the_same_proposal(proposal: Path, tmp_path: Path) -> None:
    victim, model = load_victim(CHECKPOINT, device="cpu"), load_victim(proposal, device="cpu")
    settings = replace(SETTINGS, examples=2, budget=4e9)
    evaluation, attack = TASK.evaluation(), guided_by(get_attack("beast_lm"), model)
    baseline = score(victim, evaluation, attack, settings, tmp_path / "base", proposal=model)
    [candidate] = score_like([baseline], CHECKPOINT, tmp_path / "candidate", device="cpu")
    assert candidate.score() == baseline.score()
    moved = shutil.copytree(proposal, tmp_path / "moved")
    attack = guided_by(attack, load_victim(moved))
    elsewhere = score(victim, evaluation, attack, settings, tmp_path / "elsewhere", proposal=model)
    assert elsewhere.attack.parameters["proposal"] == str(moved)
    verdicts = {row.verdict for row in compare_results([baseline], [elsewhere]).rows}
    assert verdicts == {"no evidence"}, "the same model is the same attack, wherever it lies"
    save_checkpoint(moved, causal=True)
    with pytest.raises(RecordError, match="another proposal than the one that guided beast_lm in the baseline"):
        score_like([elsewhere], CHECKPOINT, tmp_path / "again", device="cpu")
    assert read_result(tmp_path / "base" / "results" / TASK.name / "beast_lm-suffix.json") == baseline
