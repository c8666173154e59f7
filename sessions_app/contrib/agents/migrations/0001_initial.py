import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("sessions_app", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="GraphCheckpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("namespace", models.TextField(blank=True)),
                ("checkpoint", models.CharField(max_length=100)),
                ("parent", models.CharField(blank=True, max_length=100)),
                ("data_form", models.CharField(max_length=20)),
                ("data", models.BinaryField()),
                ("metadata_form", models.CharField(max_length=20)),
                ("metadata", models.BinaryField()),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="sessions_app.run",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "namespace", "checkpoint"), name="graph_checkpoint_unique"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GraphWrite",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("namespace", models.TextField(blank=True)),
                ("checkpoint", models.CharField(max_length=100)),
                ("task", models.CharField(max_length=100)),
                ("path", models.TextField(blank=True)),
                ("number", models.IntegerField()),
                ("channel", models.TextField()),
                ("value_form", models.CharField(max_length=20)),
                ("value", models.BinaryField()),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="sessions_app.run",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "namespace", "checkpoint", "task", "number"),
                        name="graph_write_unique",
                    )
                ],
            },
        ),
    ]
