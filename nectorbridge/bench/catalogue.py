"""The benchmarks by name. Each runs in an installation of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from nectorbridge.bench.measure import Note


@dataclass(frozen=True)
class Options:
    """How to run: pairs to measure, whether with tiny sizes, and where progress goes."""

    pairs: int
    is_quick: bool
    note: Note

    def size(self, full: int, quick: int) -> int:
        """Return a size. Quick ones show that a benchmark runs; they measure nothing."""
        return quick if self.is_quick else full


Run = Callable[[Options], dict[str, Any]]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: what it compares, where its `run(options)` is, and what its processes find in the environment."""

    name: str
    title: str
    place: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, options: Options) -> dict[str, Any]:
        """Measure; return the result for JSON. Only inside a throw-away installation."""
        module, _, function = self.place.partition(":")
        runner: Run = getattr(import_module(f"nectorbridge.bench.{module}"), function)
        return runner(options)


# Compressed time, so that what takes minutes in production takes seconds here. The bar is computed from the same values.
SHORT_TIMES = {
    "DELIVERY_LEASE_SECONDS": "6",
    "DELIVERY_HTTP_TIMEOUT_SECONDS": "4",
    "DELIVERY_SWEEP_SECONDS": "1",
    "DELIVERY_RETRY_STEPS": "0.5,1,2,2,2,2,2,2,2,2",
    "WORKER_STALL_SECONDS": "5",
}

# A provider is given up on after three seconds, and looked at again one or two seconds later: often, compared with production.
SILENT_TIMES = {
    "DELIVERY_LEASE_SECONDS": "12",
    "DELIVERY_HTTP_TIMEOUT_SECONDS": "3",
    "DELIVERY_SWEEP_SECONDS": "1",
    "DELIVERY_RETRY_STEPS": "0.5,1,2,2,2,2,2,2,2,2",
}

# The settings of the installation, with a bare view more. As many requests of one address as come.
BARE_VIEW = {"DJANGO_SETTINGS_MODULE": "nectorbridge.bench.public_settings", "PUBLIC_REQUESTS_PER_MINUTE": "0"}

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("latency", "commit to the request at the provider / django-q2's enqueue to start", "latency:run"),
        Benchmark("record", "a credit with one definition / the same credit with one raw INSERT", "record:run"),
        Benchmark("record-many", "record_many / a bare bulk_create of the same rows", "record_many:run"),
        Benchmark("import", "an import from a file / a bare bulk_create of the same rows", "importing:run"),
        Benchmark("drain", "events per second of a drain / of django-q2 with one task per event", "drain:run"),
        Benchmark("drain-raw", "events per second of a drain / of raw SQL that keeps no history", "drain_raw:run"),
        Benchmark("end-to-end", "saves that a worker sends meanwhile / the saves alone, with nobody draining", "end_to_end:run"),
        Benchmark("contlo", "events per second of a drain / of its HTTP client and threads alone", "single:contlo"),
        Benchmark("wigzo", "events per second of a drain / of its HTTP client and threads alone", "single:wigzo"),
        Benchmark("mailmodo", "events per second of a drain / the plan's rate", "single:mailmodo"),
        Benchmark("moengage", "events per second of a drain in bulk / of one call per event", "single:moengage"),
        Benchmark("public-click", "clicks per second / a bare view behind the same server", "public:click", BARE_VIEW),
        Benchmark("public-open", "opens per second / a bare view behind the same server", "public:opened", BARE_VIEW),
        Benchmark("public-callback", "callbacks per second / a bare view behind the same server", "public:callback", BARE_VIEW),
        Benchmark("public-webhook", "webhooks per second / a bare view behind the same server", "public:webhook", BARE_VIEW),
        Benchmark("scale", "pages and a claim in a table of millions / in one of 10,000", "scale:run"),
        Benchmark("reminders", "a look at what expires among a million lots / among 10,000", "reminders:run"),
        Benchmark("memory", "memory of a process that drains a million deliveries", "memory:run"),
        Benchmark(
            "fairness", "events per second of four integrations, a fifth timing out / without it", "fairness:run", SILENT_TIMES
        ),
        Benchmark(
            "fairness-tail", "99th percentile until accepted, a fifth timing out / without it", "fairness:tail", SILENT_TIMES
        ),
        Benchmark("recover", "kill -9 of every kind of process: nothing lost, nothing stuck", "recover:run", SHORT_TIMES),
    )
}
