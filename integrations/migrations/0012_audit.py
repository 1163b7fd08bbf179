"""The audit trail: its table, which the database itself keeps as it is, and who may look at it."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from integrations.roles import grant

# An UPDATE is refused by both databases. A DELETE of what is younger than 30 days PostgreSQL refuses here, SQLite from 0016 on.
REFUSALS = {
    "postgresql": [
        """
        CREATE FUNCTION integrations_auditentry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND OLD.at < now() - interval '30 days' THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """,
        """
        CREATE TRIGGER integrations_auditentry_stays BEFORE UPDATE OR DELETE ON integrations_auditentry
        FOR EACH ROW EXECUTE FUNCTION integrations_auditentry_stays()
        """,
    ],
    "sqlite": [
        """
        CREATE TRIGGER integrations_auditentry_stays BEFORE UPDATE ON integrations_auditentry
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END
        """,
    ],
}
FORGET = {
    "postgresql": [
        "DROP TRIGGER integrations_auditentry_stays ON integrations_auditentry",
        "DROP FUNCTION integrations_auditentry_stays()",
    ],
    "sqlite": ["DROP TRIGGER integrations_auditentry_stays"],
}


def refuse(apps, schema_editor):
    """Have the database refuse changes."""
    for statement in REFUSALS[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def allow(apps, schema_editor):
    """Take that back."""
    for statement in FORGET[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def give(apps, schema_editor):
    """Owners look at it."""
    grant(apps, "integrations", {"owner": {"auditentry": ("view",)}}, schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0011_roles'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='when')),
                ('actor_name', models.CharField(blank=True, max_length=150, verbose_name='who')),
                ('act', models.CharField(choices=[('added', 'Added'), ('changed', 'Changed'), ('deleted', 'Deleted'), ('secret', 'Secret replaced'), ('initialize', 'Initialize'), ('pause', 'Paused'), ('resume', 'Resumed'), ('discard', 'New values discarded'), ('disconnect', 'Disconnected'), ('test', 'Test event sent'), ('retry', 'Retry'), ('replay', 'Replay'), ('cancel', 'Cancel'), ('run_again', 'Run again'), ('stop', 'Stopped'), ('sync', 'Customers sync'), ('import', 'Import'), ('export', 'Export'), ('erase', 'Erased'), ('merge', 'Merged'), ('consent', 'Consent changed'), ('ledger', 'Ledger'), ('invited', 'Staff invited'), ('staff_added', 'Staff added'), ('role', 'Role changed'), ('staff_removed', 'Staff removed'), ('login', 'Logged in'), ('login_failed', 'Log-in failed'), ('logout', 'Logged out')], max_length=20, verbose_name='what')),
                ('subject_type', models.CharField(blank=True, max_length=60)),
                ('subject_key', models.CharField(blank=True, max_length=40)),
                ('subject', models.CharField(blank=True, max_length=200, verbose_name='on what')),
                ('fields', models.JSONField(blank=True, default=list, verbose_name='fields')),
                ('details', models.JSONField(blank=True, default=dict, verbose_name='details')),
                ('address', models.GenericIPAddressField(blank=True, null=True, verbose_name='from where')),
                ('actor', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
                ('merchant', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='integrations.merchant', verbose_name='merchant')),
            ],
            options={
                'verbose_name': 'audit entry',
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'indexes': [models.Index(fields=['merchant', '-id'], name='audit_of_merchant'), models.Index(fields=['at'], name='audit_by_age')],
            },
        ),
        migrations.RunPython(refuse, allow),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
