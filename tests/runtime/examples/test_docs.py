"""Tests that the code in the documents runs."""

import inspect
import re
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User

from natproject.settings.env import ROOT
from sessions_app import runs
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.prompts import base
from sessions_app.workflows import registry
from tests.support.hosting import Hosting, make_members, make_user, running


def blocks(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)


def load(code: str) -> dict[str, Any]:
    """Execute the block as a separate module, with the workflows that it declares."""
    module = sys.modules["in_a_document"] = ModuleType("in_a_document")
    exec(compile(code, "document", "exec"), module.__dict__)  # noqa: S102 - our own documents
    return module.__dict__


PAGES = ("writing-workflows", "prompts", "steps", "replay", "nat")
# Code of this page: a workflow, its test, and an agent that uses an MCP server.
AGENT, AGENT_TEST, MCP_AGENT = blocks("docs/agents.md")
CODE = blocks("README.md") + [code for page in PAGES for code in blocks(f"docs/{page}.md")]
CODE.append(AGENT)


@pytest.fixture(autouse=True)
def _declared_for_this_test_only(monkeypatch: pytest.MonkeyPatch) -> Any:
    known = dict(registry._declared)
    monkeypatch.setattr(base, "_types", dict(base._types))
    yield
    registry._declared.clear()
    registry._declared.update(known)


@pytest.fixture
def boss(transactional_db: None) -> User:
    """Create the user `boss`, as docs/testing-workflows.md does."""
    boss: User = make_members("managers", "boss")[0]
    return boss


def load_named(name: str) -> dict[str, Any]:
    (code,) = [code for code in CODE if f'name="{name}"' in code]
    return load(code)


@pytest.mark.parametrize("code", CODE, ids=lambda code: code.split('name="')[1].split('"')[0])
def test_every_block_declares_a_workflow(code: str) -> None:
    known = set(registry.declared_workflows())
    load(code)
    assert set(registry.declared_workflows()) - known


PARTY: dict[str, Answer] = {
    "Whose": "Eve",
    "shall": ["pizza", "salad"],
    "Order": "order",
    "kitchen": "ok",
}
OFF: dict[str, Answer] = {
    "When": {"first": date(2026, 11, 23), "days": 2},
    "Send": {"to": "all@example.org", "subject": "Off from 2026-11-23", "body": "For 2 days."},
}


@pytest.mark.parametrize(
    ("name", "text", "answers", "output"),
    [
        ("vacation", "I want 3 days off", {"Give ann": "yes"}, r"\*\*3 days\*\*.*Enjoy it!"),
        ("shout", "hello", {}, "HELLO"),
        ("party", "go", PARTY, r"pizza, salad ordered by ann at \d\d:\d\d\."),
        ("time_off", "go", OFF, r"Sent to all@example.org; changed by ann: \['to'\]"),
        ("quote", "no page", {}, r"cannot be read \(ValueError\)"),
        ("seats", "A1 B2", {"Buy A1": "yes", "Buy B2": "no"}, "A1 is booked, B2 is not booked"),
        ("greet", "hi", {}, "Hello, ann!"),
        ("join", "editors", {"Join nobody": "join"}, "one of 1 in editors"),
    ],
)
async def test_each_example_of_the_documents_runs_as_documented(
    host_workflow: NewHosting,
    boss: User,
    name: str,
    text: str,
    answers: dict[str, Answer],
    output: str,
) -> None:
    load_named(name)
    async with host_workflow(name) as hosting:
        assert re.search(output, await hosting.converse(text, answers, by=boss), re.S)


TESTS = [*blocks("docs/testing-workflows.md"), AGENT_TEST]


@pytest.mark.parametrize("code", TESTS, ids=lambda code: code.split("test_")[1].split("(")[0])
async def test_the_tests_in_the_document_pass(
    code: str, host_workflow: NewHosting, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    load_named("vacation")
    load_named("orders")
    [test] = [value for name, value in load(code).items() if name.startswith("test_")]
    fixtures = {"host_workflow": host_workflow, "boss": boss}
    await test(**{name: fixtures[name] for name in inspect.signature(test).parameters})


EDITED: Answer = {"decision": "approve", "arguments": {"order": 17, "euro": 20}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "name", "answer", "expected_output"),
    [
        ("pydantic-ai", "shop", "approve", "Done: 40 € for order 17 are paid back."),
        ("langgraph", "refunds", EDITED, "20 € are paid back."),
    ],
)
async def test_agent_in_the_document_is_hosted(
    host_workflow: NewHosting, page: str, name: str, answer: Answer, expected_output: str
) -> None:
    load("\n".join(blocks(f"docs/{page}.md")))
    async with host_workflow(name) as hosting:
        output = await hosting.converse("Pay order 17 back", {"Refund 17": answer})
    assert output == expected_output


@pytest.mark.slow
async def test_agent_with_tools_of_an_mcp_server_in_the_document_is_hosted(
    host_workflow: NewHosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent)  # the folder contains shop_server.py
    load(MCP_AGENT)
    async with host_workflow("shop_helper") as hosting:
        output = await hosting.converse("Pay Eve back", {"Shop refund 17": "approve"})
    assert output == "It is paid back."


async def test_the_test_of_hello_in_the_document_passes() -> None:
    await load_named("hello")["test_hello"]()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, for links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_links_between_documents_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for name, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", path.read_text()):
            target = path.parent / name if name else path
            assert target.exists(), f"{path.name}: {name}"
            assert not anchor or anchor in anchors(target), f"{path.name}: {name}#{anchor}"


@pytest.mark.django_db(transaction=True)
async def test_a_payment_is_waited_for_as_the_document_says() -> None:
    load_named("shop")
    async with running("shop", "a book") as (_, run):
        await runs.asend(run, "payment", {"eur": 20}, id="payment-17")
        assert "20 € have come" in (await runs.aresult(run, timeout=30)).text


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
async def test_a_purchase_takes_two_approvals() -> None:
    load_named("purchase")
    async with Hosting("purchase", beside=("approval",), park_after=0) as hosting:
        run = await hosting.send("a chair")
        await run.answer_all({"Manager: buy a chair?": True, "Finance": True})
        assert await run.result() == "It is bought."


async def test_leave_that_is_asked_for_from_django_is_asked_for_once(boss: User) -> None:
    load_named("vacation")
    names: dict[str, Any] = {}
    for code in blocks("docs/from-django.md"):
        names |= load(code)
    async with Hosting("vacation") as hosting:
        ann = await hosting.in_thread(make_user, "ann")
        run_ids = [
            await hosting.in_thread(names["ask_for_leave"], ann, 3, request_number=7)
            for _ in range(2)
        ]
        assert len(set(run_ids)) == 1
        await hosting.prompts(run_ids[0])
        assert await hosting.in_thread(names["approve_all"], run_ids[0], by=boss) == ["accepted"]
        assert "Enjoy it!" in (await runs.aresult(run_ids[0], timeout=30)).text
