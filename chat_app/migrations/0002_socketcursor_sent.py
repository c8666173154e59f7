from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat_app", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="socketcursor", name="sent", field=models.BigIntegerField(null=True)
        ),
    ]
