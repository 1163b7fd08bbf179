"""The hot path on SQLite: a change of state writes few indexes, and a question is answered by the index that is worded like it.

Not collected on another database (see conftest).
"""

from __future__ import annotations

import pytest
from django.db import connection

from events.lookups import UNSENT_STATES, in_states
from events.models import EventDelivery
from events.states import DUE_STATES, State

pytestmark = pytest.mark.django_db


def test_a_change_of_state_asks_no_index_by_a_list_that_becomes_a_table():
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN UPDATE events_eventdelivery SET status = 'sent' WHERE id = 'x'")
        steps = [step[1] for step in cursor.fetchall()]
    assert "OpenWrite" in steps and "OpenEphemeral" not in steps


def test_a_change_of_state_leaves_the_indexes_of_addresses_alone():
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, rootpage FROM sqlite_master WHERE type = 'index'")
        numbers = dict(cursor.fetchall())
        cursor.execute("EXPLAIN UPDATE events_eventdelivery SET status = 'sent' WHERE id = 'x'")
        opened = {step[3] for step in cursor.fetchall() if step[1] == "OpenWrite"}
    assert numbers["delivery_over_integration"] in opened
    assert not {numbers["delivery_to_email"], numbers["delivery_to_customer_id"]} & opened


@pytest.mark.parametrize(
    ("states", "index"),
    [(UNSENT_STATES, "delivery_unsent"), ((*DUE_STATES, State.HELD), "delivery_expiring"), ((*DUE_STATES,), "delivery_due")],
)
def test_a_question_is_worded_as_its_index_is(states, index):
    fits = {"delivery_unsent": {"merchant": 1}, "delivery_expiring": {"expires_at__lte": "2030-01-01T00:00Z"}}
    rows = in_states(EventDelivery.objects.filter(**fits.get(index, {"integration": 1})), states)
    assert f"USING INDEX {index} " in rows.order_by().explain()
