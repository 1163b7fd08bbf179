"""The processes around a benchmark, each ended for certain: provider sandbox, worker, plain django-q2 cluster."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings

from nectorbridge.processes.children import Child, end_all

CLEVERTAP = "clevertap"
START_SECONDS = 30.0
END_SECONDS = 5.0
LOOK_SECONDS = 0.05  # looking must not disturb what is measured
ANSWER_SECONDS = 10.0
ARRIVED_MAX = 10_000


class TooLate(RuntimeError):
    """Something did not happen within its time. The message says what."""


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> float:
    """Wait until `condition()` is true; return how many seconds that took. Raises TooLate."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > seconds:
            raise TooLate(f"{what}: not within {seconds:g} s")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - start


@contextmanager
def process(*command: str, grace: float = END_SECONDS) -> Iterator[Child]:
    """Run a module; it ends with the block, and dies with this process in any case."""
    child = Child(command, env=dict(os.environ))
    try:
        yield child
    finally:
        end_all([child], grace)


class SandboxClient:
    """Talks to the sandbox process over its own addresses."""

    def __init__(self, provider: str = CLEVERTAP) -> None:
        """Take the address from the settings: it is where our calls go."""
        parts = urlsplit(settings.PROVIDER_BASE_URLS[provider])
        self.provider = provider
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.port = int(parts.port or 0)
        self.upload = f"{self.url}/{CLEVERTAP}/1/upload"
        self._session = requests.Session()
        self._session.trust_env = False

    def _ask(self, method: str, name: str, **options: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/_sandbox/{name}", timeout=ANSWER_SECONDS, **options)
        answer.raise_for_status()
        return answer.json()

    def is_up(self) -> bool:
        """Tell whether it answers."""
        try:
            return bool(self.summary())
        except requests.RequestException:
            return False

    def summary(self) -> dict[str, Any]:
        """Return the provider's counters."""
        return dict(self._ask("GET", "summary.json")[self.provider])

    def arrived(self, delivery: str = "") -> list[dict[str, Any]]:
        """Return the accepted records, oldest first; of one delivery only, if given."""
        query = {"provider": self.provider, "limit": str(ARRIVED_MAX), "delivery": delivery}
        return list(self._ask("GET", "arrived.json", params=query)["records"])

    def times(self) -> Counter[str]:
        """Return how often each delivery was accepted."""
        return Counter(record["delivery"] for record in self.arrived() if record["delivery"])

    def reset(self) -> None:
        """Forget what arrived, and end all faults."""
        self._ask("POST", "reset", json={})

    def silence(self, provider: str, seconds: float) -> None:
        """Have a provider take nothing in any more, and answer only after so many seconds."""
        self._ask("POST", "faults", json={"provider": provider, "kind": "latency", "seconds": seconds})
        self._ask("POST", "faults", json={"provider": provider, "kind": "status", "status": 503})

    def slow_down_once(self, seconds: float) -> None:
        """Have the next call taken in at once and answered late."""
        self._ask("POST", "faults", json={"provider": self.provider, "kind": "latency", "seconds": seconds, "times": 1})


@contextmanager
def sandbox(latency: float = 0.0, provider: str = CLEVERTAP) -> Iterator[SandboxClient]:
    """Run a sandbox process that takes at least `latency` seconds per call."""
    client = SandboxClient(provider)
    with process("manage", "sandbox", "--port", str(client.port), "--latency", str(latency)):
        wait_for(client.is_up, START_SECONDS, "the sandbox to answer")
        yield client


@contextmanager
def worker() -> Iterator[Child]:
    """Run a worker, from the first task that it has run."""
    with process("manage", "worker", "--grace", "2") as child:
        wait_for_canary(child)
        yield child


def wait_for_canary(child: Child) -> None:
    """Wait until this worker's cluster has proven that it runs tasks."""
    from events.models import Worker

    mine = Worker.objects.filter(name__endswith=f":{child.process.pid}", canary_at__isnull=False)
    wait_for(mine.exists, START_SECONDS, "the worker to run a task")


@contextmanager
def plain_cluster() -> Iterator[Child]:
    """Run django-q2 as it comes, without anything of ours around it."""
    with process("manage", "qcluster") as child:
        yield child
