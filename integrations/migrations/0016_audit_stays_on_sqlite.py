"""SQLite refuses to delete entries of the audit trail that are younger than 30 days, and to write over any, like PostgreSQL.

`flush`, which deletes row by row there, takes the trigger away for that moment (`management/commands/flush.py`).
"""

from django.db import migrations

from integrations.trail import STAYS


def refuse(apps, schema_editor):
    """Have SQLite refuse deletions."""
    if schema_editor.connection.vendor == "sqlite":
        for statement in STAYS.values():
            schema_editor.execute(statement)


def allow(apps, schema_editor):
    """Take that back."""
    if schema_editor.connection.vendor == "sqlite":
        for name in STAYS:
            schema_editor.execute(f"DROP TRIGGER {name}")


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0015_audited_second_factors'),
    ]

    operations = [
        migrations.RunPython(refuse, allow),
    ]
