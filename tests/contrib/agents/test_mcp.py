"""Tools of MCP servers in an agent: a real server process for each connection."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from mcp import StdioServerParameters

from sessions_app.contrib.agents.approvals import UNKNOWN
from sessions_app.contrib.agents.mcp import BEGINS_ANEW, GIVEN_UP, McpServer
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.errors import Invalid
from sessions_app.storage import reads
from sessions_app.workflows import group
from tests.contrib.agents import own_agent
from tests.contrib.agents.mcp_process import command, serving, url_of
from tests.contrib.agents.own_agent import Hosted, results
from tests.support.hosting import SentTo, make_members
from tests.support.server import free_port

NOBODY = Policy(approval=False)
OTHER_SERVERS = pytest.mark.beyond("MCP servers of the older protocol, or repeatable, ask again")
Host = Callable[..., None]
Done = Callable[[], list[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Serve: the URL, and the file to which the server appends what it does."""
    log, port = tmp_path_factory.mktemp("mcp") / "log", free_port()
    with serving(log, port):
        yield url_of(port), log


@pytest.fixture
def done(server: tuple[str, Path]) -> Done:
    """Return what tells what the server has done in this test."""
    log = server[1]
    log.write_text("")
    return lambda: log.read_text().splitlines()


@pytest.fixture
def host(server: tuple[str, Path]) -> Host:
    """Have the next run be an agent's with the tools of the server."""

    def set_up(model: ScriptedModel, target: Any = None, **options: Any) -> None:
        own_agent.host(
            model, McpServer("sky", target or server[0], **options), instructions="Help."
        )

    return set_up


@pytest.fixture(params=["legacy", "auto"])
def mode(request: pytest.FixtureRequest) -> str:
    """Return the era of the protocol: of 2025, and of 2026."""
    return str(request.param)


async def test_tool_that_only_reads_is_called_once_where_the_server_is_trusted(
    sent_to: SentTo, host: Host, done: Done, mode: str
) -> None:
    model = ScriptedModel([tool_call("sky_forecast", town="Oslo")], "Take a coat.")
    host(model, mode=mode, trusted=True)
    async with sent_to("t_agent", "What do I pack?", replay_everywhere=True) as (_, run):
        assert await run.result() == "Take a coat."
        assert await run.shown() == ["Sky forecast Oslo"]
    assert done() == ["forecast Oslo"]
    assert results() == ["It rains in Oslo."]


@pytest.mark.parametrize(
    ("options", "tool"),
    [
        ({}, "forecast"),
        ({"trusted": True}, "forget"),
        ({"trusted": True}, "look"),
        ({"trusted": True, "approvals": {"forecast": Policy()}}, "forecast"),
    ],
)
async def test_other_tools_ask_the_owner(
    sent_to: SentTo, host: Host, done: Done, options: dict[str, Any], tool: str
) -> None:
    arguments = {} if tool == "look" else {"town": "Oslo"}
    model = ScriptedModel([tool_call(f"sky_{tool}", **arguments)], "Then not.")
    host(model, **options)
    async with sent_to("t_agent", "Go") as (_, run):
        await run.answer({"decision": "reject", "note": "No."}, to=f"Sky {tool}")
        assert await run.result() == "Then not."
    assert done() == []


async def test_tool_of_a_server_stands_behind_one_of_its_name(
    host_workflow: NewHosting, server: tuple[str, Path], done: Done
) -> None:
    def sky_forecast(town: str) -> str:
        """Say what the weather will be."""
        return "It snows."

    sky = McpServer("sky", server[0])
    model = ScriptedModel([tool_call("sky_forecast", town="Oslo")], "Take a coat.")
    own_agent.host(model, sky_forecast, sky, sky)
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("What do I pack?") == "Take a coat."
    assert (results(), done()) == (["It snows."], [])


async def test_question_of_a_server_that_is_cut_says_so(sent_to: SentTo, host: Host) -> None:
    host(ScriptedModel([tool_call("sky_book", town="a" * 5_000)], "Then not."), approvals=NOBODY)
    async with sent_to("t_agent", "Go") as (_, run):
        [form] = await run.prompts()
        assert "aa\n… and 1,013 characters more, which are left out." in form.text


