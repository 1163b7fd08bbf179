"""Count claims whose worker died before it sent anything, so that a delivery that kills workers can be told apart."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("events", "0007_tallies")]

    operations = [
        migrations.AddField(
            model_name="eventdelivery",
            name="lost_claims",
            field=models.PositiveSmallIntegerField(default=0, db_default=0, editable=False),
        ),
        migrations.AddIndex(
            model_name="eventdelivery",
            index=models.Index(condition=models.Q(lost_claims__gt=0), fields=["integration"], name="delivery_suspect"),
        ),
    ]
