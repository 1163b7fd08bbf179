"""On SQLite: two indexes without a condition, and lists in conditions as comparisons. Other databases have nothing to do."""

import events.indexes
import events.lookups
from django.db import migrations, models

OVER = models.Q(('status__in', ['sent', 'failed', 'skipped', 'cancelled']))
UNSENT = models.Q(('status__in', ['failed', 'skipped', 'cancelled']))
WAITING = models.Q(('status__in', ['queued', 'retrying', 'held']), ('expires_at__isnull', False))


class Reworded(migrations.AddIndex):
    """The same index, which SQLite makes anew since its condition is worded in another way there."""

    def state_forwards(self, app_label, state):
        """Put it in the place of the one with its name."""
        state.remove_index(app_label, self.model_name_lower, self.index.name)
        super().state_forwards(app_label, state)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        """Make it anew on SQLite, as the state to come has it."""
        model = to_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor == "sqlite" and self.allow_migrate_model(schema_editor.connection.alias, model):
            before, after = (state.models[app_label, self.model_name_lower] for state in (from_state, to_state))
            schema_editor.remove_index(model, before.get_index_by_name(self.index.name))
            schema_editor.add_index(model, after.get_index_by_name(self.index.name))

    database_backwards = database_forwards

    def describe(self):
        """Return what it does, for a person."""
        return f"Make index {self.index.name} of {self.model_name} anew on SQLite"


class Migration(migrations.Migration):

    dependencies = [
        ('events', '0021_fewer_index_writes'),
        ('integrations', '0017_audited_key_rotations'),
    ]

    operations = [
        migrations.RemoveIndex(model_name='eventdelivery', name='delivery_over_email'),
        migrations.RemoveIndex(model_name='eventdelivery', name='delivery_over_customer_id'),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=events.indexes.IndexOf(events.lookups.RecipientEmail('recipient'), name='delivery_to_email', only='sqlite'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=events.indexes.IndexOf(events.lookups.RecipientCustomerId('recipient'), name='delivery_to_customer_id', only='sqlite'),
        ),
        Reworded('eventdelivery', events.indexes.IndexOf(condition=OVER, fields=['integration', '-id'], name='delivery_over_integration')),
        Reworded('eventdelivery', events.indexes.IndexOf(condition=OVER, fields=['definition', '-id'], name='delivery_over_definition')),
        Reworded('eventdelivery', events.indexes.IndexOf(condition=UNSENT, fields=['merchant', 'status', '-id'], name='delivery_unsent')),
        Reworded('eventdelivery', events.indexes.IndexOf(condition=WAITING, fields=['expires_at'], name='delivery_expiring')),
    ]