@pytest.mark.slow
async def test_policy_by_name_survives_crashes(sent_to: SentTo, host: Host, done: Done) -> None:
    model = ScriptedModel(
        [tool_call("sky_refund", order=17), tool_call("sky_forecast", town="Rome")], "Ready."
    )
    approvals = {"refund": Policy(group("support"), edit=True), "forecast": Policy(approval=False)}
    host(model, approvals=approvals)
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_agent", "Go") as (hosting, run):
        [prompt] = await run.prompts()
        assert prompt.text == "May I do this: Sky refund 17?"
        assert prompt.model_dump()["arguments"] == {"order": 17, "euro": 500}
        await hosting.crash()
        edited: Any = {"decision": "approve", "arguments": {"order": 17, "euro": 40}}
        await run.answer(edited, by=sue)
        assert await run.result() == "Ready."
    assert sorted(done()) == ["forecast Rome", 'refund {"order": 17, "euro": 40}']
    [paid, rains] = results()
    made = 'It was made with {"order":17,"euro":40}.'
    assert paid == f"paid\n\nThe person who allowed it changed the call. {made}"
    assert rains == "It rains in Rome."


@pytest.mark.slow
async def test_failures_and_pictures_become_words(
    host_workflow: NewHosting, host: Host, done: Done
) -> None:
    calls = [
        tool_call("sky_fail_loudly", code="aaa"),
        tool_call("sky_look"),
        tool_call("sky_forecast", town="\0"),
    ]
    host(ScriptedModel(calls, "Sorry."), approvals=NOBODY)
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Go") == "Sorry."
    assert results() == [
        "It failed: Error executing tool fail.loudly",
        "Clouds.\n[image, image/png, which cannot be shown]",
        "It rains in \ufffd.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "options"),
    [(tool_call("sky_die"), {}), (tool_call("sky_sleep", seconds=60), {"timeout": 2})],
    ids=["dies", "slow"],
)
async def test_call_that_does_not_come_to_its_end_has_an_unknown_outcome(
    host_workflow: NewHosting, host: Host, tmp_path: Path, call: Any, options: dict[str, Any]
) -> None:
    host(ScriptedModel([call], "Sorry."), command(tmp_path / "log"), approvals=NOBODY, **options)
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Sorry."
    assert results() == [UNKNOWN]
    assert (tmp_path / "log").read_text() == f"{call.name.removeprefix('sky_')}\n"


@pytest.mark.slow
async def test_question_of_a_server_is_a_form_and_survives_crashes(
    sent_to: SentTo, host: Host, done: Done, mode: str
) -> None:
    host(ScriptedModel([tool_call("sky_book", town="Rome")], "Have a good time."), mode=mode)
    async with sent_to("t_agent", "Book it") as (hosting, run):
        await run.answer("approve")
        form: Any
        [form] = await run.prompts()
        assert form.text.startswith("sky asks:\nWho goes to Rome?")
        assert (BEGINS_ANEW in form.text) == (mode == "legacy")
        assert [one.name for one in form.fields] == ["name", "window"]
        await hosting.crash()
        for refused in ({"name": "A"}, {"window": True}):
            with pytest.raises(Invalid, match="Name"):
                await run.answer(refused)
        await run.answer({"name": "Ada", "window": True})
        assert await run.result() == "Have a good time."
    assert results() == ["Ada goes to Rome, at the window."]
    assert [one for one in done() if one.startswith("book")] == ["book Rome Ada"]


async def test_question_that_is_asked_twice_has_both_answers(sent_to: SentTo, host: Host) -> None:
    model = ScriptedModel([tool_call("sky_pair", town="Rome")], "Good.")
    host(model, mode="legacy", approvals=NOBODY)  # the other era asks both at once
    async with sent_to("t_agent", "Book it") as (_, run):
        await run.answer({"name": "Ada"})
        await run.answer({"name": "Bob"})
        assert await run.result() == "Good."
    assert results() == ["Ada and Bob"]


@pytest.mark.slow
@pytest.mark.parametrize("repeatable", [(), pytest.param(("book",), marks=OTHER_SERVERS)])
async def test_server_that_has_forgotten_what_it_asked_is_called_anew(
    sent_to: SentTo, host: Host, tmp_path: Path, repeatable: tuple[str, ...]
) -> None:
    log, port = tmp_path / "log", free_port()
    model = ScriptedModel([tool_call("sky_book", town="Rome")], "Have a good time.")
    host(model, url_of(port), approvals=NOBODY, repeatable=repeatable)
    with ExitStack() as first:
        await asyncio.to_thread(first.enter_context, serving(log, port))
        async with sent_to("t_agent", "Book it") as (_, run):
            assert len(await run.prompts()) == 1
            await asyncio.to_thread(first.close)
            with ExitStack() as second:
                await asyncio.to_thread(second.enter_context, serving(log, port))
                await run.answer({"name": "Ada"})
                if not repeatable:
                    await run.answer("again", to="Was this done: Sky book Rome?")
                assert await run.result() == "Have a good time."
    assert results() == ["Ada goes to Rome, anywhere."]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [pytest.param("legacy", marks=OTHER_SERVERS), "auto"])
