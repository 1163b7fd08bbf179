"""The groups of roles get their permissions for this app's models. Who had a role may do what they could do before."""

from django.db import migrations

from integrations.roles import grant

WRITERS = {
    "coupon": ("view", "add", "change"),
    "customer": ("view", "add", "change"),
    "erasurereport": ("view",),
    "importrun": ("view",),
    "order": ("view", "add", "change"),
    "referral": ("view", "add"),
    "review": ("view", "add"),
    "tierchange": ("view", "add"),
    "wallet": ("view",),
    "wallettransaction": ("view", "add", "change"),
    "webhookreceipt": ("view",),
}
VIEWERS = dict.fromkeys(WRITERS, ("view",))


def give(apps, schema_editor):
    """Fill the groups; what else they hold stays."""
    roles = {"owner": WRITERS, "manager": WRITERS, "viewer": VIEWERS}
    grant(apps, "loyalty", roles, schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [("integrations", "0011_roles"), ("loyalty", "0008_personal_data")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
