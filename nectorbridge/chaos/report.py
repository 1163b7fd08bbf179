"""The result of a run as a table for people, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nectorbridge.bench.report import table
from nectorbridge.chaos.audit import COLUMNS, Audit


def result(found: Audit, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything for JSON."""
    return {
        **about,
        "providers": {name: asdict(counts) for name, counts in sorted(found.counts.items())},
        "total": asdict(found.total()),
        "violations": found.violations,
        "examples": dict(found.examples),
        "verdict": "held" if not found.violations else "violated",
    }


def render(data: Mapping[str, Any]) -> str:
    """Return the table, what was done to the system, and the verdict."""
    lines = [(name, *(str(counts[column]) for column in COLUMNS)) for name, counts in data["providers"].items()]
    lines.append(("total", *(str(data["total"][column]) for column in COLUMNS)))
    heads = ("provider", *(column.replace("_", " ") for column in COLUMNS))
    parts = [
        table([heads, *lines]),
        "",
        _counted("Done to the system", data["actions"]),
        _counted("Calls with a fault", data["faults"]),
    ]
    parts += [f"  {name}: {', '.join(found)}" for name, found in data["examples"].items()]
    parts.append(
        f"{data['store']}, {data['workers']} workers, seed {data['seed']}: recorded in {data['recorded_seconds']:.0f} s, "
        f"settled {data['settled_seconds']:.0f} s later: {data['verdict']} ({data['violations']} violations)"
    )
    return "\n".join(parts)


def _counted(title: str, counts: Mapping[str, int]) -> str:
    """Return one line of counts."""
    return f"{title} ({sum(counts.values())}): " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
