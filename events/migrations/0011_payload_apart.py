"""PostgreSQL only: keep payloads beside the table, so that a delivery's changes of state copy some 450 bytes, not 1,300."""

from django.db import migrations

TABLE = "events_eventdelivery"
LARGEST_ROW = 640  # bytes; a longer one has its longest value moved out, which is the payload: the rest takes some 450


def put_apart(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # EXTERNAL: not compressed, which would cost more than it saves at this size.
        schema_editor.execute(f"ALTER TABLE {TABLE} ALTER COLUMN payload SET STORAGE EXTERNAL")
        schema_editor.execute(f"ALTER TABLE {TABLE} SET (toast_tuple_target = {LARGEST_ROW})")


def put_together(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {TABLE} RESET (toast_tuple_target)")
        schema_editor.execute(f"ALTER TABLE {TABLE} ALTER COLUMN payload SET STORAGE EXTENDED")


class Migration(migrations.Migration):
    dependencies = [("events", "0010_delivery_policy")]
    operations = [migrations.RunPython(put_apart, put_together, elidable=False)]
