"""What publishing does to repos on the Hub: huggingface_hub's own client against a local stand-in."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import Fault, StandIn, interrupted, reachable, running
from huggingface_hub import HfApi
from made_entries import IN_REGISTRY, make_entry, on_hub

from holdfast.submissions.entry import Key, file_of
from holdfast.submissions.hub import Change, Commit, commit, look
from holdfast.submissions.publish import Target, publishable_entry, repo_name, targets_of
from holdfast.tasks import RecordError, RemoteError, UsageError

CARD = b"---\nlicense: mit\ntags: [a, b]\n---\n\n# A classifier\r\n\nIts text, with trailing space. \n"
FOLDER = "entries/made-up"


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with running() as hub, reachable(hub):
        hub.add("model", "acme/classifier", {"README.md": CARD, "config.json": b"{}"})
        hub.add("dataset", "acme/robustness", {"README.md": b"# Ours\n"})
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_entry(tmp_path, checkpoints={"password-match": on_hub(), "word-length": IN_REGISTRY})


def api_of(hub: StandIn, token: str | None = "hf_writer") -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def targets(hub: StandIn, folder: Path) -> list[Target]:
    return targets_of(publishable_entry(folder), dataset="acme/robustness", endpoint=hub.url)


def publish(
    hub: StandIn, folder: Path, token: str = "hf_writer", *, pull_request: bool = False, create: bool = False
) -> list[Commit | None]:
    api = api_of(hub, token)
    changes = [look(api, target, pull_request=pull_request) for target in targets(hub, folder)]
    return [commit(api, change, pull_request=pull_request, create=create) for change in changes]


def local_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def entry_on(hub: StandIn) -> dict[str, bytes]:
    files = hub.files("dataset", "acme/robustness")
    return {path.removeprefix(f"{FOLDER}/"): files[path] for path in files if path.startswith(FOLDER)}


def states(change: Change) -> dict[str, str]:
    return {file.path: file.state for file in change.files}


def test_what_arrives_is_what_the_entry_holds(hub: StandIn, folder: Path) -> None:
    before = local_files(folder)
    publish(hub, folder)
    assert entry_on(hub) == before == local_files(folder)
    assert hub.files("dataset", "acme/robustness")["README.md"] == b"# Ours\n"
    tree = hub.repos["dataset", "acme/robustness"].trees[hub.repos["dataset", "acme/robustness"].refs["main"]]
    assert {path for path, blob in tree.items() if blob.lfs} == {path for path in tree if path.endswith(".parquet")}


def test_a_model_repo_gets_results_of_its_own_tasks_and_a_section(hub: StandIn, folder: Path) -> None:
    publish(hub, folder)
    files = hub.files("model", "acme/classifier")
    assert set(files) == {".gitattributes", "config.json", "README.md", ".eval_results/holdfast-password-match.yaml"}
    assert files["README.md"].startswith(CARD)
    assert b"word-length" not in files["README.md"]
    assert f"{hub.url}/datasets/acme/robustness/tree/main/{FOLDER}".encode() in files["README.md"]


def test_a_named_model_repo_gets_all_tasks(hub: StandIn, folder: Path) -> None:
    named = targets_of(publishable_entry(folder), model="acme/other", benchmark="acme/robustness")
    assert [target.repo for target in named] == ["acme/other"]
    assert set(named[0].files) == {f".eval_results/holdfast-{task}.yaml" for task in ("password-match", "word-length")}


def test_publishing_again_does_nothing(hub: StandIn, folder: Path) -> None:
    assert all(publish(hub, folder))
    before = len(hub.writes)
    assert publish(hub, folder) == [None, None]
    assert len(hub.writes) == before


def test_only_what_changed_is_committed_and_what_is_gone_is_removed(hub: StandIn, folder: Path) -> None:
    publish(hub, folder)
    for kind in ("results", "traces"):
        file_of(folder, kind, Key("password-match", "random_token", "suffix")).unlink()
    dataset, model = (look(api_of(hub), target) for target in targets(hub, folder))
    assert {path: state for path, state in states(dataset).items() if state != "same"} == {
        f"{FOLDER}/results/password-match/random_token-suffix.json": "removed",
        f"{FOLDER}/traces/password-match/random_token-suffix.parquet": "removed",
    }
    assert set(states(model).values()) == {"changed"}
    publish(hub, folder)
    assert entry_on(hub) == local_files(folder)
    card = hub.files("model", "acme/classifier")["README.md"]
    assert card.startswith(CARD)
    assert (card.count(b"holdfast:begin"), card.count(b"random")) == (1, 0)


def test_files_of_others_in_the_folder_stay(hub: StandIn, folder: Path) -> None:
    hub.add(
        "dataset", "acme/robustness", {f"{FOLDER}/notes.txt": b"mine", f"{FOLDER}/results/old/gcg-suffix.json": b"{}"}
    )
    publish(hub, folder)
    files = entry_on(hub)
    assert "notes.txt" in files
    assert "results/old/gcg-suffix.json" not in files


def test_a_card_that_somebody_changes_meanwhile_is_not_overwritten(hub: StandIn, folder: Path) -> None:
    model = targets(hub, folder)[1]
    seen = look(api_of(hub), model)
    repo = hub.repos["model", "acme/classifier"]
    tree = repo.trees[repo.refs["main"]]
    repo.commit("main", {**tree, "README.md": replace(tree["README.md"], content=b"# Theirs\n")})
    with pytest.raises(RemoteError, match="changed by somebody else"):
        commit(api_of(hub), seen)
    assert hub.files("model", "acme/classifier")["README.md"] == b"# Theirs\n"
    assert commit(api_of(hub), look(api_of(hub), model))
    assert hub.files("model", "acme/classifier")["README.md"].startswith(b"# Theirs\n")


def test_a_model_without_a_card_gets_one(hub: StandIn, folder: Path) -> None:
    hub.add("model", "acme/classifier")
    publish(hub, folder)
    assert hub.files("model", "acme/classifier")["README.md"].startswith(b"<!-- holdfast:begin -->")


@pytest.mark.parametrize(
    ("card", "error", "said"),
    [
        (b"<!-- holdfast:begin -->", RecordError, "begin in line 1"),
        (b"\xff\xfe", RecordError, "UTF-8"),
        (b"#" * 1_000_001, RecordError, "too large"),
        (b"---\na: [\n---\n", RemoteError, "Invalid metadata in README.md"),
    ],
)
def test_a_card_that_cannot_take_a_section_is_refused(
    hub: StandIn, folder: Path, card: bytes, error: type[Exception], said: str
) -> None:
    hub.add("model", "acme/classifier", {"README.md": card})
    with pytest.raises(error, match=said):
        publish(hub, folder)
    assert hub.files("model", "acme/classifier")["README.md"] == card


def test_a_pull_request_is_opened_once_and_then_kept_up_to_date(hub: StandIn, folder: Path) -> None:
    main = hub.files("model", "acme/classifier")
    first = publish(hub, folder, "hf_reader", pull_request=True)
    assert all(each and each.pull_request for each in first)
    assert [each and each.url for each in first] == [
        f"{hub.url}/datasets/acme/robustness/discussions/1",
        f"{hub.url}/acme/classifier/discussions/1",
    ]
    assert hub.files("model", "acme/classifier") == main
    assert publish(hub, folder, "hf_reader", pull_request=True) == [None, None]
    for kind in ("results", "traces"):
        file_of(folder, kind, Key("password-match", "random_token", "suffix")).unlink()
    again = publish(hub, folder, "hf_reader", pull_request=True)
    assert [each and each.url for each in again] == [each and each.url for each in first]
    repo = hub.repos["dataset", "acme/robustness"]
    assert len(repo.pull_requests) == 1
    assert f"{FOLDER}/traces/password-match/random_token-suffix.parquet" not in repo.trees[repo.refs["refs/pr/1"]]


def test_a_missing_data_set_repo_is_made_only_when_asked_for(hub: StandIn, folder: Path) -> None:
    del hub.repos["dataset", "acme/robustness"]
    with pytest.raises(RemoteError, match="--create"):
        publish(hub, folder)
    assert not hub.writes
    publish(hub, folder, create=True)
    assert entry_on(hub) == local_files(folder)


def test_a_missing_model_repo_is_never_made(hub: StandIn, folder: Path) -> None:
    del hub.repos["model", "acme/classifier"]
    with pytest.raises(RemoteError, match="no model acme/classifier on the Hub"):
        publish(hub, folder, create=True)


def test_a_private_repo_is_published_in_like_any_other(hub: StandIn, folder: Path) -> None:
    hub.add("dataset", "acme/robustness", private=True)
    publish(hub, folder)
    assert entry_on(hub) == local_files(folder)


def test_a_file_that_the_repo_ignores_is_not_lost_in_silence(hub: StandIn, folder: Path) -> None:
    hub.add("dataset", "acme/robustness", {".gitignore": b"*.parquet"})
    with pytest.raises(RemoteError, match=r"\.gitignore"):
        publish(hub, folder)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_reader", "may not write to the data set acme/robustness .*--create-pr"),
        ("hf_wrong", "does not accept your token"),
    ],
)
def test_a_token_without_the_right_is_refused(hub: StandIn, folder: Path, token: str, said: str) -> None:
    with pytest.raises(RemoteError, match=said):
        publish(hub, folder, token)
    assert not entry_on(hub)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("/revision/", lambda: 500), "trouble itself"),
        (Fault("/commit/", lambda: 503), "trouble itself"),
        (Fault("/commit/", lambda: 413), "refuses this"),
        (Fault("/commit/", lambda: "drop"), "connection broke"),
        (Fault("/revision/", lambda: "drop"), "connection broke"),
        (Fault("/resolve/", lambda: "drop", times=9), "connection broke"),
        (Fault("/storage/", lambda: 403, times=9), "may not write"),
        (
            Fault("/commit/", lambda: 429, headers={"RateLimit": '"api";r=0;t=119'}),
            r"no more requests .* again in 2 min",
        ),
    ],
)
def test_a_fault_on_the_way_is_one_sentence_and_publishing_again_completes(
    hub: StandIn, folder: Path, fault: Fault, said: str
) -> None:
    hub.faults.append(fault)
    before = local_files(folder)
    with pytest.raises(RemoteError, match=said) as error:
        publish(hub, folder)
    assert "\n" not in str(error.value)
    assert entry_on(hub) in ({}, before)
    hub.faults.clear()
    publish(hub, folder)
    assert entry_on(hub) == before == local_files(folder)
    assert publish(hub, folder) == [None, None]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub: StandIn, folder: Path) -> None:
    hub.faults.append(Fault("datasets/acme/robustness/commit/", lambda: "drop", after=True))
    with pytest.raises(RemoteError, match="whole or not at all"):
        publish(hub, folder)
    assert entry_on(hub) == local_files(folder)
    dataset, model = publish(hub, folder)
    assert dataset is None
    assert model is not None


@pytest.mark.parametrize(
    "pattern", ["/preupload/", "/storage/", "datasets.*/commit/", "models.*/preupload/", "/resolve/"]
)
def test_an_interruption_anywhere_leaves_whole_commits_only(hub: StandIn, folder: Path, pattern: str) -> None:
    hub.faults.append(Fault(pattern, interrupted))
    before, card = local_files(folder), hub.files("model", "acme/classifier")
    with pytest.raises(KeyboardInterrupt):
        publish(hub, folder)
    assert local_files(folder) == before
    assert entry_on(hub) in ({}, before)
    assert hub.files("model", "acme/classifier") == card
    publish(hub, folder)
    assert entry_on(hub) == before


def test_an_entry_with_something_wrong_is_not_published(folder: Path) -> None:
    file_of(folder, "traces", Key("password-match", "gcg", "suffix")).write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"not fit to be published: .*gcg-suffix\.parquet"):
        publishable_entry(folder)


def test_reported_figures_are_not_published() -> None:
    registry = Path(__file__).resolve().parents[2] / "submissions"
    reported = sorted((registry / "entries").glob("*/curves"))
    if not reported:
        pytest.skip("the registry has no reported entry")
    with pytest.raises(UsageError, match="only measured results are published"):
        publishable_entry(reported[0].parent)


def test_an_entry_with_nowhere_to_go_is_refused(tmp_path: Path) -> None:
    entry = publishable_entry(make_entry(tmp_path))
    with pytest.raises(UsageError, match="no repo to publish made-up in"):
        targets_of(entry)
    with pytest.raises(UsageError, match="must name a data-set repo"):
        targets_of(entry, model="acme/classifier")


@pytest.mark.parametrize(
    "name", ["classifier", "a/b/c", "a/../b", "acme/cla ssifier", "acme/x.git", "https://huggingface.co/a/b"]
)
def test_a_repo_is_named_by_owner_and_name(name: str) -> None:
    with pytest.raises(UsageError, match="owner/name"):
        repo_name(name, "--model")
