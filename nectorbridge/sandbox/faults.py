"""Faults on demand: what a provider does wrong next, how often, and on which path."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

# Kind to one line of meaning; the page shows it.
KINDS = {
    "status": "answers with a status, headers and body of your choice",
    "latency": "processes the call, answers late",
    "partial": "refuses each n-th record",
    "drop_after_accept": "processes the call, closes without an answer",
    "drop_before": "closes without processing",
    "rate_limit": "answers 429",
    "garbage": "answers 200 with a body that is no JSON",
    "drip": "processes the call, answers a byte at a time",
    "huge": "processes the call, answers with a very large body",
}
PROCESSED_KINDS = frozenset(["latency", "partial", "drop_after_accept", "drip", "huge"])
SECONDS_MAX = 3600.0
SIZE_MAX_BYTES = 1_000_000_000
HUGE_BYTES = 64_000_000


class InvalidFault(ValueError):
    """A fault that makes no sense. The message says which field."""


@dataclass(slots=True)
class Fault:
    """One fault. `times` None: until cleared. `process` None: as its kind does. Units: seconds, bytes."""

    provider: str
    kind: str
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 1.0
    every: int = 2
    code: int = 555
    size_bytes: int = HUGE_BYTES
    times: int | None = None
    path: str = ""
    process: bool | None = None
    id: int = 0
    served: int = 0
    _seen: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    @property
    def is_processed(self) -> bool:
        """Return whether the provider takes the call in before it misbehaves."""
        return self.kind in PROCESSED_KINDS if self.process is None else self.process

    def matches(self, provider: str, method: str, path: str) -> bool:
        """Return whether it concerns this request. Only a POST has records to refuse."""
        concerned = self.provider == provider and self.path in path
        return concerned and (self.kind != "partial" or method == "POST")

    def refuse(self) -> str:
        """Count one record; return the code it is refused with, or "". Counted over all calls it is served to."""
        return "" if next(self._seen) % self.every else str(self.code)

    def as_dict(self) -> dict[str, Any]:
        """Return the public fields, for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong with one call: a delay in seconds, and at most one other fault."""

    delay_seconds: float = 0.0
    fault: Fault | None = None


class FaultBook:
    """The active faults. Latencies add up; of the others the oldest that matches is served, so that they form a script."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, fault: Fault) -> Fault:
        """Activate a fault. Raises InvalidFault for one that makes no sense."""
        check(fault)
        with self._lock:
            fault.id = next(self._ids)
            self._faults.append(fault)
        return fault

    def clear(self, provider: str = "", fault_id: int = 0) -> int:
        """End all faults, those of one provider, or one; return how many."""
        with self._lock:
            kept = [f for f in self._faults if (provider and f.provider != provider) or (fault_id and f.id != fault_id)]
            ended = len(self._faults) - len(kept)
            self._faults = kept
        return ended

    def active(self, provider: str = "") -> list[Fault]:
        """Return the active faults, oldest first."""
        with self._lock:
            return [fault for fault in self._faults if not provider or fault.provider == provider]

    def take(self, provider: str, method: str, path: str) -> Plan:
        """Return what goes wrong with this request, and count it."""
        if not self._faults:
            return Plan()
        with self._lock:
            matching = [fault for fault in self._faults if fault.matches(provider, method, path)]
            delays = [fault for fault in matching if fault.kind == "latency"]
            other = next((fault for fault in matching if fault.kind != "latency"), None)
            for fault in [*delays, *([other] if other else [])]:
                fault.served += 1
            self._faults = [f for f in self._faults if f.times is None or f.served < f.times]
        return Plan(sum(fault.seconds for fault in delays), other)


def check(fault: Fault) -> None:
    """Raise InvalidFault, naming the field, for values out of range or of the wrong type."""
    whole = {"status": (200, 599), "every": (1, 1_000_000), "code": (0, 10_000), "size_bytes": (0, SIZE_MAX_BYTES)}
    if fault.times is not None:
        whole["times"] = (1, 1_000_000_000)
    for name, (low, high) in whole.items():
        value = getattr(fault, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidFault(f"{name} must be a whole number from {low} to {high}")
    if not isinstance(fault.seconds, int | float) or isinstance(fault.seconds, bool) or not 0 <= fault.seconds <= SECONDS_MAX:
        raise InvalidFault(f"seconds must be a number from 0 to {SECONDS_MAX:g}")
    if not isinstance(fault.path, str) or not isinstance(fault.body, str):
        raise InvalidFault("path and body must be texts")
    if fault.process is not None and not isinstance(fault.process, bool):
        raise InvalidFault("process must be true, false or null")
    _check_headers(fault.headers)


def _check_headers(headers: Any) -> None:
    """Raise InvalidFault for headers that could not be sent."""
    if not isinstance(headers, Mapping):
        raise InvalidFault("headers must be an object")
    for name, value in headers.items():
        line = f"{name}{value}"
        if not isinstance(name, str) or not name or not isinstance(value, str) or not line.isascii() or not line.isprintable():
            raise InvalidFault("headers must be printable ASCII texts")


def fault_from(data: Any, providers: Mapping[str, Any]) -> Fault:
    """Return the fault that a JSON object asks for. Raises InvalidFault, naming the field."""
    if not isinstance(data, dict):
        raise InvalidFault("a fault is a JSON object")
    if data.get("provider") not in list(providers):
        raise InvalidFault(f"provider must be one of {', '.join(providers)}")
    if data.get("kind") not in list(KINDS):
        raise InvalidFault(f"kind must be one of {', '.join(KINDS)}")
    allowed = {f.name for f in fields(Fault)} - {"id", "served", "_seen"}
    if unknown := sorted(set(data) - allowed):
        raise InvalidFault(f"unknown field: {', '.join(unknown)}")
    values = dict(data)
    if isinstance(values.get("body"), dict | list):
        values["body"] = json.dumps(values["body"])
    fault = Fault(**values)
    check(fault)
    return fault
