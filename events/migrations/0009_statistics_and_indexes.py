"""Statistics that outlive their rows, and indexes of what is over: each row enters those once, when it gets there."""

import datetime
import django.db.models.deletion
import django.utils.timezone
import events.lookups
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('events', '0008_count_lost_claims'),
        ('integrations', '0002_candidates_checks_and_pace'),
    ]

    operations = [
        migrations.CreateModel(
            name='PurgeCursor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(max_length=20, unique=True)),
                ('reached', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
                ('began_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'verbose_name': 'place of a purge',
                'verbose_name_plural': 'places of purges',
            },
        ),
        migrations.CreateModel(
            name='StatBucket',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('figure', models.CharField(max_length=24)),
                ('reason', models.CharField(blank=True, max_length=40)),
                ('kept', models.PositiveBigIntegerField(default=0)),
                ('gone', models.PositiveBigIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'statistic',
                'verbose_name_plural': 'statistics',
            },
        ),
        migrations.CreateModel(
            name='StatFrontier',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('folded_until', models.DateTimeField(default=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))),
                ('first_id', models.UUIDField(default=uuid.UUID('00000000-0000-0000-0000-000000000000'))),
            ],
            options={
                'verbose_name': 'frontier of the statistics',
                'verbose_name_plural': 'frontier of the statistics',
            },
        ),
        migrations.CreateModel(
            name='StatRecount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('first_id', models.UUIDField()),
                ('next_id', models.UUIDField()),
                ('look_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'verbose_name': 'recount',
                'verbose_name_plural': 'recounts',
            },
        ),
        migrations.CreateModel(
            name='StatTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.BigIntegerField()),
                ('starts_at', models.DateTimeField()),
                ('figure', models.CharField(max_length=24)),
                ('kept', models.PositiveBigIntegerField(default=0)),
                ('gone', models.PositiveBigIntegerField(default=0)),
            ],
            options={
                'verbose_name': 'total',
                'verbose_name_plural': 'totals',
            },
        ),
        migrations.AlterField(
            model_name='eventdelivery',
            name='call',
            field=models.ForeignKey(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='events.call'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(condition=models.Q(('status__in', ['sent', 'failed', 'skipped', 'cancelled'])), fields=['integration', '-id'], name='delivery_over_integration'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(condition=models.Q(('status__in', ['sent', 'failed', 'skipped', 'cancelled'])), fields=['definition', '-id'], name='delivery_over_definition'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(events.lookups.RecipientEmail('recipient'), condition=models.Q(('status__in', ['sent', 'failed', 'skipped', 'cancelled'])), name='delivery_over_email'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(events.lookups.RecipientCustomerId('recipient'), condition=models.Q(('status__in', ['sent', 'failed', 'skipped', 'cancelled'])), name='delivery_over_customer_id'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(condition=models.Q(('status__in', ['failed', 'skipped', 'cancelled'])), fields=['merchant', 'status', '-id'], name='delivery_unsent'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(condition=models.Q(('reason', ''), _negated=True), fields=['merchant', 'reason', '-id'], name='delivery_reason'),
        ),
        migrations.AddIndex(
            model_name='eventdelivery',
            index=models.Index(condition=models.Q(('is_test', True)), fields=['merchant', '-id'], name='delivery_test'),
        ),
        migrations.AddField(
            model_name='statbucket',
            name='definition',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='events.eventdefinition'),
        ),
        migrations.AddField(
            model_name='statbucket',
            name='integration',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='integrations.integration'),
        ),
        migrations.AddField(
            model_name='statbucket',
            name='merchant',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='integrations.merchant'),
        ),
        migrations.AddField(
            model_name='statrecount',
            name='integration',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='integrations.integration'),
        ),
        migrations.AddConstraint(
            model_name='stattotal',
            constraint=models.UniqueConstraint(fields=('scope', 'starts_at', 'figure'), name='stat_total_once'),
        ),
        migrations.AddIndex(
            model_name='statbucket',
            index=models.Index(fields=['definition', 'starts_at'], name='stat_bucket_by_definition'),
        ),
        migrations.AddConstraint(
            model_name='statbucket',
            constraint=models.UniqueConstraint(fields=('starts_at', 'definition', 'figure', 'reason'), name='stat_bucket_once'),
        ),
        migrations.AddIndex(
            model_name='statrecount',
            index=models.Index(fields=['look_at'], name='stat_recount_due'),
        ),
        migrations.AddConstraint(
            model_name='statrecount',
            constraint=models.UniqueConstraint(fields=('integration', 'starts_at'), name='stat_recount_once'),
        ),
    ]
