"""Query plans of what a benchmark did, as text for the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.db import connection, transaction

TABLES = ("events_eventdelivery", "events_stat")
LONGEST_LINE = 150


def explained(act: Callable[[], object]) -> list[str]:
    """Do something; return the plans of its statements about deliveries and statistics, each as it was asked."""
    seen: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if any(table in sql for table in TABLES) and "FOR UPDATE" not in sql[:60] and not many:
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        act()
    return [_plan(sql, params) for sql, params in seen]


def _plan(sql: str, params: Any) -> str:
    """Return one statement's plan: on PostgreSQL carried out, and undone."""
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {sql}", params)
            lines = [line for (line,) in cursor.fetchall()]
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            lines = [detail for *_numbers, detail in cursor.fetchall()]
        transaction.set_rollback(True)
    return "\n".join(line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..." for line in lines)


def write(result: Mapping[str, Any], path: Path) -> None:
    """Put figures, weights and plans between the marks of this database in a page. Raises ValueError without the marks."""
    begin, end = (f"<!-- {result['name']} {result['vendor']}: {word} -->" for word in ("begin", "end"))
    text = path.read_text()
    if begin not in text or end not in text:
        raise ValueError(f"{path} lacks {begin} or {end}")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    path.write_text(f"{before}{begin}\n{_page(result)}\n{end}{after}")


def _page(result: Mapping[str, Any]) -> str:
    """Return the part of the page."""
    rows = [result["columns"], ["---"] * len(result["columns"]), *result["rows"]]
    parts = [f"{result['what']}.", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    if result["weights"]:
        weights = [f"| `{name}` | {size / 1e6:,.0f} MB | {each:.1f} |" for name, size, each in result["weights"]]
        parts.append("\n".join(["| table or index | size | bytes per delivery |", "|---|---|---|", *weights]))
    for name, plans in result["plans"].items():
        shown = "\n\n".join(_without_ids(plan) for plan in plans)
        parts.append(f"<details><summary>Plans: {name}</summary>\n\n```\n{shown}\n```\n</details>")
    return "\n\n".join(parts)


def _without_ids(plan: str) -> str:
    """Return a plan in which long lists of keys are cut."""
    return re.sub(r"\{[0-9a-f,-]{80,}[^}]*\}?", "{...}", plan)
