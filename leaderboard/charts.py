"""Charts: declared once in Altair, drawn to SVG at build time, and in the browser from the same declaration.

Colours are the stylesheet's custom properties (`var(--c1)`), so that a chart that lies in a page follows its theme.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from ..benchmark import TIERS, format_gpu_time

Specification = dict[str, Any]
"""A chart as Vega-Lite."""
Chart = alt.Chart | alt.LayerChart | alt.HConcatChart | alt.VConcatChart | alt.FacetChart

COLOURS = tuple(f"var(--c{number})" for number in range(1, 9))
"""For what is told apart; `var(--c0)` is for what stands behind."""

_TEXT, _SOFT, _LINE, _GRID = "var(--text)", "var(--soft)", "var(--strong-line)", "var(--grid)"
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "Arial",
    "padding": 4,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _SOFT,
        "titleColor": _TEXT,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "labelOverlap": False,
        "titleFontSize": 13,
        "titlePadding": 8,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "gridColor": _GRID,
    },
    "legend": {"labelColor": _TEXT, "titleColor": _TEXT, "labelFontSize": 12, "titleFontSize": 12, "labelLimit": 260},
    "title": {"color": _TEXT, "fontSize": 14, "anchor": "start", "subtitleColor": _SOFT},
    "header": {"labelColor": _TEXT, "titleColor": _TEXT, "labelFontSize": 13},
    "text": {"color": _TEXT},
    "range": {"category": list(COLOURS)},
}


def specification(chart: Chart) -> Specification:
    """The Vega-Lite of a chart, in the site's looks. Tests check it against the schema, not every build."""
    return {**chart.to_dict(validate=False), "config": _CONFIG}


def side_by_side(panels: Iterable[Specification], data: Mapping[str, Any], *, spacing: int) -> Specification:
    """Panels in a row over data by name. Altair's own `hconcat` would copy all that lies in them many times."""
    inside = [{key: value for key, value in panel.items() if key not in ("$schema", "config")} for panel in panels]
    return {"$schema": alt.SCHEMA_URL, "hconcat": inside, "spacing": spacing, "datasets": data, "config": _CONFIG}


def svg(declared: Specification) -> Markup:
    """A chart as SVG to lie in a page. The figure around it says what it shows; to screen readers it is one image."""
    return _drawn(compact(declared))


@lru_cache(maxsize=200)
def _drawn(declared: str) -> Markup:
    # While a site is edited most of its charts stay as they are.
    return tidy(vl_convert.vegalite_to_svg(declared))


def tidy(drawn: str) -> Markup:
    """SVG as it comes out of Vega, made fit to lie in a page."""
    # Coordinates need no more than a hundredth of a pixel.
    drawn = re.sub(r"(?<=\.\d\d)\d+", "", drawn)
    # Marks are no links or buttons here, and one by one they would only be noise to a screen reader.
    drawn = re.sub(r' (?:role|aria-roledescription|aria-label|tabindex)="[^"]*"', "", drawn)
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


def compact(declared: Specification) -> str:
    """As JSON for a page, the same whenever a chart is the same."""
    return json.dumps(declared, sort_keys=True, separators=(",", ":"))


def cost_axis(title: str, low: float, high: float) -> alt.Axis:
    """A log axis of costs with a tick at the powers of ten between two."""
    return alt.Axis(title=title, labelExpr=power_labels(), grid=False, values=powers_of_ten(low, high))


def powers_of_ten(low: float, high: float) -> list[float]:
    """Those between two costs, nine at most: measuring labels is most of the time that drawing a chart takes."""
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    return [10.0**exponent for exponent in exponents[:: 1 + len(exponents) // 10]]


def power_labels() -> str:
    """A Vega expression that writes a number as a power of ten with a superscript; other ticks get no label."""
    digits = "⁰¹²³⁴⁵⁶⁷⁸⁹"
    exponent = "round(log(datum.value) / LN10)"
    tens = f"slice('{digits}', floor({exponent} / 10), floor({exponent} / 10) + 1)"
    ones = f"slice('{digits}', {exponent} % 10, {exponent} % 10 + 1)"
    whole = f"abs(log(datum.value) / LN10 - {exponent}) < 1e-6"
    return f"{whole} ? '10' + ({exponent} >= 10 ? {tens} : '') + {ones} : ''"


def tier_marks(low: float, high: float) -> Chart | None:
    """Rules at the tiers between two costs (FLOP), each labelled with its GPU time; None when there are none."""
    rows = [{"cost": tier, "label": format_gpu_time(tier)} for tier in TIERS if low <= tier <= high]
    if not rows:
        return None
    base = alt.Chart(alt.Data(values=rows)).encode(x=alt.X("cost:Q"))
    rules = base.mark_rule(color=_LINE, strokeDash=[2, 3], opacity=0.8)
    labels = base.mark_text(color=_SOFT, fontSize=11, align="center", baseline="bottom", dy=-4).encode(
        y=alt.value(0), text="label:N"
    )
    return alt.layer(rules, labels)
