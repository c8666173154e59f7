from typing import Any

from django.db import migrations

# Jobs of the first release had names and queues that the tasks of a project might have, too.
RENAME = """
    UPDATE procrastinate_jobs
    SET task_name = 'hitl.host', queue_name = 'hitl.' || queue_name
    WHERE task_name = 'host' AND lock = args->>'key'
"""
# Periodic jobs need no successor: the next ones come on schedule.
DELETE = """
    DELETE FROM procrastinate_jobs
    WHERE task_name IN ('maintain', 'clean') AND queue_name = 'maintenance'
"""
RENAME_BACK = """
    UPDATE procrastinate_jobs
    SET task_name = 'host', queue_name = substr(queue_name, 6) WHERE task_name = 'hitl.host'
"""


def rename(apps: Any, editor: Any) -> None:
    execute(editor.connection, RENAME, DELETE)


def rename_back(apps: Any, editor: Any) -> None:
    execute(editor.connection, RENAME_BACK)


def execute(connection: Any, *statements: str) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            if "procrastinate_jobs" in connection.introspection.table_names(cursor):
                for statement in statements:
                    cursor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0002_lines_of_runs")]

    operations = [migrations.RunPython(rename, rename_back)]
