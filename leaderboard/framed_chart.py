"""A chart drawn in two parts: the frame (axes, tiers and their labels), which many charts share, and the curves.

Measuring text takes Vega a millisecond a label, twice what all else in such a chart takes. A site has thousands of
charts and a few frames.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import vl_convert
from markupsafe import Markup

from .charts import Chart, specification, tidy

_PADDING = {"left": 66, "right": 14, "top": 22, "bottom": 46}
_FRAME_MARKS = ("rule", "text")
"""Marks of the frame; the others are curves. Points that only answer a pointer are left out of a drawing."""


@dataclass
class FramedChart:
    """One declaration, compiled once."""

    compiled: Mapping[str, Any]
    _frames: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(chart: Chart) -> "FramedChart":
        compiled = _without_descriptions(vl_convert.vegalite_to_vega(specification(chart)))
        return FramedChart({**compiled, "autosize": {"type": "none"}, "padding": _PADDING})

    def draw(
        self,
        data: Mapping[str, Sequence[Mapping[str, Any]]],
        *,
        frame_data: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        signals: Mapping[str, Any] | None = None,
        domain: tuple[float, float] | None = None,
        ticks: Sequence[float] | None = None,
    ) -> Markup:
        """As SVG. data: the rows of the curves by name of their data set; frame_data: those of the frame.

        domain, ticks: of the x axis, where they are not those of the declaration.
        """
        shown = self._filled({**(frame_data or {}), **data}, signals or {}, domain)
        asked = json.dumps([frame_data, domain, ticks])
        if asked not in self._frames:
            axes = [
                {**axis, "values": list(ticks)} if ticks is not None and axis["scale"] == "x" else axis
                for axis in self.compiled["axes"]
            ]
            marks = [mark for mark in self.compiled["marks"] if mark["type"] in _FRAME_MARKS]
            empty = self._filled({**(frame_data or {}), **{name: [] for name in data}}, signals or {}, domain)
            self._frames[asked] = vl_convert.vega_to_svg({**empty, "axes": axes, "marks": marks})
        marks = [mark for mark in self.compiled["marks"] if mark["type"] not in (*_FRAME_MARKS, "symbol")]
        marks += [mark for mark in self.compiled["marks"] if mark["type"] == "symbol" and _is_seen(mark)]
        curves = vl_convert.vega_to_svg({**shown, "axes": [], "marks": marks})
        return tidy(self._frames[asked].removesuffix("</svg>") + curves[curves.index("<g ") :])

    def _filled(
        self,
        data: Mapping[str, Sequence[Mapping[str, Any]]],
        signals: Mapping[str, Any],
        domain: tuple[float, float] | None,
    ) -> dict[str, Any]:
        def given(each: dict[str, Any], values: Mapping[str, Any], key: str) -> dict[str, Any]:
            return {**each, key: list(values[each["name"]])} if each["name"] in values else each

        scales = self.compiled["scales"]
        if domain is not None:
            scales = [{**scale, "domain": list(domain)} if scale["name"] == "x" else scale for scale in scales]
        return {
            **self.compiled,
            "data": [given(each, data, "values") for each in self.compiled["data"]],
            "signals": [given(each, signals, "value") for each in self.compiled.get("signals", [])],
            "scales": scales,
        }


def _without_descriptions(compiled: Any) -> Any:
    """Without the texts of single marks, which `tidy` would remove after they cost a fifth of the time."""
    if isinstance(compiled, dict):
        kept = {key: value for key, value in compiled.items() if key not in ("description", "ariaRoleDescription")}
        return {key: _without_descriptions(value) for key, value in kept.items()}
    return [_without_descriptions(each) for each in compiled] if isinstance(compiled, list) else compiled


def _is_seen(mark: Mapping[str, Any]) -> bool:
    return mark.get("encode", {}).get("update", {}).get("opacity", {}).get("value") != 0
