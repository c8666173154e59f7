"""The project's files in addition to those of `startproject`, as in docs/install.md."""

APPLICATIONS = """
INSTALLED_APPS = [
    "daphne",
    *INSTALLED_APPS,
    "sessions_app",
    "sessions_app.contrib.operations",
    "chat_app",
    "desk",
]
ASGI_APPLICATION = "host.asgi.application"
"""
# Settings that docs/testing-workflows.md tells projects to add.
TEST_DATABASE = """
DATABASES["default"]["TEST"] = {"NAME": BASE_DIR / "test.sqlite3"}
"""
PYTEST = """
[pytest]
DJANGO_SETTINGS_MODULE = host.settings
asyncio_mode = auto
replay_histories = histories
"""
# Settings that a project may have of its own.
OWN = """
LOGIN_URL = "login"
AUTH_USER_MODEL = "desk.Employee"
TEMPLATES[0]["DIRS"] = [BASE_DIR / "templates"]
"""
CLUSTER = """
import os
from sessions_app.storage.databases import postgresql

INSTALLED_APPS.insert(INSTALLED_APPS.index("sessions_app"), "procrastinate.contrib.django")
DATABASES = {"default": postgresql(os.environ["DATABASE_URL"])}
HITL = {"REDIS_URL": os.environ["REDIS_URL"]}
"""
# Settings that a test passes in the environment; the applications need none of them.
CHOSEN = """
import json, os
if "HITL" in os.environ:
    HITL = {**globals().get("HITL", {}), **json.loads(os.environ["HITL"])}
"""
# Settings in which a project forgot a part of the installation, to check what it is told then.
BARE = """
from host.settings import *

INSTALLED_APPS.remove("daphne")
ASGI_APPLICATION = "host.bare_asgi.application"
"""
BARE_ASGI = """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""
WITHOUT_DAPHNE = """
import os, sys
sys.modules.update(dict.fromkeys(("daphne", "twisted", "autobahn")))  # as if not installed
os.environ["DJANGO_SETTINGS_MODULE"] = "host.bare"
import host.asgi
from django.test import Client
assert Client().get("/assistant/c/", headers={"host": "localhost"}).status_code == 302
"""
URLS = """
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include

urlpatterns += [path("assistant/", include("chat_app.urls"))]
urlpatterns += staticfiles_urlpatterns()  # while DEBUG is on
"""
ASGI = """
from chat_app.asgi import with_chat

