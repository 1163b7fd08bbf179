"""The process in which a run happens: `nectorbridge.chaos.inside OPTIONS_AS_JSON RESULT_FILE`, in an installation of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nectorbridge.chaos.audit import Books
    from nectorbridge.chaos.crew import Crew
    from nectorbridge.chaos.trouble import Trouble
    from nectorbridge.chaos.world import World

TICK_SECONDS = 0.1
LOOK_SECONDS = 1.0
EVENTS_PER_ACTION = 400
STILL_SECONDS = 60.0  # nothing moved for so long: then it is stuck
KEPT_RECORDS = 1_000  # of the sandbox itself: the witness keeps its own


@dataclass(frozen=True)
class Options:
    """What to run. `actions` and `seconds` 0: as many, and as long, as suit the number of events."""

    events: int
    seed: int
    store: str
    workers: int
    actions: int = 0
    seconds: float = 0.0
    quiet: bool = False  # no trouble at all: the control


def main(options_json: str, result_file: str) -> None:
    """Run, and leave the result as JSON in a file."""
    options = Options(**json.loads(options_json))
    import django
    from django.conf import settings

    from nectorbridge.chaos.servers import running

    with ExitStack() as stack:
        servers = stack.enter_context(running(Path(os.environ["DATA_DIR"]), os.environ["DATABASE_URL"], os.environ["REDIS_URL"]))
        django.setup()
        from django.core.management import call_command

        from nectorbridge.chaos import world
        from nectorbridge.chaos.witness import Witness

        call_command("migrate", interactive=False, verbosity=0)
        world.build(options.events)
        port = int(next(iter(settings.PROVIDER_BASE_URLS.values())).rpartition(":")[2].partition("/")[0])
        witness = Witness(port=port, keep=KEPT_RECORDS)
        witness.start()
        stack.callback(witness.stop)
        Path(result_file).write_text(json.dumps(run(options, servers, witness)))


def run(options: Options, servers: Any, witness: Any) -> dict[str, Any]:
    """Record under trouble, let it settle, and audit."""
    from django.conf import settings

    from nectorbridge.chaos import report, world
    from nectorbridge.chaos.audit import audit
    from nectorbridge.chaos.crew import Crew
    from nectorbridge.chaos.trouble import Trouble

    actions = options.actions or max(20, options.events // EVENTS_PER_ACTION)
    seconds = options.seconds or actions * 1.2
    crew = Crew(options.workers, options.events, options.seed, seconds, settings.DATA_DIR)
    trouble = Trouble(crew, servers, witness, options.seed)
    began = time.monotonic()
    try:
        _trouble(crew, trouble, 0 if options.quiet else actions)
        recorded = time.monotonic() - began
        witness.clear_faults()
        _settle(crew)
    finally:
        crew.end()
    settled = time.monotonic() - began - recorded
    place = world.load(options.events, options.seed)
    found = audit(_expected(options.events, place), _books(), witness.seen, settings.DELIVERY_HTTP_TIMEOUT_SECONDS)
    about = asdict(options) | {"recorded_seconds": recorded, "settled_seconds": settled}
    return report.result(found, about | {"actions": dict(trouble.made), "faults": dict(trouble.served())})


def _trouble(crew: Crew, trouble: Trouble, actions: int) -> None:
    """Record everything, while so many actions happen: evenly over the events, however long they take."""
    act_at = time.monotonic() + 4 * LOOK_SECONDS  # everything is up by then
    while not crew.has_recorded() or trouble.made.total() < actions:
        crew.look()
        if actions:
            trouble.spoil()
        if trouble.made.total() < actions * crew.share_recorded() and time.monotonic() >= act_at:
            _say(f"{trouble.made.total() + 1}/{actions}: {trouble.act()}")
            act_at = time.monotonic() + trouble.pause()
        time.sleep(TICK_SECONDS)


def _settle(crew: Crew) -> None:
    """Wait until nothing is on its way, or nothing has moved for long."""
    moved_at, before = time.monotonic(), -1
    while time.monotonic() - moved_at < STILL_SECONDS:
        crew.look()
        left = _left()
        if not left:
            return
        if left != before:
            moved_at, before = time.monotonic(), left
            _say(f"{left} on their way")
        time.sleep(LOOK_SECONDS)


def _left() -> int:
    """Return how many deliveries are on their way."""
    from django.db import connection

    from events.models import EventDelivery

    connection.close()  # the server may have been restarted since
    return EventDelivery.objects.filter(status__in=("queued", "sending", "retrying", "held")).count()


def _expected(events: int, place: World) -> dict[str, str]:
    """Return the idempotency key of each activity, with its provider."""
    from events.models import EventDefinition

    definitions = dict(EventDefinition.objects.values_list("integration__merchant_id", "pk"))
    providers = {shop.merchant_id: shop.provider for shop in place.shops}
    activities = (place.activity(number) for number in range(events))
    return {f"{definitions[one.merchant_id]}:{one.key}": providers[one.merchant_id] for one in activities}


def _books() -> Books:
    """Return what our side wrote down."""
    from django.db.models import F

    from events.models import Call, DeliveryAttempt, EventDelivery
    from nectorbridge.chaos.audit import Books, Row, Try

    columns = ("integration__provider", "customer_ref", "idempotency_key", "status", "reason", "attempt_count")
    rows = [Row(str(key), *rest) for key, *rest in EventDelivery.objects.values_list("id", *columns).iterator()]
    tries = DeliveryAttempt.objects.annotate(written_at=F("call__ended_at"))
    kept = [
        Try(str(key), call, outcome, at.timestamp() if at else float("inf"))
        for key, call, outcome, at in tries.values_list("delivery_id", "call_id", "outcome", "written_at").iterator()
    ]
    return Books(rows, kept, Call.objects.filter(ended_at__isnull=True).count())


def _say(line: str) -> None:
    """Show progress where it does not mix with results."""
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
