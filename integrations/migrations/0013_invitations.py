"""Invitations to a merchant's staff; owners look after both."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from integrations.roles import grant

OWNERS = {"membership": ("view", "change", "delete"), "invitation": ("view", "add", "delete")}


def give(apps, schema_editor):
    """Owners look after their staff."""
    grant(apps, "integrations", {"owner": OWNERS}, schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        ('integrations', '0012_audit'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('email', models.EmailField(max_length=254, verbose_name='email')),
                ('role', models.CharField(choices=[('owner', 'Owner: everything of the merchant, staff included'), ('manager', 'Manager: integrations, events, replay'), ('viewer', 'Viewer: history and statistics')], default='viewer', max_length=10, verbose_name='role')),
                ('word_hash', models.CharField(blank=True, editable=False, max_length=64)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='invited')),
                ('expires_at', models.DateTimeField(editable=False, verbose_name='valid until')),
                ('accepted_at', models.DateTimeField(editable=False, null=True, verbose_name='accepted')),
                ('invited_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='invited by')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='integrations.merchant', verbose_name='merchant')),
            ],
            options={
                'verbose_name': 'invitation',
                'verbose_name_plural': 'invitations',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('accepted_at__isnull', True)), fields=('merchant', 'email'), name='invited_once')],
            },
        ),
        migrations.RunPython(give, migrations.RunPython.noop),
    ]
