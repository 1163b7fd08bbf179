"""PostgreSQL only: leave room on each page, so that the stamp of a claimed delivery needs no index write (HOT update)."""

from django.db import migrations

FILLFACTOR = 70  # per cent


def leave_room(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE events_eventdelivery SET (fillfactor = {FILLFACTOR})")


def fill_up(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE events_eventdelivery RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]
    operations = [migrations.RunPython(leave_room, fill_up, elidable=False)]
