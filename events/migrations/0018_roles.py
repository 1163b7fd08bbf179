"""The groups of roles get their permissions for this app's models. Who had a role may do what they could do before."""

from django.db import migrations

from integrations.roles import grant

WRITERS = {
    "bulkaction": ("view",),
    "contactsync": ("view",),
    "eventdefinition": ("view", "add", "change", "delete"),
    "eventdelivery": ("view",),
}
VIEWERS = dict.fromkeys(WRITERS, ("view",))


def give(apps, schema_editor):
    """Fill the groups; what else they hold stays."""
    roles = {"owner": WRITERS, "manager": WRITERS, "viewer": VIEWERS}
    grant(apps, "events", roles, schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [("events", "0017_elsewhere"), ("integrations", "0011_roles")]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
