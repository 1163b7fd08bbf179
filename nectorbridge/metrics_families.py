"""What Prometheus is told. All of it is read from the database, so it is the same whichever process answers.

Labels are the provider, the integration's id, a reason or outcome (words of ours), and the machine a worker runs on: no
personal data, and no more series than integrations times a few dozen. docs/operations.md has the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db import Error as DatabaseFault
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from events import breaker, tallies
from events.tallies import CALL_SECONDS, DRAIN_SECONDS, LONGER, Counts, Kind
from integrations import __version__
from integrations.providers.base import Outcome
from nectorbridge.queue_figures import Lane, lanes, machines

LANE = ("provider", "integration")
PREFIX = "nectorbridge_"
BREAKER = {breaker.State.CLOSED: 0, breaker.State.HALF_OPEN: 1, breaker.State.OPEN: 2}


class DatabaseCollector(Collector):
    """Reads every family anew at each scrape: a few statements, none of which looks at deliveries that are over."""

    def collect(self) -> Iterator[Metric]:
        """Yield the families; where the database does not answer, the one that says so."""
        up = GaugeMetricFamily(f"{PREFIX}database_up", "1 if the database answers; all other metrics come from it.")
        build = GaugeMetricFamily(f"{PREFIX}build_info", "Always 1; the label has the version.", labels=["version"])
        build.add_metric([__version__], 1)
        try:
            families = list(_families(timezone.now()))
        except DatabaseFault:
            families = []
        up.add_metric([], bool(families))
        yield from (up, build, *families)


def _families(now: datetime) -> Iterator[Metric]:
    """Yield everything that comes from the database."""
    queues, totals = lanes(), tallies.totals()
    counts = {lane.integration.pk: totals.get(lane.integration.pk, Counter()) for lane in queues}
    yield from _queues(queues, now)
    yield from _states(queues, now)
    yield from _deliveries(queues, counts)
    yield _histogram(
        "provider_latency_seconds", "How long calls to a provider took, until their answer or timeout.",
        queues, counts, (Kind.CALL, Kind.CALL_MS), CALL_SECONDS,
    )  # fmt: skip
    yield _histogram(
        "drain_duration_seconds", "How long a worker was at one integration's queue at a time, where it sent something.",
        queues, counts, (Kind.DRAIN, Kind.DRAIN_MS), DRAIN_SECONDS,
    )  # fmt: skip
    yield from _workers(totals.get(tallies.INSTALLATION, Counter()), now)


def _queues(queues: Sequence[Lane], now: datetime) -> Iterator[Metric]:
    """Yield what waits, by integration."""
    figures: tuple[tuple[str, str, Callable[[Lane], float]], ...] = (
        ("queued_deliveries", "Deliveries that wait for their first try.", lambda lane: lane.queued),
        ("retrying_deliveries", "Deliveries that wait for a further try.", lambda lane: lane.retrying),
        ("sending_deliveries", "Deliveries that a worker has taken.", lambda lane: lane.sending),
        ("held_deliveries", "Deliveries that wait for their integration to be able to send.", lambda lane: lane.held),
        (
            "oldest_queued_age_seconds",
            "How long the oldest delivery that is due has been due.",
            lambda lane: lane.oldest_age(now),
        ),
        ("calls_in_flight", "Calls that are under way, or were when their worker died.", lambda lane: lane.calls_in_flight),
    )
    for name, words, value in figures:
        yield _gauge(name, words, [(_labels(lane), value(lane)) for lane in queues])
    yield _gauge(
        "calls_in_flight_limit",
        "Calls that the provider's contract allows at once.",
        ((_labels(lane), lane.calls_allowed) for lane in queues if lane.calls_allowed is not None),
    )


def _states(queues: Sequence[Lane], now: datetime) -> Iterator[Metric]:
    """Yield how each integration is."""
    yield _gauge(
        "integration_state",
        "1 for the state that the integration is in: draft, initializing, active, attention, paused.",
        (((*_labels(lane), lane.integration.status), 1) for lane in queues),
        (*LANE, "state"),
    )
    yield _gauge(
        "breaker_state",
        "Of the integration's breaker: 0 closed, 1 half-open (one event is tried), 2 open (its provider does not answer).",
        ((_labels(lane), BREAKER[breaker.state(lane.integration, now)]) for lane in queues),
    )
    held = ((_labels(lane), lane.integration.hold_until) for lane in queues)
    yield _gauge(
        "integration_hold_seconds",
        "For how much longer the integration is left alone, as its provider asked.",
        ((labels, max(0.0, (until - now).total_seconds()) if until else 0) for labels, until in held),
    )


def _deliveries(queues: Sequence[Lane], counts: Mapping[int, Counts]) -> Iterator[Metric]:
    """Yield what came of deliveries and tries."""
    sent = CounterMetricFamily(f"{PREFIX}sent", "Deliveries that the provider accepted.", labels=LANE)
    failed = CounterMetricFamily(f"{PREFIX}failed", "Deliveries given up, by reason.", labels=(*LANE, "reason"))
    skipped = CounterMetricFamily(f"{PREFIX}skipped", "Deliveries left out, by reason.", labels=(*LANE, "reason"))
    attempts = CounterMetricFamily(f"{PREFIX}attempts", "Tries, by outcome.", labels=(*LANE, "outcome"))
    for lane in queues:
        labels, own = _labels(lane), counts[lane.integration.pk]
        sent.add_metric(labels, own[Kind.SENT, ""])
        for outcome in Outcome:
            attempts.add_metric((*labels, outcome.value), own[Kind.ATTEMPT, outcome.value])
        for family, wanted in ((failed, Kind.FAILED), (skipped, Kind.SKIPPED)):
            for (kind, reason), number in sorted(own.items()):
                if kind == wanted:
                    family.add_metric((*labels, reason), number)
    yield from (sent, failed, skipped, attempts)


def _workers(installation: Counts, now: datetime) -> Iterator[Metric]:
    """Yield the signs of life of the task clusters."""
    found = machines(now)
    yield _gauge("workers_alive", "Task clusters that ran their canary lately.", [((), sum(one.alive for one in found))], ())
    yield _gauge(
        "worker_heartbeat_age_seconds",
        "Since when no canary task ran on any cluster of the machine.",
        (((one.name,), one.canary_age) for one in found),
        ("machine",),
    )
    yield _gauge(
        "worker_supervisor_age_seconds",
        "Since when no supervisor on the machine gave a sign of life.",
        (((one.name,), one.supervisor_age) for one in found),
        ("machine",),
    )
    restarts = CounterMetricFamily(f"{PREFIX}cluster_restarts", "Task clusters restarted because they hung or died.")
    restarts.add_metric([], installation[Kind.RESTART, ""])
    yield restarts


def _labels(lane: Lane) -> tuple[str, str]:
    """Return an integration's labels."""
    return lane.integration.provider, str(lane.integration.pk)


def _gauge(
    name: str, words: str, values: Iterable[tuple[Sequence[str], float]], labels: Sequence[str] = LANE
) -> GaugeMetricFamily:
    """Return a gauge with a value for each set of labels."""
    family = GaugeMetricFamily(f"{PREFIX}{name}", words, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family


def _histogram(
    name: str,
    words: str,
    queues: Sequence[Lane],
    counts: Mapping[int, Counts],
    kinds: tuple[Kind, Kind],
    bounds: Sequence[float],
) -> HistogramMetricFamily:
    """Return a histogram by integration, from counts by bound and their sum in milliseconds."""
    family = HistogramMetricFamily(f"{PREFIX}{name}", words, labels=LANE)
    for lane in queues:
        own, reached, buckets = counts[lane.integration.pk], 0, []
        for bound in (*map(str, bounds), LONGER):
            reached += own[kinds[0], bound]
            buckets.append((bound, reached))
        family.add_metric(_labels(lane), buckets, own[kinds[1], ""] / 1000)
    return family
