"""Charts: what is declared is Vega-Lite, follows the theme, and is drawn the same every time."""

import json
import re

import pytest
from made_results import HELD, made

from holdfast.leaderboard.charts import powers_of_ten
from holdfast.leaderboard.curve_points import curve_points
from holdfast.leaderboard.entry_chart import _chart as entry_declaration
from holdfast.leaderboard.entry_chart import entry_chart
from holdfast.leaderboard.standing import Measured
from holdfast.leaderboard.survival_chart import declaration, drawn_curves, rows_of, survival_chart

STANDING = Measured(made([10**9, 10**10, 10**11, HELD]), "scored")


@pytest.mark.parametrize("chart", [survival_chart(), survival_chart(relative=True), entry_declaration()])
def test_a_declaration_is_valid_vega_lite(chart) -> None:
    chart.to_dict(validate=True)


def test_the_declaration_for_a_page_picks_out_what_is_chosen() -> None:
    declared = json.loads(declaration(["a", "b"], relative=True))
    assert [each["value"] for each in declared["params"] if each["name"] == "chosen"] == [["a", "b"]]
    assert json.loads(declaration([], relative=True)) != declared


def test_a_drawing_follows_the_theme_and_holds_nothing_that_the_content_policy_forbids() -> None:
    drawn = drawn_curves(rows_of({"a": curve_points(STANDING)}), ["a"])
    assert "var(--c1)" in drawn
    assert not re.search(r"style=|<style|<script|href", drawn)
    assert not re.search(r"#[0-9a-f]{3,6}\b", drawn), "a colour that no theme can change"
    assert drawn.count("<svg") == drawn.count("</svg>") == 1
    assert drawn == drawn_curves(rows_of({"a": curve_points(STANDING)}), ["a"])


def test_frame_and_curves_are_one_drawing() -> None:
    drawn = str(entry_chart({"gcg-suffix": STANDING}, {"gcg-suffix": 0}))
    assert drawn.index("0.1 ms") < drawn.index("mark-line"), "the frame lies behind"
    assert "robust accuracy, %" in drawn
    assert "10¹¹" in drawn


def test_ticks_are_powers_of_ten_and_few() -> None:
    assert powers_of_ten(3e8, 2e11) == [1e9, 1e10, 1e11]
    assert powers_of_ten(1e8, 1e10) == [1e8, 1e9, 1e10]
    assert len(powers_of_ten(1, 1e30)) <= 10
