"""Ways to rows that stay short however many there are: conditions worded as the partial indexes are, literals included.

SQLite takes a partial index only where the statement repeats its condition word for word; PostgreSQL is less particular.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection
from django.db.models import BigIntegerField, BooleanField, Func, Q, QuerySet, TextField, Value
from django.db.models.lookups import In

from events.indexes import is_long
from events.states import DUE_STATES, ELSEWHERE, FINAL_STATES, State


class RecipientText(Func):
    """A value of a delivery's recipient as text, worded alike in an index and in a question."""

    arity = 1
    output_field = TextField()
    on_postgresql = ""

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return it as PostgreSQL has it; the template itself is SQLite's."""
        return self.as_sql(compiler, connection, template=self.on_postgresql, **extra)


class RecipientCustomerId(RecipientText):
    """The customer ID as the merchant knows it."""

    template = "CAST(json_extract(%(expressions)s, '$.customer_id') AS text)"
    on_postgresql = "(%(expressions)s ->> 'customer_id')"


class RecipientEmail(RecipientText):
    """The email in lower case."""

    template = "LOWER(json_extract(%(expressions)s, '$.email'))"
    on_postgresql = "LOWER(%(expressions)s ->> 'email')"


class RecipientWords(Func):
    """Both of these, each marked as what it is, in one array: one index on PostgreSQL for two ways to search."""

    arity = 1
    output_field = TextField()
    template = "ARRAY['email:' || LOWER(%(expressions)s ->> 'email'), 'id:' || (%(expressions)s ->> 'customer_id')]"


class Overlap(Func):
    """Whether two arrays of texts have anything in common, on PostgreSQL."""

    arity = 2
    output_field = BooleanField()
    arg_joiner = " && "
    template = "(%(expressions)s::text[])"


class Aside(Func):
    """A column that holds or orders as ever but leads to no index: without statistics SQLite would take the wrong one."""

    arity = 1
    template = "+%(expressions)s"
    on_postgresql = "%(expressions)s"

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return it as PostgreSQL has it; the template itself is SQLite's."""
        return self.as_sql(compiler, connection, template=self.on_postgresql, **extra)


class AsideKey(Aside):
    """The same of a row's key, also on PostgreSQL, which would read all of a merchant's rows to be sure of a few."""

    output_field = BigIntegerField()
    on_postgresql = "(%(expressions)s + 0)"


def sent_to(emails: Collection[str], customer_ids: Collection[str]) -> list[Q]:
    """Return the ways in which a delivery is for somebody of these emails (lower case) or customer IDs, each with an index."""
    if connection.vendor == "postgresql":
        words = [*(f"email:{email}" for email in emails), *(f"id:{own_id}" for own_id in customer_ids)]
        # Said twice, in two ways: without statistics a server takes one such condition for five rows in a thousand, which of ten
        # million would be worth compiling a program for (80 ms), or starting helpers (30 ms); two it takes for few.
        same = [*words, *words[:1]]
        return [Q(Overlap(RecipientWords("recipient"), Value(words))) & Q(Overlap(RecipientWords("recipient"), Value(same)))]
    return [
        Q(In(RecipientEmail("recipient"), sorted(emails))),
        Q(In(RecipientCustomerId("recipient"), sorted(customer_ids))),
    ]


class Literally(Func):
    """A condition on a column whose words are in the statement itself, not among its parameters."""

    arity = 1
    output_field = BooleanField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return it as SQLite's indexes have it, where that differs."""
        return self.as_sql(compiler, connection, template=self.extra.get("on_sqlite", self.extra["template"]), **extra)


def _is_in(states: Sequence[str]) -> Literally:
    """Return the condition that a delivery is in one of these states."""
    words = [f"'{State(state).value}'" for state in states]
    test = f"IN ({', '.join(words)})" if len(states) > 1 else f"= {words[0]}"
    worded: dict[str, Any] = {"template": f"%(expressions)s {test}"}
    if is_long(states):
        worded["on_sqlite"] = f"({' OR '.join(f'%(expressions)s = {word}' for word in words)})"
    return Literally("status", **worded)


def in_states(rows: QuerySet[Any], states: Sequence[str]) -> QuerySet[Any]:
    """Return the deliveries in these states, said with literals."""
    return rows.filter(_is_in(states))


def in_state(rows: QuerySet[Any], state: str, group: Sequence[str]) -> QuerySet[Any]:
    """Return the deliveries in one state of a group; only SQLite must be told the conditions of the group's indexes."""
    rows = rows.filter(status=state)
    if connection.vendor == "postgresql":
        return rows
    rows = in_states(rows, group)
    return in_states(rows, UNSENT_STATES) if state in UNSENT_STATES else rows


def over(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the deliveries that are over: sent, failed, skipped or cancelled."""
    return in_states(rows, FINAL_STATES)


def with_reason(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the deliveries that have a reason, as the index of reasons says it, where its reader must be told."""
    if connection.vendor == "postgresql":
        return rows
    return rows.filter(Literally("reason", template="NOT (%(expressions)s = '')"))


def elsewhere(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the deliveries of what did not happen online, as their index says it, where its reader must be told."""
    if connection.vendor == "postgresql":
        return rows
    words = ", ".join(f"'{portal}'" for portal in ELSEWHERE)
    return rows.filter(Literally("portal", template=f"%(expressions)s IN ({words})"))


def within(rows: QuerySet[Any], merchants: Sequence[int]) -> QuerySet[Any]:
    """Return the deliveries of these merchants, where something else leads to them: an integration, a customer, a key."""
    return rows.filter(In(AsideKey("merchant"), list(merchants)))


def of_customer(rows: QuerySet[Any], merchant_id: int, *customer_refs: str) -> QuerySet[Any]:
    """Return the deliveries to one customer of a merchant, newest first: few rows, found by customer and then sorted.

    Several references are those of one person, who was known under others before.
    """
    return rows.filter(merchant=merchant_id, customer_ref__in=customer_refs).order_by(Aside("id").desc())


def newest_sent(rows: QuerySet[Any], integration: Any) -> QuerySet[Any]:
    """Return what was sent of one integration (a key or a reference), newest first, by the index of what is over.

    PostgreSQL would rather walk the whole table by its ids, hoping to meet the integration soon; it cannot where the order
    begins with the integration, and only a range leaves it in the order.
    """
    if connection.vendor != "postgresql":
        return in_state(rows.filter(integration=integration), State.SENT, FINAL_STATES).order_by("-id")
    rows = rows.filter(integration__gte=integration, integration__lte=integration)
    return rows.filter(status=State.SENT).order_by("integration_id", "-id")


IS_DUE = _is_in(DUE_STATES)  # what waits for its time, for `filter(IS_DUE, ...)`: by the index `delivery_due`
UNSENT_STATES = tuple(state for state in FINAL_STATES if state != State.SENT)
# Each group of states is found by partial indexes of its own; together they are all states.
GROUPS: tuple[tuple[State, ...], ...] = (FINAL_STATES, DUE_STATES, (State.SENDING,), (State.HELD,))


def has_any(definition: Any) -> bool:
    """Tell whether an event has a delivery in any state: by the index of what is over, and those of what its integration has."""
    rows = definition.deliveries.order_by()
    waiting = rows.filter(integration=definition.integration_id)
    return any(in_states(rows if group == FINAL_STATES else waiting, group).exists() for group in GROUPS)
