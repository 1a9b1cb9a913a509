"""What publishing writes for people and for the Hub: the section of a model card, and the evaluation results."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from made_entries import IN_REGISTRY, make_entry, on_hub

from holdfast.benchmark import OFFICIAL_ATTACKS, TIERS
from holdfast.submissions.claims import claims_of
from holdfast.submissions.declared import RegistryCheckpoint
from holdfast.submissions.entry import Entry, Key, file_of
from holdfast.submissions.eval_results import eval_results_yaml
from holdfast.submissions.manifest import Author, Defence
from holdfast.submissions.model_card import BEGIN, END, card_section, escaped, with_section
from holdfast.submissions.publish import publishable_entry
from holdfast.tasks import RecordError

SECTION = f"{BEGIN}\n\nnew\n\n{END}"
HOSTILE = "]] | <img src=x onerror=alert(1)> `` ![x](javascript:1) # <!-- holdfast:end --> --- : &lt; \\ ~~$1$~~"

text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n-#|`<>! "), max_size=200)
readmes = st.tuples(
    st.sampled_from(["# Title\n", "---\nlicense: mit\n---\n", "\ufeff---\r\na: 1\r\n---\r\n"]), text
).map("".join)


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return publishable_entry(make_entry(tmp_path, checkpoints={"password-match": on_hub(), "word-length": on_hub()}))


@given(readmes)
@example("---\nlicense: mit\n---\n# Title\n")
@example("---\n---")
@example("text\r\n\r\n")
@example("")
def test_a_new_section_comes_after_the_readme_which_stays_as_it_is(readme: str) -> None:
    before = readme.encode()
    after = with_section(before, SECTION, "README.md")
    assert after.startswith(before)
    assert after.removeprefix(before).strip() == SECTION.encode()
    assert with_section(after, SECTION, "README.md") == after


@given(readmes, text, text)
def test_a_section_is_replaced_in_place_and_the_rest_stays_as_it_is(head: str, old: str, tail: str) -> None:
    readme = f"{head}\n{BEGIN}{old}{END}{tail}".encode()
    assert with_section(readme, SECTION, "README.md") == f"{head}\n{SECTION}{tail}".encode()


@pytest.mark.parametrize(
    "readme",
    [
        f"# Title\n{BEGIN}\nno end",
        f"# Title\n{END}\nno begin",
        f"{END}\n{BEGIN}",
        f"{BEGIN}\n{END}\n{BEGIN}\n{END}",
        f"{BEGIN}\n<!--holdfast:begin-->\n{END}",
    ],
)
def test_damaged_markers_are_refused_with_their_lines(readme: str) -> None:
    with pytest.raises(RecordError, match=r"(begin|end) in line \d") as error:
        with_section(readme.encode(), SECTION, "README.md")
    assert "\n" not in str(error.value)


def test_markers_in_the_metadata_are_no_markers() -> None:
    readme = f"---\n# {BEGIN}\nlicense: mit\n---\n# Title\n".encode()
    assert with_section(readme, SECTION, "README.md") == readme + b"\n" + SECTION.encode() + b"\n"


def test_a_readme_that_is_not_text_is_refused() -> None:
    with pytest.raises(RecordError, match="UTF-8"):
        with_section(b"\xff\xfe#", SECTION, "README.md")


@given(st.text(max_size=300))
@example(HOSTILE)
@example("two\nlines\u2028three\u202eabc\x00")
def test_escaped_text_is_one_line_without_markup(given_text: str) -> None:
    shown = escaped(given_text)
    assert shown.isprintable()
    assert not re.search(r"(?<!\\)(?:\\\\)*[`*_{}\[\]<>()#|~&!$^@]", shown)
    assert BEGIN not in shown
    assert END not in shown


def test_every_task_attack_and_tier_has_a_task_id_of_its_own(entry: Entry) -> None:
    results = [
        result
        for task in entry.manifest.tasks
        for result in yaml.safe_load(eval_results_yaml(entry, task, "a/b", None))
    ]
    ids = [result["dataset"]["task_id"] for result in results]
    assert len(set(ids)) == len(ids)
    attacks = ("official-adversary", *(f"{name}-suffix" for name in OFFICIAL_ATTACKS))
    assert set(ids) == {
        f"{task}/{attack}/{tier}"
        for task in ("password-match", "word-length")
        for attack in attacks
        for tier in ("0.1ms", "1ms")
    }


def test_an_evaluation_result_says_what_where_when_and_how_surely(entry: Entry) -> None:
    source = "https://huggingface.co/datasets/acme/robustness/tree/main/entries/made-up"
    first, *_ = yaml.safe_load(eval_results_yaml(entry, "password-match", "acme/robustness", source))
    claim = claims_of(entry, "password-match")[0]
    assert first["dataset"]["id"] == "acme/robustness"
    assert first["value"] == 100 * claim.robust[TIERS[0]].value
    assert first["date"] == "2026-01-30T12:00:00Z"
    assert first["source"]["url"] == source
    for part in ("percent", "95 % interval", "n = 10", "evidence: scored", "flags: constant-predictor"):
        assert part in first["notes"]


def test_bounds_are_not_published_as_values(tmp_path: Path) -> None:
    entry = publishable_entry(make_entry(tmp_path, budget=TIERS[0], checkpoints={"password-match": on_hub()}))
    results = yaml.safe_load(eval_results_yaml(entry, "password-match", "a/b", None))
    assert {result["dataset"]["task_id"].rpartition("/")[2] for result in results} == {"0.1ms"}
    assert "robust at 1 ms" not in card_section(entry, ["password-match"], None)


def test_the_official_adversary_needs_every_official_attack(tmp_path: Path) -> None:
    entry = publishable_entry(make_entry(tmp_path, attacks=["gcg"]))
    assert [claim.attack for claim in claims_of(entry, "password-match")] == ["gcg-suffix"]


def test_a_section_shows_figures_command_and_digests(entry: Entry) -> None:
    section = card_section(entry, list(entry.manifest.tasks), "https://huggingface.co/datasets/a/b")
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 2 * (1 + len(OFFICIAL_ATTACKS))
    assert {row.count("|") for row in rows} == {8}
    accuracy = claims_of(entry, "password-match")[0].robust[TIERS[1]]
    assert f"| {100 * accuracy.value:.1f} [" in rows[2]
    checkpoint = f"acme/classifier@{'a1' * 20}"
    attacks = " ".join(f"--attack {name}" for name in sorted(OFFICIAL_ATTACKS))
    assert (f"holdfast score {checkpoint} --task word-length {attacks} --examples 10 --budget 4e+11FLOP") in section
    result = entry.results[Key("password-match", "gcg", "suffix")]
    assert result.victim.digest in section
    assert result.task.digest in section
    assert section.startswith(BEGIN)
    assert section.endswith(END)


def test_a_hostile_manifest_breaks_neither_markdown_nor_yaml(tmp_path: Path) -> None:
    folder = make_entry(
        tmp_path,
        name=HOSTILE[:120],
        family="- a: &x [",
        authors=[Author(name="<script>alert(1)</script> | x")],
        defence=Defence(kind="other", description=HOSTILE),
    )
    result = file_of(folder, "results", Key("password-match", "gcg", "suffix"))
    result.write_text(result.read_text().replace('"flags": []', '"flags": ["]: {#| <!-- holdfast:end -->"]'))
    entry = publishable_entry(folder)
    section = card_section(entry, ["password-match"], None)
    assert (section.count(BEGIN), section.count(END)) == (1, 1)
    assert "<script" not in section.replace("\\<", "")
    assert {row.replace("\\|", "").count("|") for row in section.splitlines() if row.startswith("|")} == {8}
    readme = with_section(b"# Title\n", section, "README.md")
    assert with_section(readme, section, "README.md") == readme
    content = eval_results_yaml(entry, "password-match", "a/b", None)
    assert content.isascii()
    assert all("]: {#|" in each["notes"] for each in yaml.safe_load(content) if "/gcg-" in each["dataset"]["task_id"])


def test_a_checkpoint_of_the_registry_is_named_by_its_path(tmp_path: Path) -> None:
    assert isinstance(IN_REGISTRY, RegistryCheckpoint)
    section = card_section(publishable_entry(make_entry(tmp_path)), ["password-match"], None)
    assert f"holdfast score submissions/{IN_REGISTRY.path} --task password-match" in section
