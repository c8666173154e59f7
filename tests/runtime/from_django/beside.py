"""Run as a program with a server's environment, beside it: does with runs what each line says that
it reads, and answers with a line.

    start MESSAGE [KEY]      the run
    start_all COUNT KEYS     starts so many, with so many keys in an order of chance; the runs by
                             key, as JSON
    undone MESSAGE           starts one in a transaction that is rolled back
    asked RUN                waits for its question
    answer RUN VALUE         answers it, or that of a run that it runs
    send RUN ID PAYLOAD      sends it what it waits for under the name `n`
    cancel RUN
    result RUN …             waits for their ends; their texts
"""

import json
import random
import sys
from uuid import UUID

import django

django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 - models come after the set-up
from django.db import transaction  # noqa: E402
from django.db.models import Q  # noqa: E402

from sessions_app import runs  # noqa: E402
from sessions_app.models import Interaction  # noqa: E402


def start(message: str, key: str | None = None) -> UUID:
    """Start a run for ann."""
    user = get_user_model().objects.get(username="ann")
    return runs.start("probe", message, user=user, key=key)


def start_all(count: int, keys: int) -> str:
    """Start many runs; see the module."""
    names = [f"key{number % keys}" for number in range(count)]
    random.shuffle(names)
    return json.dumps({name: str(start(f"echo({name!r})", name)) for name in names})


def undone(message: str) -> str:
    """Start a run in a transaction that is rolled back."""
    with transaction.atomic():
        start(message)
        transaction.set_rollback(True)
    return ""


def answer(run: UUID, value: str) -> str:
    """Answer the question of the run."""
    interaction = Interaction.objects.get(Q(run=run) | Q(run__parent=run), status="pending")
    by = get_user_model().objects.get(username="ben")
    return runs.answer(interaction.id, value, by=by).outcome


def do(command: str, *arguments: str) -> str:
    """Execute a command; return the text to answer with."""
    if command == "start":
        return str(start(*arguments))
    if command == "start_all":
        return start_all(*map(int, arguments))
    if command == "undone":
        return undone(*arguments)
    if command == "asked":
        events = runs.events(UUID(arguments[0]), timeout=60)
        return next(event.type for event in events if event.type == "interaction")
    if command == "answer":
        return answer(UUID(arguments[0]), *arguments[1:])
    if command == "send":
        run, sent_id, payload = arguments
        return runs.send(UUID(run), "n", payload, id=sent_id)
    if command == "cancel":
        return str(runs.cancel(UUID(arguments[0])))
    return " ".join(runs.result(UUID(one), timeout=60).text for one in arguments)


if __name__ == "__main__":
    for line in sys.stdin:
        print(do(*json.loads(line)), flush=True)  # noqa: T201 - it is what the program is for
