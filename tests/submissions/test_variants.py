"""Variants in an entry: other lengths and other positions are submitted, checked, replayed and run again."""

import shutil
from pathlib import Path

import pytest
from scored_entries import BUDGET, EXAMPLES, TASK, score_entry

from holdfast.benchmark import OFFICIAL_ATTACKS, Settings, get_attack, load_victim, score
from holdfast.benchmark.results import read_result, result_json
from holdfast.submissions.check import check_entry
from holdfast.submissions.claims import claims_of
from holdfast.submissions.entry import Key, file_of, load_entry
from holdfast.submissions.verdicts import Reproducing
from holdfast.submissions.verify import Evaluations, Request, verify_entry
from holdfast.tasks import get_task

VARIANTS = [("gcg-20", "infix"), ("gcg-20", "suffix"), ("gcg", "prefix"), ("beast-25", "suffix")]
KEYS = [Key(TASK, *variant) for variant in VARIANTS]
BEAST = Key(TASK, "beast", "suffix")


@pytest.fixture(scope="module")
def entry(tmp_path_factory) -> Path:
    """The sound entry with a result of every variant beside its official ones."""
    folder = score_entry(tmp_path_factory.mktemp("registry"), attacks=OFFICIAL_ATTACKS)
    victim = load_victim(folder.parents[1] / "checkpoints" / "small", device="cpu")
    victim.reference = "checkpoints/small"
    evaluation = get_task(TASK).evaluation()
    for name, position in VARIANTS:
        settings = Settings("custom", EXAMPLES, BUDGET)
        score(victim, evaluation, get_attack(name), settings, folder, position=position)  # pyright: ignore
    shutil.rmtree(folder / "records", ignore_errors=True)
    (folder / ".lock").unlink()
    return folder


def test_an_entry_with_variants_is_sound(entry) -> None:
    assert [str(problem) for problem in check_entry(entry, entry.parents[1])] == []
    results = load_entry(entry).results
    assert set(KEYS) < results.keys()
    assert any(record.break_cost for key in KEYS for record in results[key].records)
    assert any(record.clean_correct and not record.break_cost for key in KEYS for record in results[key].records)


def test_clean_accuracy_is_the_same_in_every_variant(entry) -> None:
    answers = {tuple(record.clean_correct for record in each.records) for each in load_entry(entry).results.values()}
    assert len(answers) == 1


def test_texts_of_one_variant_are_as_long_in_every_result(entry, tmp_path) -> None:
    """Strings of 10 tokens at the suffix: one attack says of a text that it has a token more."""
    copy = shutil.copytree(entry.parents[1], tmp_path / "registry") / "entries" / entry.name
    path = file_of(copy, "results", Key(TASK, "gcg", "suffix"))
    result = read_result(path)
    longer = [each.model_copy(update={"tokens": each.tokens + (each is result.records[3])}) for each in result.records]
    path.write_bytes(result_json(result.model_copy(update={"records": longer})))
    said = [problem.message for problem in check_entry(copy, copy.parents[1])]
    assert any("another label, clean answer or length here than in beast-suffix.json" in each for each in said), said
    assert not any("gcg-prefix" in each for each in said)


def test_variants_never_enter_the_official_adversary(entry) -> None:
    adversary, *others = claims_of(load_entry(entry), TASK)
    assert set(adversary.attackers) == set(OFFICIAL_ATTACKS)
    assert {claim.attack for claim in others} > {f"{name}-{position}" for name, position in VARIANTS}


def test_variants_are_replayed_and_run_again(entry) -> None:
    request = Request(by="The tests", reproducing=Reproducing(examples=6), again=True, device="cpu")
    report = verify_entry(entry, request, Evaluations(None))
    assert report.verified, report
    assert {result.key: result.level for result in report.results} == dict.fromkeys(
        load_entry(entry).results, "reproduced"
    )


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        (KEYS[0], {"position": "prefix"}, "its name says"),
        (KEYS[0], {"parameters": {"length": 10, "candidates": 128, "top_k": 256}}, "its name says"),
        (BEAST, {"parameters": {"length": 10, "width": 15, "branching": 14}}, "they are not those of beast"),
        (BEAST, {"parameters": {"length": 60, "width": 15, "branching": 15}}, "1 to 50 tokens"),
    ],
)
def test_a_variant_under_another_name_is_refused(entry, tmp_path, key, change, said) -> None:
    copy = shutil.copytree(entry.parents[1], tmp_path / "registry") / "entries" / entry.name
    path = file_of(copy, "results", key)
    result = read_result(path)
    path.write_bytes(result_json(result.model_copy(update={"attack": result.attack.model_copy(update=change)})))
    assert any(said in problem.message for problem in check_entry(copy, copy.parents[1]))


def test_a_string_moved_to_another_position_is_not_replayed(entry, tmp_path) -> None:
    """The strings of the infix, claimed for the prefix: name, result and trace agree, and the victim does not."""
    copy = shutil.copytree(entry.parents[1], tmp_path / "registry") / "entries" / entry.name
    ours, theirs = KEYS[0], Key(TASK, "gcg-20", "prefix")
    result = read_result(file_of(copy, "results", ours))
    moved = result.model_copy(update={"attack": result.attack.model_copy(update={"position": "prefix"})})
    file_of(copy, "results", theirs).write_bytes(result_json(moved))
    shutil.copy(file_of(copy, "traces", ours), file_of(copy, "traces", theirs))
    assert check_entry(copy, copy.parents[1]) == []
    report = verify_entry(copy, Request(by="The tests", again=True, device="cpu"), Evaluations(None))
    failed = {each.key for each in report.results if each.problems}
    assert failed == {theirs}
