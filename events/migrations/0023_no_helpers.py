"""PostgreSQL only: read deliveries in one process. Each question is for a few rows; starting helpers takes longer than finding them.

From some millions of rows on, and where the server has no statistics of the expression that a search asks for, the planner expects
to find so many that it starts two.
"""

from django.db import migrations

TABLE = "events_eventdelivery"


def alone(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {TABLE} SET (parallel_workers = 0)")


def with_helpers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {TABLE} RESET (parallel_workers)")


class Migration(migrations.Migration):
    dependencies = [("events", "0022_cheaper_changes_on_sqlite")]
    operations = [migrations.RunPython(alone, with_helpers, elidable=False)]
