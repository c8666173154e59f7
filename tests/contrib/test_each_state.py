"""A table of tests: a question in each state, at each place where it is read."""

import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from html import unescape
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.core import mail as outgoing
from django.db.models import Q
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from chat_app.contrib.notifications import mail, webhook
from chat_app.peer.plain_frames import PLAIN
from chat_app.wire.frames import View, event_frames
from sessions_app import runs
from sessions_app.models import Event, Interaction
from sessions_app.models.people import Person, users
from sessions_app.runs import requests
from sessions_app.storage import reads
from sessions_app.storage.records import read_records
from sessions_app.workflows import BinaryPrompt, user
from tests.contrib.notifications.test_webhook import Receiver, receiver  # noqa: F401 - a fixture
from tests.runtime.assignment.asking import asking_people, change, give
from tests.support.hitl import set_hitl
from tests.support.hosting import Hosting, django_user

pytestmark = pytest.mark.django_db(transaction=True)
BOTH: dict[str, Any] = {"to": [user("boss"), user("chef")]}


class Scene(NamedTuple):
    """A question of ann's, and two people who may be asked; `reader` reads it."""

    hosting: Hosting
    prompt: Interaction
    boss: Person
    chef: Person
    reader: Person


Step = Callable[[Scene], Awaitable[object]]


async def nothing(scene: Scene) -> None:
    """Leave it as it was asked."""


async def claim(scene: Scene) -> None:
    await change("claim", scene.prompt, scene.boss)


async def claim_by_another(scene: Scene) -> None:
    await change("claim", scene.prompt, scene.chef)


async def answer(scene: Scene) -> None:
    await give("yes", scene.prompt, scene.boss)


async def hand_on(scene: Scene) -> None:
    await change("delegate", scene.prompt, scene.boss, to="chef", note="Your turn")


async def expire(scene: Scene) -> None:
    await requests.aexpire(scene.prompt.pk, by=django_user(scene.boss))


async def stop(scene: Scene) -> None:
    await runs.acancel(scene.prompt.run_id)
    await scene.hosting.until_ended(scene.prompt.run_id)


STATES: dict[str, tuple[Step, dict[str, Any]]] = {
    "own": (nothing, {}),
    "assigned": (nothing, BOTH),
    "mine": (claim, BOTH),
    "taken": (claim_by_another, BOTH),
    "voted": (answer, {**BOTH, "votes": 2}),
    "answered": (answer, BOTH),
    "expired": (expire, BOTH),
    "default": (expire, BOTH),
    "cancelled": (stop, BOTH),
    "handed on": (hand_on, BOTH),
}


# In the order of PLACES.
TABLE: dict[str, tuple[str, ...]] = {
    "own": (
        "card",
        "card",
        "pending True None None 0/1",
        "pending [] None",
        "sent Asked by Asks others",
        "pending ann",
        "in_progress Give ann 3 days off?\nShe asks.",
    ),
    "assigned": (
        "Waiting for boss, chef",
        "card; claim; delegate",
        "pending True None None 0/1",
        "pending ['boss', 'chef'] None",
        "sent Asked by ann",
        "pending Waiting for boss, chef",
        "in_progress Waiting for boss, chef",
    ),
    "mine": (
        "Claimed by boss",
        "card; delegate; release",
        "pending True boss None 0/1",
        "pending ['boss', 'chef'] boss",
        "sent Asked by ann",
        "pending Claimed by boss",
        "in_progress Claimed by boss",
    ),
    "taken": (
        "Claimed by chef",
        "Claimed by chef",
        "pending True chef None 0/1",
        "pending ['boss', 'chef'] chef",
        "settled",
        "pending Claimed by chef",
        "in_progress Claimed by chef",
    ),
    "voted": (
        "Waiting for boss, chef",
        "card; delegate; 1 of 2 votes",
        "pending True None None 1/2",
        "pending ['boss', 'chef'] None",
        "settled",
        "pending Waiting for boss, chef",
        "in_progress 1 have answered",
    ),
    "answered": (
        "yes by boss",
        "yes boss,",
        "answered False None None 1/1",
        "answered ['boss', 'chef'] None",
        "settled",
        "answered boss, chef yes boss",
        "complete boss has answered the question.",
    ),
    "expired": (
        "The time for an answer is over.",
        "The time for an answer is over.",
        "expired False None None 0/1",
        "expired ['boss', 'chef'] None",
        "settled",
        "expired boss, chef The time for an answer is over.",
        "complete The time for an answer is over.",
    ),
    "default": (
        "No answer in time: continued with “no”.",
        "No answer in time: continued with “no”.",
        "expired False None None 0/1",
        "expired ['boss', 'chef'] None",
        "settled",
        "expired boss, chef No answer in time: continued with “no”.",
        "complete The time for an answer is over.",
    ),
    "cancelled": (
        "Cancelled – the run no longer waits for it.",
        "Cancelled – the run no longer waits for it.",
        "cancelled False None None 0/1",
        "cancelled ['boss', 'chef'] None",
        "settled",
        "cancelled boss, chef Cancelled – the run no longer waits for it.",
        "complete The question was withdrawn.",
    ),
    "handed on": (
        "Claimed by chef boss : Your turn",
        "Claimed by chef boss : Your turn",
        "pending True chef {'by': 'boss', 'text': 'Your turn'} 0/1",
        "pending ['boss', 'chef'] chef",
        "settled",
        "pending Claimed by chef",
        "in_progress Claimed by chef",
    ),
}
TIME = re.compile(
    r"(\d{4}-\d\d-\d\d |\d+ [A-Z][a-z]{2}, )?\d\d:\d\d(:\d\d)?( UTC)?|in \d+\sminutes"
)
TITLE = "Give ann 3 days off?"


