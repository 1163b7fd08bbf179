"""Millions of deliveries in minutes: written by the database itself, without the indexes, which are built afterwards.

Four merchants, twelve integrations, 48 events, ninety days, every state. Both tables, the small and the big one, have
the same shares of everything, and the same queue: so many due rows, held ones, and tries of the newest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from events.models import DeliveryAttempt, EventDefinition, EventDelivery
from integrations.models import Integration, Membership, Merchant, Status

DAYS = 90
MERCHANTS, INTEGRATIONS, DEFINITIONS = 4, 12, 48
PER_CUSTOMER = 20  # deliveries
TRIED_SHARE = 5  # every so many deliveries have a try in the table
DUE = 2000
STAFF = "owner"
TRIGGERS = ("walletreward_create", "coupon_create", "coins_redeemed", "coinexpirynotify_create")
PROVIDERS = ("clevertap", "moengage", "contlo")

# Of each hundred of an event's: 92 sent, 4 failed, 2 skipped, 2 cancelled; one in forty is a test.
MIX = "(n / {definitions} * 37 + d * 13) % 100"
STATUS = "CASE WHEN mix < 92 THEN 'sent' WHEN mix < 96 THEN 'failed' WHEN mix < 98 THEN 'skipped' ELSE 'cancelled' END"
REASON = (
    "CASE WHEN mix < 92 THEN '' WHEN mix < 95 THEN 'refused' WHEN mix < 96 THEN 'exhausted' "
    "WHEN mix < 98 AND n / {definitions} % 97 = 5 THEN 'stale' WHEN mix < 98 THEN 'no_identity' ELSE '' END"
)
PORTAL = "CASE WHEN n / {definitions} % 50 = 11 THEN 'pos' ELSE 'online_store' END"
NUMBERS_POSTGRESQL = "generate_series(0, %s) AS n"
NUMBERS_SQLITE = (
    "(WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s) SELECT n FROM numbers) AS counted"
)
# An id tells its time: 48 bits of milliseconds, then the number itself, so that it is unique and grows.
ID_POSTGRESQL = (
    "(lpad(to_hex({ms}), 12, '0') || '7' || lpad(to_hex((n %% 4096)::int), 3, '0') "
    "|| '8' || lpad(to_hex(n::bigint), 15, '0'))::uuid"
)
ID_SQLITE = "printf('%%012x7%%03x8%%015x', {ms}, n %% 4096, n)"
AT_POSTGRESQL, AT_SQLITE = "to_timestamp({ms} / 1000.0)", "strftime('%%Y-%%m-%%d %%H:%%M:%%S', {ms} / 1000, 'unixepoch')"
COLUMNS = """
    id, definition_id, integration_id, merchant_id, trigger, event_name, portal, customer_ref, recipient, payload, destination,
    idempotency_key, status, reason, detail, is_test, is_backfill, attempt_count, failure_count, uncertain_count,
    next_attempt_at, call_id, lease_owner, lease_until, occurred_at, created_at, sent_at, first_failed_at
"""
INSERT = """
    INSERT INTO events_eventdelivery ({columns}{more})
    SELECT {id}, {definition} + d, {integration} + d % {integrations}, {merchant} + d % {integrations} % {merchants},
           'walletreward_create', 'Wallet Coins Rewarded', {portal}, customer,
           {open}'{{"name": "Customer ' || customer || '", "email": "c' || customer
             || '@bench.example", "customer_id": "C' || customer || '", "phone": "+91987650' || customer || '"}}'{close},
           {open}'{{"coins": 50, "balance": ' || n || ', "operation": "cr", "title": "Welcome", "business_name": "Bench Store", '
             || '"nector_click_url": "https://bench.example/t/c/AZtm1nPoc3iJ0jxkXx7u8X6Sx8m9Pz1fHjzKQ0a1b2c3d", '
             || '"nector_open_url": "https://bench.example/t/o/AZtm1nPoc3iJ0jxkXx7u8X6Sx8m9Pz1fHjzKQ0a1b2c3d.gif"}}'{close},
           'https://bench.example', 'bench:' || n, {status}, {reason}, '', n / {definitions} % 40 = 7, {false}, 1, 0, 0,
           NULL, NULL, '', NULL, at, at, at, NULL{values}
    FROM (SELECT n, d, at, ms, {mix} AS mix, CAST(CAST(n AS bigint) * 7919 % {customers} AS text) AS customer FROM (
      SELECT n, n % {definitions} AS d, {at} AS at, {ms} AS ms FROM {numbers}) AS numbered) AS spread
"""
ATTEMPTS = """
    INSERT INTO events_deliveryattempt
      (delivery_id, call_id, number, started_at, duration_ms, outcome, http_status, error_code, error_message)
    SELECT id, NULL, 1, created_at, 20, CASE WHEN status = 'sent' THEN 'accepted' ELSE 'permanent' END,
           200, '', CASE WHEN status = 'sent' THEN '' ELSE 'Discarded: not in the schema' END
    FROM events_eventdelivery WHERE status IN ('sent', 'failed') AND attempt_count = 1 AND id {every}
"""


@dataclass(frozen=True)
class Place:
    """One database of the benchmark: whose list and which filters are looked at."""

    merchant: Merchant
    integration: Integration
    definition: EventDefinition
    rows: int


def build(rows: int) -> Place:
    """Fill an empty, migrated database with that many deliveries that are over, and the queue."""
    merchants, integrations, definitions = _world()
    with _without_indexes():
        _insert(rows, merchants, integrations, definitions)
    _queue(definitions[0])
    analyze()
    user = get_user_model().objects.create_user(STAFF, is_staff=True)
    Membership.objects.create(merchant=merchants[0], user=user, role="owner")
    get_user_model().objects.create_superuser("root")
    return Place(merchants[0], integrations[0], definitions[0], rows)


def analyze() -> None:
    """Give the planner what autovacuum gives it."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "SELECT 1")


