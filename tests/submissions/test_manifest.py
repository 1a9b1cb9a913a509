"""Manifests: what is accepted, and the sentence and line for everything that is not."""

from pathlib import Path

import pytest
import yaml

from holdfast.submissions.manifest import manifest_yaml, parse_manifest, read_manifest
from holdfast.tasks import RecordError

FILE = Path("submission.yaml")
SOUND = """\
schema_version: 1
slug: my-model
name: My model
authors:
  - name: Ada Tester
    url: https://example.org/ada
licence: apache-2.0
links:
  - title: Model card
    url: https://huggingface.co/acme/my-model
submitted: 2026-01-31
family: Pythia
defence:
  kind: adversarial-training
  description: |
    Rounds of attack and training.
    Two lines of it.
tasks:
  imdb:
    checkpoint:
      repo: acme/my-model
      commit: a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
    parameters: 7629056
    compute:
      pretraining: 1.4e19
      fine_tuning: 1e15
  spam:
    checkpoint:
      path: checkpoints/my-model
    parameters: 356224
"""


def problems(text: str | bytes) -> list[tuple[int | None, str]]:
    content = text if isinstance(text, bytes) else text.encode()
    manifest, found = parse_manifest(content, FILE)
    assert (manifest is None) == bool(found)
    return [(each.line, each.message) for each in found]


def test_a_sound_manifest_is_read_as_written() -> None:
    manifest, found = parse_manifest(SOUND.encode(), FILE)
    assert manifest is not None
    assert found == []
    assert manifest.licence == "Apache-2.0"
    assert manifest.tasks["imdb"].compute.fine_tuning == 1e15
    assert manifest.tasks["spam"].compute.defence is None


def test_written_and_read_back_a_manifest_is_the_same() -> None:
    manifest, _ = parse_manifest(SOUND.encode(), FILE)
    assert manifest is not None
    assert parse_manifest(manifest_yaml(manifest), FILE) == (manifest, [])


@pytest.mark.parametrize("name", ["No", "yes", "012", "1_000", "10:30", "0x10"])
def test_text_that_older_yaml_would_read_as_something_else_stays_text(name: str) -> None:
    manifest, _ = parse_manifest(SOUND.replace("My model", name).encode(), FILE)
    assert manifest is not None
    assert manifest.name == name