def words(html: str) -> str:
    """Return what stands on a piece of a page, without the question and times."""
    text = unescape(TIME.sub("", re.sub(r"<[^>]*>", " ", html)))
    return " ".join(text.replace(TITLE, "").replace("·", "").split())


def between(html: str, start: str, *ends: str) -> str:
    """Return what stands between two pieces of a page; empty where there is no beginning."""
    part = html.partition(start)[2]
    return part[: min((part.index(end) for end in ends if end in part), default=len(part))]


async def get(person: Person | str, path: str) -> str:
    name = person if isinstance(person, str) else person.username
    client = AsyncClient()
    await client.aforce_login(await users().aget(username=name))
    return str((await client.get(path)).content.decode())


async def transcript(scene: Scene) -> str:
    html = await get("ann", reverse("chat:conversation", args=["c"]))
    item = between(html, 'class="item question"', '<div class="body"', "</details>", "<button")
    return "card" if "<prompt-card" in item else words(item.partition(">")[2])


async def prompt_page(scene: Scene) -> str:
    html = await get(scene.reader, reverse("chat:prompt", args=[scene.prompt.pk]))
    page = between(html, "<main", "<section", "</main")
    changes = sorted(re.findall(r'name="change" value="(\w+)"', page))
    votes = re.findall(r"\d of \d votes", page)
    shown = "card" if "<prompt-card" in page else words(page.partition("She asks.")[2])
    return "; ".join((shown, *changes, *votes))


async def api(scene: Scene) -> str:
    path = reverse("chat:chat_api:prompt", args=[scene.prompt.pk])
    told = json.loads(await get(scene.reader, path))
    names = ("status", "may_answer", "assignee", "note")
    votes = f"{told['voted']}/{told['needed']}"
    return " ".join((*(str(told[name]) for name in names), votes))


async def hook(scene: Scene) -> str:
    rows = Interaction.objects.select_related("run", "assignee")
    row = await reads.read(rows.get, pk=scene.prompt.pk)
    Receiver.got.clear()
    await reads.read(webhook.post, row, "prompt.settled", "1", 0)
    told = json.loads(Receiver.got[-1][1])["data"]
    assert told["question"] == TITLE
    return " ".join(str(told[name]) for name in ("status", "to", "assignee"))


async def mailed(scene: Scene) -> str:
    outgoing.outbox.clear()
    send = partial(mail.send, scene.reader.id, timezone.now(), at_once=True)
    outcome = await reads.read(send)
    body = str(outgoing.outbox[-1].body) if outgoing.outbox else ""
    line = between(body, TITLE, "Answer by")
    return f"{outcome} {words(line)}".strip()


async def admin(scene: Scene) -> str:
    html = await get("root", reverse("admin:sessions_app_interaction_changelist"))
    row = words(between(html, "<tbody", "</tbody").partition(">")[2])
    return row.removesuffix(" go t_assigned")


async def peer(scene: Scene) -> str:
    def read() -> list[Any]:
        rows = Event.objects.filter(run=scene.prompt.run_id).order_by("sequence")
        types = Q(type__contains="assignment") | Q(type__contains="interaction")
        events = read_records(rows.filter(types))
        view = View("c", timezone.now())
        return [frame for event in events for frame in event_frames(event, view, PLAIN)]

    last = (await reads.read(read))[-1]
    content = last["content"]
    return f"{last['status']} {content.get('name') or content['text']}"


PLACES = (transcript, prompt_page, api, hook, mailed, admin, peer)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
async def test_each_place_tells_of_a_question_in_each_state(state: str, settings: Any) -> None:
    set_hitl(settings, MAIL="now")
    step, how = STATES[state]
    prompt = BinaryPrompt(
        text=f"{TITLE}\nShe asks.",
        options=["yes", "no"],
        timeout=3600,
        default="no" if state == "default" else None,
    )
    async with asking_people("boss", "chef", prompt=prompt, **how) as (hosting, row, [boss, chef]):
        await reads.read(User.objects.create_superuser, "root")
        await users().aupdate(email="a@example.org")
        reader = boss if how else hosting.person
        scene = Scene(hosting, row, boss, chef, reader)
        await step(scene)
        told = {place.__name__: await place(scene) for place in PLACES}
    assert told == dict(zip((place.__name__ for place in PLACES), TABLE[state], strict=True))