application = with_chat(application)
"""
OWN_URLS = """
urlpatterns += [path("door/", include("django.contrib.auth.urls"))]
"""
# A user model without `username`, without a column `is_active`, and without the admin's attributes.
MODELS = """
import uuid
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Employee(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    people = BaseUserManager()
    USERNAME_FIELD = "email"
"""
WORKFLOWS = """
from sessions_app.workflows import Context, Message, TextPrompt, workflow


@workflow(name="greeting", title="Greeting")
async def greeting(message: Message, context: Context):
    answer = await context.ask(TextPrompt(text="What is your name?"))
    yield f"Hello, {answer.value}, {context.user.username}!"
"""
# Code for a type checker. An error must be reported exactly at the lines that announce one.
TYPED = """
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import assert_type

from pydantic import BaseModel

from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.workflows import (
    CheckboxPrompt,
    Context,
    FormPrompt,
    FormResponse,
    Message,
    Option,
    Retry,
    TextPrompt,
    workflow,
)


@dataclass
class Order:
    number: int


class Details(BaseModel):
    name: str


def find(text: str) -> Order | None:
    return None


async def book(order: Order, *, twice: bool) -> str:
    return "booked"


async def tokens(text: str) -> AsyncIterator[str]:
    yield text


@workflow(name="typed", title="Typed")
async def typed(message: Message, context: Context) -> AsyncIterator[str]:
    assert_type((await context.ask(TextPrompt(text="Name?"))).value, str)
    options = [Option(id="a", label="A", value="a")]
    chosen = await context.ask(CheckboxPrompt(text="Which?", options=options))
    assert_type(chosen.value, str)
    form = await context.ask(FormPrompt(text="Who?", form=Details))
    assert_type(form, FormResponse[Details])
    assert_type(form.value, Details)
    order = await context.step(find, message.text, title="Find", retry=Retry())
    assert_type(order, Order | None)
    assert_type(await context.step(book, Order(1), twice=False), str)
    assert_type(await context.transactional_step(find, "1"), Order | None)
    async for piece in context.stream(tokens, "1"):
        assert_type(piece, str)
    yield context.user.username


@workflow(name="returns", title="Returns")
async def returns(message: Message, context: Context) -> str:
    return message.text


async def test_typed(host_workflow: NewHosting) -> None:
    async with host_workflow("typed") as hosting:
        run = await hosting.send("Good morning")
        assert_type([prompt.text for prompt in await run.prompts()], list[str])
        assert_type(await run.result(), str)


@workflow(name="mistaken", title="Mistaken")
async def mistaken(message: Message, context: Context) -> str:
    answer = await context.ask(TextPrompt(txt="Name?"))  # error: call-arg
    number: int = answer.value  # error: assignment
    await context.ask("Name?")  # error: arg-type
    context.sleep(1)  # error: unused-coroutine
    message.body  # error: attr-defined
    return message.text


@workflow(name="alone", title="Alone")  # error: type-var
async def alone(message: Message) -> str:
    return message.text


@workflow(name="plain", title="Plain")  # error: type-var
def plain(message: Message, context: Context) -> str:
    return message.text
"""
TESTS = """
from pathlib import Path

from desk.models import Employee
from sessions_app.contrib.testing.hosting import NewHosting


async def test_greeting(host_workflow: NewHosting) -> None:
    eve = await Employee.people.acreate(email="eve@host.example")
    async with host_workflow("greeting", user=eve) as hosting:
        run = await hosting.send("Good morning")
        await run.record(Path("histories/greeting.json"))
        await hosting.crash()
        await run.answer("Eve")
        assert await run.result() == "Hello, Eve, eve@host.example!"
"""
LOGIN = """
<!DOCTYPE html>
<link rel="icon" href="data:,">
<form method="post">{% csrf_token %}{{ form }}<button>Come in</button></form>
"""
HELP = """<div id="help" popover>Ask the front desk.</div>"""
BASE = """
<!DOCTYPE html>
<html lang="en">
  <head>
    <title>{% block title %}{% endblock %}</title>
    <link rel="icon" href="data:,">
    {% block head %}{% endblock %}
  </head>
  <body {% block body_attributes %}{% endblock %}>
    {% block body %}{% endblock %}
    <footer>Host Limited</footer>
  </body>
</html>
"""
FILES = {
    "desk/__init__.py": "",
    "desk/migrations/__init__.py": "",
    "desk/models.py": MODELS,
    "desk/workflows.py": WORKFLOWS,
    "desk/tests.py": TESTS,
    "typed.py": TYPED,
    "host/bare.py": BARE,
    "host/bare_asgi.py": BARE_ASGI,
    "histories/.gitkeep": "",
    "pytest.ini": PYTEST,
    "templates/registration/login.html": LOGIN,
    "templates/chat_app/parts/help.html": HELP,
    "templates/host.html": BASE,
}
# Makes migrations, migrates and creates a user, in one process because each start takes long.
SET_UP = """
import os, django
from django.core.management import call_command
os.environ["DJANGO_SETTINGS_MODULE"] = "host.settings"
django.setup()
call_command("makemigrations", "desk")
call_command("migrate")
from desk.models import Employee
ann = Employee(email="ann@host.example")
ann.set_password("secret")
ann.save()
"""
# Program that fails if an assertion fails. It gives the user the attributes that the admin needs.
ANSWER_AND_LOOK = """
from uuid import uuid4
from django.test import Client
from django.test.utils import setup_test_environment
from django.utils import timezone
from desk.models import Employee
from asgiref.sync import async_to_sync
from sessions_app.interactions.answers import IncomingAnswer, answer
from sessions_app.models import Conversation, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.prompts import TextAnswer
from sessions_app.storage.writer import writer

now = timezone.now()
ann = Employee.people.get(email="ann@host.example")
conversation = Conversation.objects.create(
    owner=ann, conversation_id=str(uuid4()), workflow="greeting", created_at=now, updated_at=now
)
run = Run.objects.create(
    conversation=conversation, key="k", message_id="m", status="completed", created_at=now
)
prompt = {"input_type": "text", "text": "Name?", "required": True}
asked = Interaction.objects.create(
    run=run, conversation=conversation, position=1, sequence=1, prompt=prompt, created_at=now
)
given = IncomingAnswer("a1", "test", TextAnswer("Ann"), interaction=str(asked.id))
for outcome in ("accepted", "duplicate"):
    settled = async_to_sync(answer)(by=Person.of(ann), conversation_id=None, answer=given)
    assert settled.outcome == outcome, (outcome, settled)
writer.stop()

Employee.is_staff = Employee.is_superuser = True
Employee.has_perm = Employee.has_module_perms = lambda *_: True
setup_test_environment()
client = Client()
client.force_login(ann)
assert "sessions_app/css/operations.css" in client.get("/admin/").content.decode()
for path in (
    "sessions_app/conversation/?q=ann@host.example", "sessions_app/run/?q=ann@host.example&o=4",
    "sessions_app/interaction/?q=ann@host.example",
    "chat_app/apikey/?q=ann", "chat_app/apikey/add/",
):
    response = client.get(f"/admin/{path}")
    assert response.status_code == 200, (path, response.status_code)
    assert "@host" not in path or response.context["cl"].result_list, path
"""
