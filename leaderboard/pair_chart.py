"""The curves of two entries on one task: `survival_chart`, compiled once and filled for every pair."""

from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from .charts import Chart, specification, tidy
from .curve_points import curve_points
from .standing import Standing
from .survival_chart import rows_of, survival_chart

_SIDES = ("base", "candidate")


def declaration() -> Chart:
    """The chart with a data set named `curves`, for a script to fill; its rows are base or candidate."""
    return survival_chart(None, _SIDES, width=720, height=300)


def pair_chart(base: Standing, candidate: Standing) -> Markup:
    """Both curves as SVG."""
    rows = rows_of({side: curve_points(each) for side, each in zip(_SIDES, (base, candidate), strict=True)})
    compiled = _compiled()
    data = [{**each, "values": rows} if each["name"] == "curves" else each for each in compiled["data"]]
    return tidy(vl_convert.vega_to_svg({**compiled, "data": data}))


@cache
def _compiled() -> dict[str, Any]:
    """As Vega, without the points that only answer a pointer."""
    compiled = vl_convert.vegalite_to_vega(specification(declaration()))
    return {**compiled, "marks": [mark for mark in compiled["marks"] if mark["type"] != "symbol"]}