WRONG = {
    "a missing field": ("family: Pythia\n", "", 1, "family: this field is required and is missing"),
    "an unknown field": ("family:", "famly: x\nfamily:", 12, "famly: there is no such field here"),
    "a number for a name": ("name: My model", "name: 12", 3, "YAML reads it as a number; put it in quotes"),
    "a slug with capitals": ("slug: my-model", "slug: My-Model", 2, "a slug has only small ASCII letters"),
    "a slug with a Cyrillic letter": (
        "slug: my-model",
        "slug: my-m\u043edel",
        2,
        "a slug has only small ASCII letters",
    ),
    "a slug that climbs": ("slug: my-model", "slug: ../my-model", 2, "a slug has only small ASCII letters"),
    "a slug with a final dash": ("slug: my-model", "slug: my-model-", 2, "a slug has only small ASCII letters"),
    "a slug of a page": ("slug: my-model", f"slug: {'a' * 65}", 2, "should have at most 64 characters"),
    "a name that turns direction": ("My model", '"My \\u202Eledom"', 3, "the character U+202E is not allowed"),
    "a name of nothing": ("name: My model", 'name: "  "', 3, "the text is empty"),
    "a name with a zero-width space": ("My model", '"My\\u200Bmodel"', 3, "the character U+200B is not allowed"),
    "a name on two lines": ("My model", '"My\\nmodel"', 3, "the text must be on one line"),
    "no authors": ("authors:\n  - name: Ada Tester\n    url: https://example.org/ada", "authors: []", 4, "at least 1"),
    "a licence of one's own": ("apache-2.0", "Do What You Want", 7, "this is not an SPDX licence expression"),
    "a script for a link": ("https://example.org/ada", "javascript:alert(1)", 6, "begin with http:// or https://"),
    "a file for a link": ("https://example.org/ada", "file:///etc/passwd", 6, "begin with http:// or https://"),
    "a link with a password": ("https://example.org/ada", "https://a:b@example.org", 6, "user name or password"),
    "a link with markup": ("https://example.org/ada", '"https://example.org/\\"><script>"', 6, "in plain ASCII"),
    "a link to nowhere": ("https://example.org/ada", "https:///x", 6, "name a host"),
    "a link with a line break": ("https://example.org/ada", '"https://example.org/\\nx"', 6, "in plain ASCII"),
    "a commit that is a branch": ("a1" * 20, "main", 22, "this must be the full commit hash"),
    "a repo that is a path": ("acme/my-model\n      commit", "../../x\n      commit", 21, "should match pattern"),
    "a path that climbs": ("checkpoints/my-model", "checkpoints/../../etc", 29, "has no '..'"),
    "a path from the root": ("checkpoints/my-model", "/etc", 29, "give a path inside the registry"),
    "a hidden folder": ("checkpoints/my-model", "checkpoints/.git", 29, "no hidden folders"),
    "a path and a repo": ("path: checkpoints/my-model", "path: a\n      repo: a/b", 30, "there is no such field here"),
    "no checkpoint": ("    checkpoint:\n      path: checkpoints/my-model\n", "", 1, "spam has no checkpoint"),
    "no parameters": ("parameters: 356224", "parameters: 0", 30, "greater than 0"),
    "parameters in words": ("parameters: 356224", "parameters: some", 30, "this must be a whole number, not text"),
    "parameters beyond counting": ("parameters: 356224", f"parameters: {'9' * 40}", 30, "less than or equal to"),
    "compute that is not a number": ("1.4e19", ".nan", 25, "finite"),
    "compute without end": ("1.4e19", ".inf", 25, "finite"),
    "compute owed": ("1.4e19", "-1", 25, "greater than or equal to 0"),
    "a date that is none": ("2026-01-31", "2026-02-31", 1, "a value cannot be read"),
    "a date in words": ("2026-01-31", "yesterday", 11, "this must be a date like 2026-01-31"),
    "an unknown defence": ("adversarial-training", "prayer", 14, "input should be"),
    "a task with markup": ("  spam:", "  <spam>:", 27, "should match pattern"),
    "another version": ("schema_version: 1", "schema_version: 2", 1, "input should be 1"),
    "a list for a mapping": (
        "defence:\n  kind: adversarial-training",
        "defence: [x]\nx:\n  y: 1",
        13,
        "must be a mapping",
    ),
    "a key twice": ("family: Pythia", "family: Pythia\nfamily: Qwen", 13, "stands here a second time"),
    "an alias": ("name: Ada Tester", "name: &a Ada\n    url: *a", 5, "anchors and aliases"),
    "a tag": ("family: Pythia", "family: !!python/name:os.system", 12, "tags (!) are not allowed"),
    "a merge key": ("family: Pythia", "family: Pythia\n<<: {name: x}", 13, "there is no such field here"),
    "a list as a key": ("family: Pythia", "? [a]\n: b\nfamily: x", 12, "only plain names can be keys"),
    "a tab": ("family: Pythia", "family:\n\t- x", 13, "this is not YAML"),
    "a control character": ("Pythia", "Py\x07thia", 12, "a control character stands in the file"),
    "a second document": ("family: Pythia", "family: Pythia\n---\nx: 1", 13, "a second document begins here"),
    "nesting": ("family: Pythia", f"family: {'[' * 40}", 12, "nested more than"),
}

