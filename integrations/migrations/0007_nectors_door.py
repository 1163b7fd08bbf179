"""The door for Nector's webhooks. Merchants that are there get a token and an ID of their own."""

import uuid

import integrations.fields
import integrations.models
from django.db import migrations, models


def fill(apps, schema_editor):
    """Give each merchant its own values: a default is computed once for all rows."""
    merchants = apps.get_model("integrations", "Merchant").objects.using(schema_editor.connection.alias)
    for pk in merchants.values_list("pk", flat=True).order_by():
        merchants.filter(pk=pk).update(nector_webhook_token=integrations.models.new_token(), uid=uuid.uuid4())


class Migration(migrations.Migration):
    dependencies = [("integrations", "0006_tokens_of_bells")]

    operations = [
        migrations.AddField("merchant", "nector_webhook_token", models.CharField(max_length=64, null=True, editable=False)),
        migrations.AddField("merchant", "uid", models.UUIDField(null=True, editable=False)),
        migrations.AddField("merchant", "sealed_nector_secrets", integrations.fields.SecretField(null=True, editable=False)),
        migrations.AddField(
            "merchant",
            "nector_hmac_mode",
            models.CharField(
                "HMAC of webhooks",
                max_length=10,
                choices=[
                    ("off", "Not looked at"),
                    ("report", "Checked and reported"),
                    ("enforce", "Checked, and refused where it is wrong"),
                ],
                default="report",
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
        migrations.AlterField(
            "merchant",
            "nector_webhook_token",
            models.CharField(max_length=64, unique=True, default=integrations.models.new_token, editable=False),
        ),
        migrations.AlterField("merchant", "uid", models.UUIDField(unique=True, default=uuid.uuid4, editable=False)),
    ]
