"""`holdfast compare`: a candidate against its base, as a table, JSON, Markdown or JUnit, and the release gate."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import GateError, RecordError, UsageError
from .show import read_results
from .terminal import err, out, visible

if TYPE_CHECKING:
    from ..benchmark import Result
    from ..submissions.compare import Condition
    from .comparison_reports import Report

FailOn = Annotated[
    list[str] | None,
    typer.Option("--fail-on", help="Fail on this: `regression`, or a drop in points like 'drop>5%'; repeat for more."),
]


class Format(StrEnum):
    """How a comparison is written."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The last release: a result file, or a folder of some.")],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The new release, likewise.")],
    fail_on: FailOn = None,
    format_: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it to this file instead.")] = None,
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Compare only this task; repeat.")] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option("--attack", "-a", help="Compare only this attack, or `official adversary`; repeat."),
    ] = None,
) -> None:
    """Compare a candidate with its base on the same examples, and say what changed by more than chance.

    Each is a result file, a results folder of `holdfast score`, or an entry of the registry.
    """
    from ..submissions.compare import compare_results, parse_condition
    from .comparison_reports import Report

    conditions = [parse_condition(each) for each in fail_on or ()]
    comparison = compare_results(read_results(base), read_results(candidate), tasks=task or (), attacks=attack or ())
    _deliver(Report(comparison, conditions, str(base), str(candidate)), format_, output)


def _deliver(report: "Report", format_: Format, output: Path | None) -> None:
    """Write a comparison where it was asked for. Raises: GateError when it fails the gate."""
    from ..benchmark.records import write_atomically
    from .comparison_reports import as_json, as_junit, as_markdown
    from .comparison_table import as_text, table_of

    forms = {Format.TABLE: as_text, Format.JSON: as_json, Format.MARKDOWN: as_markdown, Format.JUNIT: as_junit}
    if output is not None:
        write_atomically(output, forms[format_](report).encode())
        err.print(f"The comparison is in {visible(str(output))}", markup=False, soft_wrap=True)
    elif format_ is Format.TABLE:
        out.print(table_of(report))
    else:
        typer.echo(forms[format_](report), nl=False)
    _refuse(report)


def _refuse(report: "Report") -> None:
    """Raises: GateError when something fails the gate."""
    from ..submissions.comparison import WORST_FIRST
    from .comparison_reports import place

    if report.failed:
        worst, rest = min(report.failed, key=lambda each: WORST_FIRST.index(each.row.verdict)), len(report.failed) - 1
        what = visible(f"{place(worst.row)}: {worst.reason}", 400)
        raise GateError(f"The gate failed: {what}{f'; and {rest} more' if rest else ''}.")


@dataclass(frozen=True)
class Gate:
    """What a score is compared with when it is done. path: where base lies."""

    path: Path
    base: "list[Result]"
    conditions: "list[Condition]"

    @staticmethod
    def of(
        baseline: Path | None,
        fail_on: Sequence[str] | None,
        *,
        tasks: Sequence[str],
        attacks: Sequence[tuple[str, str]] | None,
    ) -> "Gate | None":
        """Read what is needed before anything is attacked; None without a baseline.

        tasks, attacks: of the baseline, only these count; all its attacks where attacks is None, else names with
        positions. Raises: UsageError, RecordError.
        """
        if baseline is None:
            if fail_on:
                raise UsageError("--fail-on needs --baseline, the results to compare with.")
            return None
        from ..submissions.compare import parse_condition
        from ..submissions.entry import key_of

        conditions = [parse_condition(each) for each in fail_on or ("regression",)]
        base = [
            result
            for result in read_results(baseline)
            if result.task.name in tasks and (not attacks or key_of(result)[1:] in attacks)
        ]
        if not base:
            raise RecordError(
                f"{baseline} holds no results of what is scored here, so there is nothing to compare with."
            )
        return Gate(baseline, base, conditions)

    def judge(self, results: "list[Result]", target: Path, *, as_json: bool) -> None:
        """Compare and print; with `as_json`, the results too, in one document. Raises: GateError."""
        from ..submissions.compare import compare_results
        from .comparison_reports import Report, document
        from .comparison_table import table_of

        report = Report(compare_results(self.base, results), self.conditions, str(self.path), str(target))
        if as_json:
            scores = [result.model_dump(mode="json") for result in results]
            out.print_json(json.dumps({"results": scores, "comparison": document(report)}))
        else:
            out.print(table_of(report))
        _refuse(report)