SPAM = "    checkpoint:\n      path: checkpoints/my-model\n"
HUB = "{repo: acme/b, commit: " + "0123456789" * 4 + "}"
ENSEMBLE = f"    victim:\n      kind: ensemble\n      members:\n        - path: checkpoints/a\n        - {HUB}\n"
ALONE = "    victim:\n      kind: filter\n      model: {path: checkpoints/a}\n"
FILTER = f"{ALONE}      language_model: {{path: checkpoints/lm}}\n"
WRONG_VICTIM = {
    "a checkpoint too": (SPAM + ENSEMBLE, 27, "tasks.spam: it has a checkpoint and a victim; give the one that was"),
    "no kind": (
        ENSEMBLE.replace("kind: ensemble", "name: x"),
        28,
        "victim.kind: this field is required and is missing",
    ),
    "another kind": (
        ENSEMBLE.replace("ensemble", "committee"),
        29,
        "victim.kind: input should be 'ensemble' or 'filter'",
    ),
    "a list": ("    victim: [a, b]\n", 28, "tasks.spam.victim: this must be a mapping of names to values"),
    "one member": (ENSEMBLE.replace(f"        - {HUB}\n", ""), 30, "victim.members: list should have at least 2 items"),
    "a member outside": (ENSEMBLE.replace("checkpoints/a", "../a"), 31, "victim.members.0.path: a path inside the"),
    "a member at a branch": (
        ENSEMBLE.replace("0123456789" * 4, "main"),
        32,
        "victim.members.1.commit: this must be the",
    ),
    "a model of nothing": (
        FILTER.replace("{path: checkpoints/a}", "{}"),
        30,
        "victim.model.repo: this field is required",
    ),
    "a name for a path": (
        FILTER.replace("{path: checkpoints/lm}", "lm"),
        31,
        "victim.language_model: this must be a map",
    ),
    "a threshold of one's own": (FILTER + "      threshold: 9\n", 32, "victim.threshold: there is no such field here"),
}


@pytest.mark.parametrize("what", WRONG_VICTIM)
def test_what_is_wrong_with_a_victim_of_several_checkpoints_is_said_with_its_line(what: str) -> None:
    new, line, message = WRONG_VICTIM[what]
    found = problems(SOUND.replace(SPAM, new))
    assert any(message in text and at == line for at, text in found), found


@pytest.mark.parametrize(
    ("victim", "fields", "reference"),
    [
        (SPAM, ["checkpoint"], "checkpoints/my-model"),
        (ENSEMBLE, ["victim.members.0", "victim.members.1"], "ensemble of checkpoints/a, acme/b@012345678901"),
        (FILTER, ["victim.model", "victim.language_model"], "checkpoints/a behind a filter by checkpoints/lm"),
        (ALONE, ["victim.model"], "checkpoints/a behind a filter by itself"),
    ],
)
def test_a_victim_is_named_after_its_checkpoints(victim: str, fields: list[str], reference: str) -> None:
    manifest, found = parse_manifest(SOUND.replace(SPAM, victim).encode(), FILE)
    assert manifest is not None, found
    assert list(manifest.tasks["spam"].checkpoints) == fields
    assert manifest.tasks["spam"].reference == (reference, None)
    assert manifest.tasks["imdb"].reference == ("acme/my-model", "a1" * 20)
    assert parse_manifest(manifest_yaml(manifest), FILE) == (manifest, [])


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_its_line(what: str) -> None:
    old, new, line, message = WRONG[what]
    assert old in SOUND
    found = problems(SOUND.replace(old, new, 1))
    assert any(message in text and at == line for at, text in found), found


def test_all_problems_are_said_at_once() -> None:
    text = (
        SOUND.replace("my-model\nname", "My\nname").replace("apache-2.0", "mine").replace("https://example.org", "x:")
    )
    assert [line for line, _ in problems(text)] == [2, 6, 7]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"null", b"[]", b"12", b"x", b"\x00", b"---\n...\n", b"{", b'"', b"- - - - - - - - - -"],
)
def test_what_is_no_manifest_at_all_is_one_problem(content: bytes) -> None:
    assert len(problems(content)) == 1


def test_a_billion_laughs_are_refused_before_they_unfold() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for previous, letter in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{letter}: &{letter} [{','.join([f'*{previous}'] * 9)}]")
    assert problems("\n".join(lines)) == [(1, "anchors and aliases (& and *) are not allowed; write the value out.")]


def test_a_manifest_of_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "submission.yaml"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)
    with pytest.raises(RecordError, match=r"too large: 1,000,000,000 bytes, and 64,000 are allowed"):
        read_manifest(path)


def test_figures_from_a_publication_have_a_citation_and_no_checkpoint() -> None:
    data = yaml.safe_load(SOUND)
    data["reported"] = {
        "citation": {"title": "T", "authors": ["A"], "year": 2024, "url": "https://arxiv.org/abs/2407.18213"},
        "note": "from its tables",
    }
    assert any("have no checkpoint" in text for _, text in problems(yaml.safe_dump(data)))
    for task in data["tasks"].values():
        del task["checkpoint"]
    assert problems(yaml.safe_dump(data)) == []
