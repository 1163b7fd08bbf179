"""Gives existing wallets and customers the time of their last known change: "as of today" would be untrue of them."""

from django.db import migrations
from django.db.models import F, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce


def date_what_is_there(apps, schema_editor):
    customers = apps.get_model("loyalty", "Customer").objects.using(schema_editor.connection.alias)
    wallets = apps.get_model("loyalty", "Wallet").objects.using(schema_editor.connection.alias)
    moves = apps.get_model("loyalty", "WalletTransaction").objects.filter(wallet=OuterRef("pk")).order_by()
    joined = customers.filter(pk=OuterRef("customer")).values("created_at")
    last = moves.values("wallet").annotate(last=Max("created_at")).values("last")
    customers.update(changed_at=F("created_at"))
    wallets.update(changed_at=Coalesce(Subquery(last), Subquery(joined)))


class Migration(migrations.Migration):

    dependencies = [("loyalty", "0002_when_things_changed")]

    operations = [migrations.RunPython(date_what_is_there, migrations.RunPython.noop)]
