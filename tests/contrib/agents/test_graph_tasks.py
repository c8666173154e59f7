"""Tasks of a graph that failed or were cut off: what they had written does not count as done."""

import asyncio
import time
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from sessions_app import runs
from sessions_app.contrib.agents.graph_checkpoints import DELTAS, GraphCheckpoints, Written
from sessions_app.contrib.agents.langgraph import langgraph_workflow
from sessions_app.contrib.agents.models import GraphCheckpoint, GraphWrite
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.contrib.testing.polling import until_true
from tests.contrib.agents.graph_nodes import Done, State
from tests.support.hosting import SentTo


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.clear()


def look(state: State) -> State:
    Done.effects.append("look")
    return {"notes": ["looked"]}


def approve(state: State) -> State:
    return {"notes": [f"approved: {interrupt('Pay?')}"]}


def host_graph(graph: Any, **options: Any) -> None:
    langgraph_workflow(
        graph,
        name="t_route",
        title="Route",
        build_input=lambda context, earlier: {"notes": []},
        **options,
    )


def host(route: Any) -> None:
    """Have `t_route` be a graph in which `route` leads from one node to an approval."""
    graph = StateGraph(State).add_sequence([look]).add_node(approve).add_edge(START, "look")
    graph.add_conditional_edges("look", route, ["approve"])
    host_graph(graph.compile(), answers=bool)


@pytest.mark.slow
@pytest.mark.parametrize("is_async", [True, False])
async def test_deployment_in_a_conditional_edge_ends_no_graph(
    host_workflow: NewHosting, *, is_async: bool
) -> None:
    def route(state: State) -> str:
        Done.effects.append("route")
        while not Done.gate.is_set():
            time.sleep(0.01)
        return "approve"

    async def route_async(state: State) -> str:
        Done.effects.append("route")
        await Done.gate.wait()
        return "approve"

    host(route_async if is_async else route)
    async with host_workflow("t_route") as hosting:
        run = await hosting.send("Go")
        await until_true(lambda: "route" in Done.effects)
        await hosting.stop()  # the drain of a process that gets SIGTERM
        Done.gate.set()
        await hosting.start()
        await run.answer(False)
        assert await run.result() == '{"notes":["looked","approved: False"]}'


async def test_conditional_edge_that_failed_once_is_executed_again(
    host_workflow: NewHosting,
) -> None:
    def route(state: State) -> str:
        Done.effects.append("route")
        if Done.effects.count("route") == 1:
            raise ConnectionError
        return "approve"

    host(route)
    async with host_workflow("t_route") as hosting:
        by = await get_user_model().objects.aget(pk=hosting.person.id)
        run = await hosting.send("Go")
        assert await run.status() == "failed"
        assert await runs.aresume(run.id, by=by)
        await run.answer(True)
        assert await run.result() == '{"notes":["looked","approved: True"]}'


@pytest.mark.slow
async def test_error_handler_of_a_node_asks(sent_to: SentTo) -> None:
    def handle(state: State) -> Any:
        return Command(update={"notes": [f"handled: {interrupt('Ignore it?')}"]}, goto="approve")

    graph = StateGraph(State).add_node("pay", fail, error_handler=handle).add_node(approve)
    host_graph(graph.add_edge(START, "pay").compile(), answers=bool)
    async with sent_to("t_route", "Go") as (hosting, run):
        for question in ("Ignore it?", "Pay?"):
            assert [one.text for one in await run.prompts()] == [question]
            await hosting.crash()
            await run.answer(False)
        assert await run.result() == '{"notes":["handled: False","approved: False"]}'
    assert Done.effects == ["fail"]


def fail(state: State) -> State:
    Done.effects.append("fail")
    raise ValueError


async def test_undeclared_question_of_an_error_handler_names_the_node(sent_to: SentTo) -> None:
    graph = StateGraph(State).add_node("pay", fail, error_handler=approve)
    host_graph(graph.add_edge(START, "pay").compile())
    async with sent_to("t_route", "Go") as (_, run):
        with pytest.raises(AssertionError, match="node 'pay' of the graph asks"):
            await run.result()


async def test_super_step_that_leads_to_the_same_checkpoint_fails_the_run(
    sent_to: SentTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = StateGraph(State).add_node("pay", fail, error_handler=approve)
    host_graph(graph.add_edge(START, "pay").compile())
    monkeypatch.setattr(Written, "interrupts_of_others", lambda *_: [])  # as of a later LangGraph
    async with sent_to("t_route", "Go") as (_, run):
        with pytest.raises(AssertionError, match=r"repeat it for ever\. Nodes .*: pay"):
            await run.result()


@pytest.mark.parametrize("everywhere", [False, True])
async def test_graph_keeps_its_last_checkpoints_only(
    host_workflow: NewHosting, *, everywhere: bool
) -> None:
    def count(state: State) -> State:
        number = len(state["notes"])
        return {"notes": [f"ok {interrupt('Go on?')}" if number == 10 else str(number)]}

    def route(state: State) -> str:
        return "count" if len(state["notes"]) < 40 else END

    graph = StateGraph(State).add_node(count).add_edge(START, "count")
    graph.add_conditional_edges("count", route, ["count", END])
    host_graph(graph.compile(), answers=bool)
    async with host_workflow("t_route", replay_everywhere=everywhere) as hosting:
        run = await hosting.send("Go")
        await run.answer("true")
        await run.result()
        rows = GraphCheckpoint.objects.filter(run_id=run.id)
        checkpoints = {row.checkpoint async for row in rows}
        written = {row.checkpoint async for row in GraphWrite.objects.filter(run_id=run.id)}
    assert len(checkpoints) == 3
    assert written <= checkpoints
    [last] = [row async for row in rows.order_by("-checkpoint")[:1]]
    state = GraphCheckpoints.serde.loads_typed((last.data_form, bytes(last.data)))
    assert len(state["channel_values"]["notes"]) == 40


@pytest.mark.parametrize(("metadata", "left"), [({}, 2), ({DELTAS: {"notes": (1, 1)}}, 5)])
async def test_checkpoints_that_later_ones_need_are_kept(
    host_workflow: NewHosting, metadata: Any, left: int
) -> None:
    async def write(work: Any) -> None:
        await asyncio.to_thread(work, None)

    host(lambda state: "approve")
    async with host_workflow("t_route") as hosting:
        run = await hosting.send("Go")
        await run.rest()
        checkpoints = GraphCheckpoints(write, kept=2)
        config: Any = {"configurable": {"thread_id": str(run.id), "checkpoint_ns": "other"}}
        for number in range(5):
            checkpoint = empty_checkpoint()
            checkpoint["id"] = str(number)
            await checkpoints.aput(config, checkpoint, metadata, {})
        kept = GraphCheckpoint.objects.filter(run_id=run.id, namespace="other")
        assert await kept.acount() == left
