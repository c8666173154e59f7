"""A question of ann's to other people: asked, answered, claimed, and its stored records."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar
from uuid import uuid4

from chat_app.inbox import inbox_query
from chat_app.inbox.pending_counts import count_waiting
from sessions_app.interactions import answers, claims
from sessions_app.interactions.answers import AnswerResult, IncomingAnswer, acheck_in_name
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.runs import requests
from sessions_app.storage import reads
from sessions_app.storage.writer import writer
from sessions_app.workflows import BinaryPrompt, Context, Message, workflow
from tests.support.hosting import Hosting, make_members, make_user


class Asks:
    """The arguments with which the test workflow asks its next prompt."""

    how: ClassVar[dict[str, Any]] = {}
    prompt: ClassVar[Any] = None


@workflow(name="t_assigned", title="Asks others")
async def assigned(message: Message, context: Context) -> AsyncGenerator[str, None]:
    answer = await context.ask(Asks.prompt, **Asks.how)
    yield f"{answer.value} by {answer.by}: {[(one.by, one.value, one.via) for one in answer.votes]}"


def asks(prompt: Any = None, **how: Any) -> None:
    Asks.how = how
    Asks.prompt = prompt or BinaryPrompt(text="Give ann 3 days off?", options=["yes", "no"])


def people(*names: str, to: str = "") -> list[Person]:
    """Return users of these names in the group."""
    users = make_members(to, *names) if to else [make_user(name) for name in names]
    return [Person.of(one) for one in users]


@asynccontextmanager
async def asking_people(
    *names: str, members: str = "", **how: Any
) -> AsyncIterator[tuple[Hosting, Interaction, list[Person]]]:
    """Let ann ask while there are people of these names in the group `members`."""
    async with Hosting("t_assigned") as hosting:
        persons = await reads.read(people, *names, to=members)
        asks(**how)
        _, prompt = await hosting.submit_until_prompt()
        yield hosting, prompt, persons


def answer_to(prompt: Interaction, value: str = "yes", via: str = "test") -> IncomingAnswer:
    return IncomingAnswer(uuid4().hex, via, TextAnswer(value), interaction=str(prompt.pk))


async def give(value: str, prompt: Interaction, by: Person) -> AnswerResult:
    return await answers.answer(by=by, conversation_id=None, answer=answer_to(prompt, value))


async def give_over_claims(value: str, prompt: Interaction, by: Person) -> AnswerResult:
    """Answer as an operator may: a prompt that other people are asked, or have claimed."""
    checked_answer = await acheck_in_name(prompt.pk, answer_to(prompt, value, via="admin"))
    return await writer.write(requests.give(checked_answer, by, over_claims=True))


async def change(action: str, prompt: Interaction, by: Person, **to: str) -> claims.ClaimState:
    return await claims.change(action, str(prompt.pk), **to, by=by, via="test")


def entries(prompt: Interaction) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(interaction=prompt.pk).order_by("pk"))


def actions(prompt: Interaction) -> list[tuple[str, str]]:
    return [(entry.action, entry.by_name) for entry in entries(prompt)]


def inbox_of(person: Person) -> list[Any]:
    return inbox_query.first_prompts(inbox_query.waiting_prompts(person.id), 9)


def counts(*persons: Person) -> list[int]:
    """Return the number of prompts that wait for each person, counted in one call."""
    waiting = count_waiting([person.id for person in persons])
    return [waiting[person.id].prompts for person in persons]
