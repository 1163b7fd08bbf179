"""The groups of roles get their permissions for this app's models. Who had a role may do what they could do before."""

from django.db import migrations

from integrations.roles import grant

WRITERS = {
    "integration": ("view", "change"),
    "merchant": ("view", "change"),
}
VIEWERS = dict.fromkeys(WRITERS, ("view",))


def give(apps, schema_editor):
    """Fill the groups; what else they hold stays."""
    roles = {"owner": WRITERS, "manager": WRITERS, "viewer": VIEWERS}
    grant(apps, "integrations", roles, schema_editor.connection.alias)


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("integrations", "0010_callback_auth"),
    ]

    operations = [migrations.RunPython(give, migrations.RunPython.noop)]
