"""Entries whose victim is made of several checkpoints are made, checked, verified and shown like any other."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from submitted_entries import TASK, said, submit, verify
from tampered import GCG, RANDOM, forged

from holdfast.benchmark import Settings
from holdfast.benchmark.digest import checkpoint_digest, digest_of_several
from holdfast.benchmark.results import read_result
from holdfast.leaderboard.attack_strings import strings_of
from holdfast.leaderboard.build import build
from holdfast.leaderboard.scaling import models_of
from holdfast.leaderboard.site import Site
from holdfast.leaderboard.views import standings_of
from holdfast.submissions.check import check_entry
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.submissions.entry import file_of, load_entry
from holdfast.submissions.model_card import card_section
from holdfast.submissions.publish import publishable_entry, targets_of
from holdfast.submissions.recipes import read_training_record
from holdfast.submissions.verdicts import Reproducing
from holdfast.submissions.victim_file import read_victim_file
from holdfast.tasks import RecordError, UsageError

NAMES = ("password-match-undefended", "password-match-wide-undefended")
PATHS = [f"checkpoints/{name}" for name in NAMES]
PARAMETERS = 125_824 + 448_256


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry of an ensemble of two bundled checkpoints, made once."""
    members = "".join(f"  - {checkpoint_folder(name)}\n" for name in NAMES)
    return submit(tmp_path_factory.mktemp("made"), f"kind: ensemble\nmembers:\n{members}")


@pytest.fixture
def entry(made: Path, tmp_path: Path) -> Path:
    """The same, in a copy of its registry."""
    return shutil.copytree(made.parents[1], tmp_path / "submissions") / "entries" / made.name


def problems(entry: Path) -> list[str]:
    return [str(problem).removeprefix(f"{entry}/") for problem in check_entry(entry)]


def test_an_entry_of_an_ensemble_is_made_from_a_victim_file(made: Path) -> None:
    assert problems(made) == []
    task = load_entry(made).manifest.tasks[TASK]
    assert task.checkpoint is None
    assert [part.model_dump() for part in task.checkpoints.values()] == [{"path": path} for path in PATHS]
    assert task.parameters == PARAMETERS
    folders = [made.parents[1] / path for path in PATHS]
    for key in (GCG, RANDOM):
        victim = read_result(file_of(made, "results", key)).victim
        assert (victim.kind, victim.reference) == ("ensemble", f"ensemble of {', '.join(PATHS)}")
        assert victim.digest == digest_of_several("ensemble", [checkpoint_digest(folder) for folder in folders])


def test_training_compute_is_that_of_all_members(made: Path) -> None:
    records = [read_training_record(checkpoint_folder(name)) for name in NAMES]
    compute = load_entry(made).manifest.tasks[TASK].compute
    assert compute.fine_tuning == sum(record.compute.fine_tuning for record in records if record) > 0
    assert compute.defence == sum(record.compute.defence for record in records if record)


def test_training_compute_is_unknown_where_a_members_is(tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint_folder(NAMES[1]), tmp_path / "other")
    (other / "training.json").unlink()
    file = f"kind: ensemble\nmembers: [{checkpoint_folder(NAMES[0])}, {other}]\n"
    entry = submit(tmp_path, file, attacks=("random_token",), settings=Settings("custom", 1, 1e9))
    compute = load_entry(entry).manifest.tasks[TASK].compute
    assert (compute.pretraining, compute.fine_tuning, compute.defence) == (None, None, None)


def test_what_is_wrong_with_a_victim_file_is_said_before_anything_is_scored(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"victim\.yaml:2: members: list should have at least 2 items"):
        submit(tmp_path, "kind: ensemble\nmembers: [a]\n")
    assert not (tmp_path / "scores").exists()


def test_two_members_of_the_same_name_are_refused(tmp_path: Path) -> None:
    other = shutil.copytree(checkpoint_folder(NAMES[1]), tmp_path / NAMES[0])
    with pytest.raises(UsageError, match=f"The registry has another checkpoint called {NAMES[0]}; rename the folder"):
        submit(tmp_path, f"kind: ensemble\nmembers: [{checkpoint_folder(NAMES[0])}, {other}]\n")


