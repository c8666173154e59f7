"""The test that a worker's next host is that of the owner with the fewest queued runs."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from sessions_app.conversations import messages
from sessions_app.models import Run
from sessions_app.storage import reads
from tests.support.running_form import CLUSTER

if CLUSTER:
    from sessions_app.hosting.dispatch.job_worker import PatientConnector, ServableJobs, app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster_only("one process has no queue"),
]

PEOPLE = 150
# Messages of each, in conversations of their own.
EACH = 3


async def send(owner: int) -> str:
    """Send a message in a new conversation, and return the key of its run."""
    message = messages.IncomingMessage(uuid4().hex, "echo()", workflow="assistant")
    submitted = await messages.submit(owner=owner, conversation_id=uuid4().hex, message=message)
    return str(await reads.read(Run.objects.values_list("key", flat=True).get, pk=submitted.run))


async def test_a_newcomer_goes_before_whoever_has_several_messages() -> None:
    users = get_user_model().objects

    def make_people() -> list[int]:
        made = users.bulk_create(users.model(username=f"one{n}") for n in range(PEOPLE + 1))
        return [user.pk for user in made]

    *people, newcomer = await reads.read(make_people)
    for _ in range(EACH):
        for person in people:
            await send(person)
    key = await send(newcomer)
    before = 0
    with app.replace_connector(PatientConnector()) as own_app:
        async with own_app.open_async():
            jobs = ServableJobs(own_app.connector, list, lambda: False)
            worker = await jobs.register_worker()
            while (job := await jobs.fetch_job(None, worker)) is not None and job.lock != key:
                before += 1
    assert job is not None
    assert before <= PEOPLE