async def test_command_is_told_the_answers_when_it_is_started_again(
    host_workflow: NewHosting, host: Host, tmp_path: Path, mode: str
) -> None:
    model = ScriptedModel([tool_call("sky_book", town="Rome")], "Have a good time.")
    host(model, command(tmp_path / "log"), approvals=NOBODY, mode=mode)
    async with host_workflow("t_agent") as hosting:
        output = await hosting.converse("Book it", {BEGINS_ANEW: {"name": "Ada"}})
    assert output == "Have a good time."
    assert results() == ["Ada goes to Rome, anywhere."]


@pytest.mark.parametrize("repeatable", [(), ("book",)])
async def test_server_is_told_of_a_person_who_declines(
    host_workflow: NewHosting, host: Host, done: Done, mode: str, repeatable: tuple[str, ...]
) -> None:
    call = tool_call("sky_book", town="Rome")
    host(ScriptedModel([call], "Then not."), mode=mode, approvals=NOBODY, repeatable=repeatable)
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Book it", {"Who goes": "reject"}) == "Then not."
    # Only to tell it so, a call that was cut off is not begun again, unless it does no harm.
    is_told = mode == "auto" or repeatable
    assert results() == ["Nothing is booked: decline." if is_told else GIVEN_UP]
    assert "book Rome Ada" not in done()


@pytest.mark.slow
async def test_question_goes_to_whom_the_policy_names(
    sent_to: SentTo, host: Host, done: Done, mode: str
) -> None:
    approvals = Policy(group("support"), timeout=3600)
    host(ScriptedModel([tool_call("sky_book", town="Rome")], "x"), mode=mode, approvals=approvals)
    [sue] = await reads.read(make_members, "support", "sue")
    async with sent_to("t_agent", "Book it") as (_, run):
        await run.answer("approve", by=sue)
        form: Any
        [form] = await run.prompts()
        assert form.timeout == 3600
        with pytest.raises(AssertionError, match="is for support"):
            await run.answer({"name": "Ann"})
        await run.answer({"name": "Sue"}, by=sue)
        assert await run.result() == "x"
    assert results() == ["Sue goes to Rome, anywhere."]


@pytest.mark.parametrize(("answer", "calls"), [("done", ["pay", "pay"]), ("declined", ["pay"])])
async def test_page_is_visited_before_a_refused_call_is_made_again(
    sent_to: SentTo, host: Host, done: Done, answer: str, calls: list[str]
) -> None:
    host(ScriptedModel([tool_call("sky_pay")], "Over."), mode="legacy", approvals=NOBODY)
    async with sent_to("t_agent", "Pay", replay_everywhere=True) as (_, run):
        link: Any
        [link] = await run.prompts()
        assert (link.text, link.url) == (
            "sky asks:\nSign in at the bank.",
            "https://bank.example/in?x=1",
        )
        await run.answer(answer)
        assert await run.result() == "Over."
    assert done() == calls


async def test_other_requests_of_a_server_are_refused(
    host_workflow: NewHosting, host: Host, done: Done, mode: str
) -> None:
    host(ScriptedModel([tool_call("sky_guess")], "x"), mode=mode, approvals=NOBODY)
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Guess") == "x"
    [result] = results()
    assert "Guessed" not in result


@pytest.mark.slow
async def test_model_is_told_of_a_server_that_is_away(
    host_workflow: NewHosting, host: Host
) -> None:
    host(ScriptedModel("I cannot see the sky."), StdioServerParameters(command="/nonexistent"))
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Go") == "I cannot see the sky."
    system = Hosted.model.requests[-1][0]["content"]
    assert system == "Help.\n\nThe tools of sky cannot be used at the moment."


def test_name_that_a_tool_cannot_begin_with_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'my sky'"):
        McpServer("my sky", "http://127.0.0.1:1/mcp")


@pytest.mark.parametrize("installed", ["none", "1.28.0", "3.0.0"])
def test_package_that_is_missing_or_does_not_fit_gets_a_sentence(
    monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    monkeypatch.delitem(sys.modules, "sessions_app.contrib.agents.mcp")
    if installed == "none":
        monkeypatch.setitem(sys.modules, "mcp", None)
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda _name: installed)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'django-durable-hitl\[mcp\]'"):
        import_module("sessions_app.contrib.agents.mcp")
