"""What a person reads: one block per benchmark, from the same JSON that `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nectorbridge.bench.measure import Spread, figure

COMPARISON_HEADINGS = ("benchmark", "A (baseline)", "B (ours)", "B/A median [range]", "A/A median [range]", "bar", "verdict")


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """Return all tables as text."""
    comparisons = [result for result in results if "ratio" in result]
    parts = []
    if comparisons:
        rows = [COMPARISON_HEADINGS, *(_comparison(result) for result in comparisons)]
        parts += [table(rows), *(f"{result['name']}: {result['what']}{_extra(result)}" for result in comparisons)]
    parts += [_rows(result) for result in results if "rows" in result]
    return "\n".join(parts)


def _comparison(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one comparison's cells."""
    unit = result["unit"]
    return (
        result["name"],
        f"{figure(result['baseline_median'])} {unit}",
        f"{figure(result['ours_median'])} {unit}",
        str(Spread(**result["ratio"])),
        str(Spread(**result["control_ratio"])),
        result["bar"] or "-",
        result["verdict"] or "-",
    )


def _extra(result: Mapping[str, Any]) -> str:
    """Return further figures as the end of a line."""
    extra = ", ".join(f"{name} {_cell(value)}" for name, value in result["extra"].items())
    return f"\n  ours: {extra}" if extra else ""


def _rows(result: Mapping[str, Any]) -> str:
    """Return a check that is no ratio: its rows, and the verdict."""
    cells = [result["columns"], *([_cell(value) for value in row] for row in result["rows"])]
    return f"\n{table(cells)}\n{result['name']}: {result['what']}\n  bar: {result['bar']}: {result['verdict']}"


def _cell(value: Any) -> str:
    """Return a cell's text."""
    return figure(value) if isinstance(value, float) else str(value)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns of text, the first row underlined."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
