"""Each database has the indexes that it needs, and a search finds the right rows by them."""

from __future__ import annotations

import importlib

import pytest
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.db.models import Q

from events.indexes import IndexOf, spelled_out
from events.lookups import over, sent_to
from events.models import EventDelivery
from events.tests.conftest import deliver

pytestmark = pytest.mark.django_db
OF_EACH = {
    "sqlite": {"delivery_to_email", "delivery_to_customer_id", "delivery_sending"},
    "postgresql": {"delivery_over_words"},
}


def kinds() -> dict[str, str]:
    """Return the indexes of the outbox, and which kind each is."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, EventDelivery._meta.db_table)
    return {name: facts.get("type", "") for name, facts in found.items() if facts["index"]}


def test_a_database_has_its_own_indexes_and_not_those_of_the_other():
    found, own = kinds(), OF_EACH[connection.vendor]
    others = {name for names in OF_EACH.values() for name in names} - own
    assert own <= set(found) and not others & set(found)
    assert {index.name for index in EventDelivery._meta.indexes} <= {*found, *others}
    if connection.vendor == "postgresql":
        assert found["delivery_over_words"] == "gin"


def test_a_migration_writes_it_down_as_it_is():
    index = IndexOf(fields=["status"], name="some", only="sqlite", method="gin", tuned={"fastupdate": "off"})
    path, expressions, options = index.deconstruct()
    assert path == "events.indexes.IndexOf"
    assert IndexOf(*expressions, **options) == index.clone() == index
    assert index != IndexOf(fields=["status"], name="some")
    assert set(IndexOf(fields=["status"], name="some").deconstruct()[2]) == set(
        models.Index(fields=["status"], name="some").deconstruct()[2]
    )


@pytest.mark.parametrize("only", ["sqlite", "postgresql"])
def test_what_another_database_has_is_neither_made_nor_removed(only):
    index = IndexOf(fields=["status"], name="some", only=only)
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    editor.deferred_sql = []  # what entering it would do; on SQLite that is refused within a transaction
    editor.add_index(EventDelivery, index)
    editor.remove_index(EventDelivery, index)
    said = [words.split()[0] for words in editor.collected_sql]
    assert said == (["CREATE", "DROP"] if only == connection.vendor else ["SELECT", "SELECT"])


def test_only_a_long_list_is_spelled_out():
    long, short = Q(status__in=["a", "b", "c"]), Q(status__in=["a", "b"])
    assert spelled_out(~(long & Q(reason=""))) == ~((Q(status="a") | Q(status="b") | Q(status="c")) & Q(reason=""))
    assert spelled_out(short) == short


def test_nothing_is_made_anew_on_another_database():
    path = "events.migrations.0022_cheaper_changes_on_sqlite"
    module = importlib.import_module(path)
    reworded = [step for step in module.Migration.operations if isinstance(step, module.Reworded)]
    loader = MigrationLoader(connection)
    before, after = (loader.project_state(("events", name)) for name in ("0021_fewer_index_writes", path.split(".")[-1]))
    editor = connection.schema_editor(collect_sql=True, atomic=False)
    editor.deferred_sql = []
    for step in reworded:
        step.database_forwards("events", editor, before, after)
    said = [words.split()[0] for words in editor.collected_sql]
    assert said == (["DROP", "CREATE"] * 4 if connection.vendor == "sqlite" else [])


def test_an_email_is_no_customer_id_and_neither_is_part_of_one(definition):
    person = {"customer_id": "b@example.com", "email": "A@Example.com", "phone": "", "name": "A"}
    ours = deliver(definition, status="sent", recipient=person)
    deliver(definition, status="sent", recipient={"customer_id": "7", "email": "b@example.com"}, idempotency_key="other")
    deliver(definition, status="sent", recipient={}, idempotency_key="nobody")

    def found(emails, ids):
        return {row.pk for way in sent_to(emails, ids) for row in over(EventDelivery.objects.filter(way))}

    assert found(["a@example.com"], ["a@example.com"]) == {ours.pk} == found([], ["b@example.com"])
    assert len(found(["b@example.com"], ["b@example.com"])) == 2
    assert found(["example.com", "%", "a@example.co"], ["A@Example.com", "", "{}"]) == set()
