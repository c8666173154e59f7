"""The situations that people are in when a fault comes; each situation has its own people."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from tests.cluster.cluster import Cluster
from tests.cluster.collect_history import diary
from tests.cluster.form import Form
from tests.cluster.people import Person

# People in each situation.
EACH = 2
LEASES = """
    SELECT DISTINCT lease.key, lease.generation, lease.worker
    FROM sessions_app_hostlease lease JOIN sessions_app_run run ON run.key = lease.key
    JOIN sessions_app_conversation c ON c.id = run.conversation_id
    JOIN auth_user u ON u.id = c.owner_id WHERE u.username = ANY(%s)
"""
# The runs of a user: their status, how many questions are open, and steps or questions begun.
RUNS = """
    SELECT run.status,
        (SELECT count(*) FROM sessions_app_interaction i
            WHERE i.run_id = run.id AND i.status = 'pending') AS pending,
        (SELECT count(*) FROM sessions_app_journalentry j WHERE j.run_id = run.id)
            + (SELECT count(*) FROM sessions_app_interaction i WHERE i.run_id = run.id) AS begun
    FROM sessions_app_run run JOIN sessions_app_conversation c ON c.id = run.conversation_id
    JOIN auth_user u ON u.id = c.owner_id WHERE u.username = %s ORDER BY run.created_at
"""
STATES = {
    "prompt pending": [("waiting", 1, 1)],
    "answered": [("running", 0, 1)],
    "streaming": [("running", 0, 0)],
    "queued behind": [("running", 0, 1), ("queued", 0, 0)],
    "building": [("running", 0, 0)],
    "inside a step": [("running", 0, 2)],
    "not taken": [("queued", 0, 0)],
}

Situation = Callable[[Person], Awaitable[None]]


async def prompt_pending(person: Person) -> None:
    """Go on until a question is open."""
    await person.say("approve(count=2)")
    await person.until("a prompt", person.pending)


async def streaming(person: Person) -> None:
    """Output is being written, several times a second."""
    message = await person.say(f"stream(tokens=250, delay={0.02 * person.pace})")
    await person.until("output", lambda: person.text(message).count("t") > 5)


async def inside_a_step(person: Person) -> None:
    """Go on until the second of three steps runs."""
    message = await person.say(f"step(count=3, seconds={person.pace})")
    await person.until("a step", lambda: person.text(message))
    run = next(
        frame["run_id"]
        for frame in person.view.frames
        if frame["parent_id"] == message.message_id and "run_id" in frame
    )
    await person.until("inside", lambda: _noted(person.form, "step.begin", f"{run}:2"))


async def building(person: Person) -> None:
    """Go on until the user's builder is being built."""
    await person.say("step(count=2, seconds=0.05)")
    await person.until("a builder", lambda: _noted(person.form, "builder.begin", person.user))


async def queued_behind(person: Person) -> None:
    """Go on until a message waits behind one that is not done yet."""
    await person.say(f"step(count=2, seconds={1.5 * person.pace})")
    await person.say('echo("after")')
    await person.until("acknowledgements", lambda: len(person.accepted) == 2)


async def not_taken(person: Person) -> None:
    """Store a message that no worker has looked at: for when all of them stand still."""
    message = await person.say("ask(delay=0.01)")
    await person.until("an acknowledgement", lambda: message.message_id in person.accepted)


async def answered(person: Person) -> None:
    """Store an answer that its host has not looked at: for when all stand still."""
    await person.answer_all()
    await person.until(
        "an acknowledgement", lambda: any(one.startswith("answer-") for one in person.accepted)
    )


# While the host lives: those that last, those that pass, and one that passes at no person's pace.
LASTING: dict[str, Situation] = {"prompt pending": prompt_pending, "answered": prompt_pending}
PASSING: dict[str, Situation] = {
    "streaming": streaming,
    "queued behind": queued_behind,
    "inside a step": inside_a_step,
}
BRIEF: dict[str, Situation] = {"building": building}
# While it stands still.
STILL: dict[str, Situation] = {"answered": answered, "not taken": not_taken}


def _noted(form: Form, kind: str, subject: str) -> bool:
    return any(note.kind == kind and note.subject == subject for note in diary(form))


class Missed(Exception):
    """A situation had passed before all people were in theirs: the machine was busy."""


class Scene:
    """`async with Scene(cluster)`: people, each a user of the cluster whom nobody else is.

    `pace`: how many times as long as usual everything takes.
    """

    def __init__(self, cluster: Cluster, *, pace: int = 1) -> None:
        self.cluster = cluster
        names = list(STATES)
        self.people: dict[str, list[Person]] = {name: [] for name in names}
        for _ in range(EACH):
            for name in names:
                workflow = "probe_per_user" if name == "building" else "probe"
                person = Person(cluster, next(cluster.users), workflow=workflow)
                person.pace = pace
                self.people[name].append(person)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Scene":
        """Connect all people."""
        for person in self.everybody:
            await self._stack.enter_async_context(person)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Disconnect all people."""
        await self._stack.aclose()

    @property
    def everybody(self) -> list[Person]:
        """Return all people."""
        return [person for people in self.people.values() for person in people]

    async def bring(self, situations: dict[str, Situation]) -> None:
        """Bring the people of these situations into them, all at once."""
        await asyncio.gather(
            *(
                situation(person)
                for name, situation in situations.items()
                for person in self.people[name]
            )
        )

    async def to_the_end(self, timeout: float = 120) -> None:
        """Have all answer, and wait until all runs are over for all clients."""
        for person in self.everybody:
            await person.answer_all()
        await asyncio.gather(
            *(person.until("the end", person.done, timeout) for person in self.everybody)
        )

    def leases(self) -> dict[str, tuple[int, str]]:
        """Return the generation and the holder of each lease of these people, by key."""
        rows = self.cluster.rows(LEASES, [person.user for person in self.everybody])
        return {row["key"]: (row["generation"], row["worker"]) for row in rows}

    def check(self) -> None:
        """Check by rows and diary that all are in their situations, hosted by one worker.

        Raises:
            Missed: some are not, or not any more.
        """
        for name, people in self.people.items():
            for person in people:
                rows = self.cluster.rows(RUNS, person.user)
                states = [(row["status"], row["pending"], row["begun"]) for row in rows]
                if states != STATES[name]:
                    raise Missed(f"{name}: {states} of {person.user}")
        for person in self.people["building"]:
            if _noted(self.cluster, "builder.built", person.user):
                raise Missed("building: it is built")
        if len({holder for _, holder in self.leases().values()}) != 1:
            raise Missed("several workers host them")