def _world() -> tuple[Sequence[Merchant], Sequence[Integration], Sequence[EventDefinition]]:
    """Make merchants, integrations and events; their keys are in a row."""
    merchants = [
        Merchant.objects.create(name=f"Store {n}", slug=f"store{n}", website="https://bench.example", timezone="Asia/Kolkata")
        for n in range(MERCHANTS)
    ]
    integrations = []
    for number in range(INTEGRATIONS):
        row = Integration(
            merchant=merchants[number % MERCHANTS], provider=PROVIDERS[number // MERCHANTS], common_property="email", enabled=True
        )
        row.status, row.initialized_at, row.settings = Status.ACTIVE, timezone.now(), {"account_id": "B", "server_prefix": "in1"}
        row.save()
        integrations.append(row)
    definitions = EventDefinition.objects.bulk_create(
        EventDefinition(
            integration=integrations[number % INTEGRATIONS],
            trigger=TRIGGERS[number // INTEGRATIONS],
            name=f"Event {number // INTEGRATIONS}",
        )
        for number in range(DEFINITIONS)
    )
    return merchants, integrations, list(definitions)


def _insert(
    rows: int, merchants: Sequence[Merchant], integrations: Sequence[Integration], definitions: Sequence[EventDefinition]
) -> None:
    """Write the deliveries that are over, the newest two hours ago, and tries of every fifth."""
    is_postgresql = connection.vendor == "postgresql"
    others = _other_columns()
    last = timezone.now() - timedelta(hours=2)
    first = int((last - timedelta(days=DAYS)).timestamp() * 1000)
    step = DAYS * 86_400_000 / rows
    ms = f"({first} + CAST(n * {step!r} AS {'bigint' if is_postgresql else 'integer'}))"
    sql = INSERT.format(
        columns=COLUMNS,
        more="".join(f", {name}" for name in others),
        values="".join(", %s" for _name in others),
        id=(ID_POSTGRESQL if is_postgresql else ID_SQLITE).format(ms="ms"),
        at=(AT_POSTGRESQL if is_postgresql else AT_SQLITE).format(ms=ms),
        ms=ms,
        mix=MIX.format(definitions=DEFINITIONS),
        status=STATUS,
        reason=REASON.format(definitions=DEFINITIONS),
        portal=PORTAL.format(definitions=DEFINITIONS),
        numbers=NUMBERS_POSTGRESQL if is_postgresql else NUMBERS_SQLITE,
        open="CAST(" if is_postgresql else "",
        close=" AS jsonb)" if is_postgresql else "",
        false="false" if is_postgresql else "0",
        customers=max(rows // PER_CUSTOMER, 1),
        definition=definitions[0].pk,
        integration=integrations[0].pk,
        merchant=merchants[0].pk,
        definitions=DEFINITIONS,
        integrations=INTEGRATIONS,
        merchants=MERCHANTS,
    ).replace(" % ", " %% ")
    every = "IN (SELECT id FROM events_eventdelivery ORDER BY id DESC LIMIT %s)"
    with connection.cursor() as cursor:
        cursor.execute(sql, [*others.values(), rows - 1])
        cursor.execute(ATTEMPTS.format(every=every), [max(rows // TRIED_SHARE, 1)])


def _other_columns() -> dict[str, Any]:
    """Return the columns that the statement does not name and that must have a value, with their default."""
    named = {name.strip() for name in COLUMNS.split(",")}
    fields = [field for field in EventDelivery._meta.concrete_fields if field.column not in named and not field.null]
    return {str(field.column): field.get_db_prep_save(field.get_default(), connection) for field in fields}


class _without_indexes:
    """Drop the indexes that are no constraint, and build them again behind the block."""

    def __enter__(self) -> None:
        """Drop them; PostgreSQL also leaves foreign keys unchecked where it may: the rows are right by construction."""
        with connection.schema_editor() as editor:
            for model in (EventDelivery, DeliveryAttempt):
                for index in model._meta.indexes:
                    editor.remove_index(model, index)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                cursor.execute("SET maintenance_work_mem = '512MB'")
                cursor.execute("SET synchronous_commit = off")

    def __exit__(self, *error: Any) -> None:
        """Build them."""
        with connection.schema_editor() as editor:
            for model in (EventDelivery, DeliveryAttempt):
                for index in model._meta.indexes:
                    editor.add_index(model, index)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for name in ("session_replication_role", "maintenance_work_mem", "synchronous_commit"):
                    cursor.execute(f"RESET {name}")


def _queue(definition: EventDefinition) -> None:
    """Queue the same number of due deliveries of one integration in both tables."""
    now = timezone.now()
    EventDelivery.objects.bulk_create(
        [
            EventDelivery(
                definition=definition,
                integration_id=definition.integration_id,
                merchant_id=definition.integration.merchant_id,
                trigger=definition.trigger,
                event_name=definition.name,
                customer_ref=str(number),
                recipient={"customer_id": f"C{number}", "email": f"c{number}@bench.example"},
                payload={"coins": 50},
                idempotency_key=f"queued:{number}",
                occurred_at=now,
                created_at=now,
                next_attempt_at=now,
            )
            for number in range(DUE)
        ],
        batch_size=500,
    )
