"""The examinations behind `manage.py doctor`: each returns what it found, in words, and what to do about it.

What the installation stands on is in `diagnosis_machine`; here is whether it does its work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from events import breaker
from events.models import EventDelivery, Worker
from events.states import State
from events.timeline import span
from integrations import rotation
from integrations.models import Integration, Status
from nectorbridge import diagnosis_machine as machine
from nectorbridge.finding import Finding
from nectorbridge.loyalty import ledger
from nectorbridge.queue_figures import Lane, is_alive, lanes

LONGEST_WAIT = timedelta(minutes=5)
NAMED = 5  # of several that are in trouble


def diagnose() -> list[Finding]:
    """Examine every part. A database that cannot be reached, or is not migrated, ends the examination there."""
    findings = [*machine.settings_are_sound(), machine.database()]
    if not findings[-1].ok:
        return findings
    findings.append(machine.migrations())
    if findings[-1].ok:
        findings += [examine() for examine in EXAMINATIONS]
    return findings


def _worker() -> Finding:
    """Look for a task cluster that ran its canary lately."""
    now = timezone.now()
    known = list(Worker.objects.all())
    alive = [worker for worker in known if is_alive(worker, now)]
    if not alive:
        return Finding("worker", False, "none is alive; nothing is being sent", "Start one: manage.py worker (or manage.py up)")
    says, fix = f"{len(alive)} alive", ""
    lost = [worker.name for worker in known if worker not in alive]
    if lost:
        says += f"; no sign of life from {', '.join(lost[:NAMED])}"
        fix = "If that worker should run, look at its machine; one that was killed is forgotten after a day."
    return Finding("worker", True, says, fix)


def _secrets() -> Finding:
    """Read every stored secret."""
    lost: list[rotation.Found] = []
    former = 0
    for found in (found for column in rotation.columns() for found in rotation.survey(column)):
        former += found.state is rotation.State.FORMER
        if found.state is rotation.State.UNREADABLE:
            lost.append(found)
    if lost:
        more = f"; and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        fix = "Put the former key back into FERNET_KEYS, or enter these secrets again. manage.py rotatekeys --check lists all."
        return Finding("credentials", False, f"cannot be read: {'; '.join(one.name for one in lost[:NAMED])}{more}", fix)
    if former:
        return Finding("credentials", True, f"all can be read, {former} by a former key", "Run: manage.py rotatekeys")
    return Finding("credentials", True, "all can be read")


def _integrations() -> Finding:
    """Look for integrations that wait for a person."""
    waiting = Integration.objects.filter(status=Status.ATTENTION).select_related("merchant")
    number = waiting.count()
    if number:
        told = "; ".join(f"{integration}: {integration.status_reason}" for integration in waiting[:NAMED])
        more = f"; and {number - NAMED} more" if number > NAMED else ""
        fix = "Open the set-up page of each, mend what it says, and initialize."
        return Finding("integrations", False, f"{number} in need of attention: {told}{more}", fix)
    active = Integration.objects.filter(status=Status.ACTIVE).count()
    return Finding("integrations", True, f"{active} active, none needs attention")


def _queue() -> Finding:
    """Look at what has been due for too long, and at what a worker took and never gave back."""
    now = timezone.now()
    late = {lane: lane.oldest_age(now) for lane in lanes() if _should_flow(lane)}
    worst = max(late, key=lambda lane: late[lane], default=None)
    minutes = LONGEST_WAIT.seconds // 60
    if worst is not None and late[worst] > LONGEST_WAIT.total_seconds():
        age = span(timedelta(seconds=round(late[worst])))
        says = f"deliveries have been due for more than {minutes} minutes: the oldest, over {worst.integration}, for {age}"
        return Finding("queue", False, says, "Look at the worker's log; start another worker if this one cannot keep up.")
    stuck = EventDelivery.objects.filter(status=State.SENDING, lease_until__lt=now - LONGEST_WAIT)[:1000].count()
    if stuck:
        says = f"{stuck} deliveries were taken by a worker and not given back for more than {minutes} minutes"
        return Finding("queue", False, says, "No supervisor sweeps: look whether manage.py worker runs, and at its log.")
    return Finding("queue", True, "nothing is late")


def _should_flow(lane: Lane) -> bool:
    """Tell whether what is due there should leave at once: not while its provider asked to be left alone, or is away."""
    integration = lane.integration
    is_held = integration.hold_until is not None and integration.hold_until > timezone.now()
    is_away = breaker.state(integration) is not breaker.State.CLOSED
    return integration.enabled and integration.status == Status.ACTIVE and not is_held and not is_away


def _providers() -> Finding:
    """Look for providers that do not answer."""
    away = list(Integration.objects.filter(breaker_until__isnull=False).select_related("merchant"))
    told = [f"{row} for {span(timezone.now() - (row.breaker_failing_since or timezone.now()))}" for row in away[:NAMED]]
    if told:
        fix = "Usually nothing: single events are tried, and all follow once one is answered. See the provider's status page."
        return Finding("providers", True, f"{len(away)} without an answer: {', '.join(told)}", fix)
    return Finding("providers", True, "all answer")


def _ledger() -> Finding:
    """Compare every balance with its transactions."""
    wrong = ledger.unbalanced().count()
    if wrong:
        return Finding("ledger", False, f"{wrong} wallets do not equal their transactions", "Somebody wrote past the services.")
    return Finding("ledger", True, "every balance equals its transactions")


EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    machine.writing,
    machine.disk,
    machine.clock,
    machine.task_queue,
    _worker,
    _secrets,
    _integrations,
    _providers,
    _queue,
    machine.mail,
    machine.metrics,
    machine.links,
    machine.administrators,
    _ledger,
)