def test_an_ensemble_is_replayed_and_reproduced(entry: Path) -> None:
    report = verify(entry, reproducing=Reproducing(examples=6))
    assert report.verified, said(report)
    assert {result.key: result.level for result in report.results} == {GCG: "reproduced", RANDOM: "reproduced"}
    evidence = load_entry(entry).evidence
    assert sum(each.replay.broken for each in evidence.values()) > 0
    for each in evidence.values():
        assert each.reproduction is not None
        assert (each.reproduction.identical, each.reproduction.same_machine) == (6, True)


def in_manifest(old: str, new: str) -> Callable[[Path], None]:
    def change(entry: Path) -> None:
        text = (entry / "submission.yaml").read_text()
        assert old in text
        (entry / "submission.yaml").write_text(text.replace(old, new))

    return change


def of_members(change: Callable[[list[dict[str, str]]], object]) -> Callable[[Path], None]:
    """A change of the list of members in the manifest."""

    def changed(entry: Path) -> None:
        manifest = yaml.safe_load((entry / "submission.yaml").read_text())
        change(manifest["tasks"][TASK]["victim"]["members"])
        (entry / "submission.yaml").write_text(yaml.safe_dump(manifest))

    return changed


def member(entry: Path, number: int = 1) -> Path:
    return entry.parents[1] / PATHS[number]


def edited(entry: Path) -> None:
    config = member(entry) / "config.json"
    config.write_text(config.read_text() + " ")


def one_checkpoint(entry: Path) -> None:
    manifest = yaml.safe_load((entry / "submission.yaml").read_text())
    manifest["tasks"][TASK]["checkpoint"] = manifest["tasks"][TASK].pop("victim")["members"][0]
    (entry / "submission.yaml").write_text(yaml.safe_dump(manifest))


def a_filter(entry: Path) -> None:
    manifest = yaml.safe_load((entry / "submission.yaml").read_text())
    model, language_model = manifest["tasks"][TASK]["victim"]["members"]
    manifest["tasks"][TASK]["victim"] = {"kind": "filter", "model": model, "language_model": language_model}
    (entry / "submission.yaml").write_text(yaml.safe_dump(manifest))


def a_link_out(entry: Path) -> None:
    shutil.move(member(entry), entry.parents[2] / "elsewhere")
    member(entry).symlink_to(entry.parents[2] / "elsewhere")


CHANGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "members in another order": (of_members(lambda members: members.reverse()), "victim.digest: .* was scored, and"),
    "another member": (
        of_members(lambda members: members[1].update(path=PATHS[0])),
        "victim.digest: .* was scored, and",
    ),
    "a member edited": (edited, "victim.digest: .* was scored, and what lies in the registry is"),
    "a member too many": (
        of_members(lambda members: members.append({"path": PATHS[0]})),
        "victim.reference: it is not",
    ),
    "one checkpoint": (one_checkpoint, "victim.kind: ensemble is recorded, and the manifest has a checkpoint"),
    "a filter": (a_filter, "victim.kind: ensemble is recorded, and the manifest has a filter"),
    "a member that is not there": (
        lambda entry: shutil.rmtree(member(entry)),
        r"tasks.password-match.victim.members.1.path: There is no checkpoint folder",
    ),
    "a member outside": (a_link_out, r"victim.members.1.path: The checkpoint .* leads outside the registry through a"),
    "a path that climbs": (in_manifest(PATHS[1], "../x"), r"victim.members.1.path: a path inside the registry has no"),
    "fewer parameters": (in_manifest("parameters: 574080", "parameters: 125824"), "victim.parameters: 574,080 here"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_victim_that_is_not_the_one_that_was_scored_is_refused(entry: Path, what: str) -> None:
    change, message = CHANGED[what]
    change(entry)
    assert any(re.search(message, each) for each in problems(entry)), problems(entry)
    report = verify(entry)
    assert not report.verified
    assert not (entry / "evidence").exists()


def under_its_own_digest(entry: Path) -> None:
    """As a submitter would who knows the formats: the digest in the results is that of the changed members."""
    digests = [checkpoint_digest(member(entry, number)) for number in range(len(PATHS))]
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.result["victim"]["digest"] = digest_of_several("ensemble", digests)


def test_a_member_edited_under_its_own_digest_answers_otherwise(entry: Path) -> None:
    shutil.copy(checkpoint_folder("password-match-adversarial") / "model.safetensors", member(entry, 0))
    under_its_own_digest(entry)
    assert problems(entry) == []
    assert any("the victim answers" in each for each in said(verify(entry)))


def test_a_hostile_member_is_refused_by_its_name(entry: Path) -> None:
    config = json.loads((member(entry) / "config.json").read_text())
    (member(entry) / "config.json").write_text(json.dumps(config | {"attn_implementation": "somebody/kernel"}))
    under_its_own_digest(entry)
    found = said(verify(entry))
    assert len(found) == 2
    begins = f"its checkpoint cannot be used: {PATHS[1]}: its config.json asks for the"
    assert all(each.startswith(begins) for each in found), found


def test_members_on_the_hub_are_checked_as_far_as_that_goes_offline(entry: Path) -> None:
    """Their digests are not at hand; what is said of them is."""
    commit = "0123456789abcdef" * 2 + "01234567"
    of_members(lambda members: members.__setitem__(1, {"repo": "acme/b", "commit": commit}))(entry)
    assert all("victim.reference: it is not the victim" in each for each in problems(entry))
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.result["victim"]["reference"] = f"ensemble of {PATHS[0]}, acme/b@0123456789ab"
    assert problems(entry) == []
    assert all("it cannot be replayed here: acme/b" in each for each in said(verify(entry)))


def test_a_model_card_gives_the_victim_file_that_its_command_names(made: Path, tmp_path: Path) -> None:
    section = card_section(publishable_entry(made), [TASK], None)
    assert f"holdfast score {TASK}-victim.yaml --task {TASK}" in section
    _, _, rest = section.partition(f"`{TASK}-victim.yaml` is:\n\n```\n")
    (tmp_path / "victim.yaml").write_text(rest.partition("```")[0])
    declared = read_victim_file(tmp_path / "victim.yaml")
    assert list(declared.parts.values()) == [f"submissions/{path}" for path in PATHS]


def test_an_ensemble_has_no_model_repo_of_its_own(made: Path) -> None:
    with pytest.raises(UsageError, match="There is no repo to publish composed in"):
        targets_of(publishable_entry(made))
    [target] = targets_of(publishable_entry(made), model="acme/composed", benchmark="acme/robustness")
    assert target.repo == "acme/composed"


def test_a_victim_of_several_checkpoints_is_no_size_of_a_model(entry: Path) -> None:
    in_manifest("kind: other", "kind: none")(entry)
    assert models(entry) == 0
    one_checkpoint(entry)
    assert models(entry) > 0


def models(entry: Path) -> int:
    """Models that the entry adds to the relation of size and robustness."""
    read = load_entry(entry)
    return len(models_of(Site({read.slug: read}, {read.slug: standings_of(read)}, {}, {})))


def test_the_site_shows_what_a_victim_is_made_of(made: Path, tmp_path: Path) -> None:
    build(made.parents[1], tmp_path / "site")
    page = (tmp_path / "site/entries/composed.html").read_text()
    assert "ensemble of" in page
    assert all(page.count(path) >= 2 for path in PATHS), "where training is told, and in every provenance"
    data = json.loads((tmp_path / "site/api/entries/composed.json").read_text())
    assert [member["path"] for member in data["manifest"]["tasks"][TASK]["victim"]["members"]] == PATHS
    found = strings_of(load_entry(made), GCG)
    assert found
    assert all(each.tokens is not None for each in found), "by the first member's tokenizer"
