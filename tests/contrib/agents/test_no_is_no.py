"""Answers that mean no, in each way to host: whatever is declared, nothing is paid."""

from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any, Literal, TypedDict

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import tool as chain_tool
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from pydantic_ai import Agent as PydanticAgent
from pydantic_ai import ApprovalRequired, ModelMessage, RunContext
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from sessions_app import runs
from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.langgraph import HostedGraph, langgraph_workflow
from sessions_app.contrib.agents.pydantic_ai import pydantic_ai_workflow
from sessions_app.contrib.agents.scripted_model import ScriptedModel, tool_call
from sessions_app.contrib.agents.tools import Policy, tool
from sessions_app.contrib.testing.hosted_run import Answer
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.errors import Invalid
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    FormPrompt,
    Message,
    Option,
    Prompt,
    RadioPrompt,
    TextPrompt,
    workflow,
)
from tests.contrib.agents.graph_nodes import Done, State, model
from tests.support.hosting import SentTo
from tests.support.refusals import NO

YES_OR_NO = [Option(value=True, label="Pay"), Option(value=False, label="Cancel")]
PAY = {"type": "object", "properties": {"pay": {"type": "boolean"}}, "required": ["pay"]}


class Pay(TypedDict):
    """An object that says whether to pay."""

    pay: bool


def pay() -> str:
    """Pay the bill."""
    Done.effects.append("paid")
    return "paid"


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    Done.clear()


def host_own(prompt: Prompt[Any], is_yes: Callable[[Any], Any]) -> str:
    @workflow(name="t_no_own", title="Own")
    async def own(message: Message, context: Context) -> str:
        answer = await context.ask(prompt)
        return await context.step(pay) if is_yes(answer) else "cancelled"

    return "t_no_own"


def host_agent(needs: dict[str, Any]) -> str:
    script = ScriptedModel([tool_call("pay")], "The end.")
    agent = Agent(tools=[tool(pay).needs(**needs)])

    @workflow(name="t_no_agent", title="Agent")
    async def answer(message: Message, context: Context) -> str:
        return await agent.run(context, script)

    return "t_no_agent"


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | DeltaToolCalls]:
    """Call `pay` once."""
    if any(part.part_kind == "tool-return" for message in messages for part in message.parts):
        yield "The end."
    else:
        yield {0: DeltaToolCall("pay", "{}", tool_call_id="p")}


def host_pydantic(approvals: Policy | None) -> str:
    agent = PydanticAgent(FunctionModel(stream_function=say), name="t_no")
    if approvals is None:

        @agent.tool(name="pay")
        def pay_if_approved(context: RunContext[Any]) -> str:
            if not context.tool_call_approved:
                raise ApprovalRequired
            return pay()

    else:
        agent.tool_plain(requires_approval=True)(pay)
    options: dict[str, Any] = {} if approvals is None else {"approvals": approvals}
    pydantic_ai_workflow(agent, name="t_no_pydantic", title="Pydantic AI", **options)
    return "t_no_pydantic"


def approving_graph(is_yes: Callable[[Any], Any]) -> Any:
    def approve(state: State) -> Any:
        return Command(goto="pay" if is_yes(interrupt({"question": "Pay 400?"})) else "cancel")

    def pay_node(state: State) -> State:
        return {"notes": [pay()]}

    graph = StateGraph(State)
    graph.add_node("approve", approve, destinations=("pay", "cancel"))
    graph.add_node("pay", pay_node)
    graph.add_node("cancel", lambda state: {"notes": ["cancelled"]})
    return graph.add_edge(START, "approve").compile()


def nothing(context: Context, earlier: list[Any]) -> State:
    return {"notes": []}


def host_graph(answers: Any, is_yes: Callable[[Any], Any]) -> str:
    langgraph_workflow(
        approving_graph(is_yes),
        name="t_no_graph",
        title="Graph",
        build_input=nothing,
        answers=answers,
    )
    return "t_no_graph"


CELLS: dict[str, Callable[[], str]] = {
    "own, yes or no": lambda: host_own(
        BinaryPrompt(text="Pay?", options=YES_OR_NO), lambda answer: answer.value
    ),
    "own, choice": lambda: host_own(
        RadioPrompt(text="Pay?", options=["pay", "cancel"]), lambda answer: answer.value == "pay"
    ),
    "own, object": lambda: host_own(
        FormPrompt(PAY, text="Pay?"), lambda answer: answer.value["pay"]
    ),
    "own, text": lambda: host_own(TextPrompt(text="Type PAY"), lambda answer: answer.text == "PAY"),
    "own, undeclared": lambda: host_own(TextPrompt(text="Pay?"), bool),
    "agent, yes or no": lambda: host_agent({"approval": True}),
    "agent, choice": lambda: host_agent({"approval": True, "answer": True}),
    "agent, object": lambda: host_agent({"approval": True, "edit": True}),
    "agent, text": lambda: host_agent({"approval": True, "answer": True, "edit": True}),
    "agent, undeclared": lambda: host_agent({"approval": lambda arguments, owner: None}),
    "Pydantic AI, yes or no": lambda: host_pydantic(Policy()),
    "Pydantic AI, choice": lambda: host_pydantic(Policy(answer=True)),
    "Pydantic AI, object": lambda: host_pydantic(Policy(edit=True)),
    "Pydantic AI, text": lambda: host_pydantic(Policy(answer=True, edit=True)),
    "Pydantic AI, undeclared": lambda: host_pydantic(None),
    "LangGraph, yes or no": lambda: host_graph(bool, bool),
    "LangGraph, choice": lambda: host_graph(Literal["pay", "cancel"], lambda one: one == "pay"),
    "LangGraph, object": lambda: host_graph(Pay, lambda one: one["pay"]),
    "LangGraph, text": lambda: host_graph({"approve": str}, lambda one: one == "PAY"),
    "LangGraph, undeclared": lambda: host_graph(None, bool),
}
REFUSING = {"own, undeclared": "failed", "LangGraph, undeclared": "suspended"}


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
async def test_answer_that_means_no_does_not_pay(cell: str, host_workflow: NewHosting) -> None:
    async with host_workflow(CELLS[cell]()) as hosting:
        run = None
        for number, answer in enumerate(NO):
            run = run or await hosting.send("Go", conversation=f"c{number}")
            if await run.status() == "waiting":
                try:
                    await run.answer(answer)
                except Invalid:
                    assert await run.status() == "waiting", answer
                    continue  # the next answer is for the same question
            assert await run.status() == REFUSING.get(cell, "completed"), answer
            run = None
    assert Done.effects == []


YES: dict[str, Answer] = {
    "yes or no": True,
    "choice": "pay",
    "object": {"pay": True},
    "text": "PAY",
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell not in REFUSING])
async def test_answer_that_means_yes_pays_once(cell: str, sent_to: SentTo) -> None:
    async with sent_to(CELLS[cell](), "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        way, _, declared = cell.partition(", ")
        await run.answer(YES[declared] if way in ("own", "LangGraph") else "approve")
        await run.result()
    assert Done.effects == ["paid"]


class Level(Enum):
    """A choice with values of two types."""

    LOW = 1
    HIGH = "high"


class Help(BaseModel):
    """An object with a default."""

    data: str
    urgent: bool = False


SCHEMA = {"enum": ["a", "b", "c", "d", "e", "f"]}


@pytest.mark.parametrize(
    ("answers", "schema", "kind", "answer", "value"),
    [
        (None, bool, "binary_choice", "false", False),
        (str, bool, "binary_choice", "true", True),
        (Level, None, "radio", 1, 1),
        (None, SCHEMA, "dropdown", "c", "c"),
        (None, {"const": "go"}, "radio", "go", "go"),
        (Help, None, "form", {"data": "Ask Eve."}, {"data": "Ask Eve.", "urgent": False}),
        (int, None, "form", {"answer": 40}, 40),
        (list[Help], None, "form", {"answer": '[{"data": "a"}]'}, [{"data": "a"}]),
        (dict[str, int], None, "form", {"answer": '{"a": 1}'}, {"a": 1}),
        (str, None, "text", "false", "false"),
    ],
)
async def test_interrupt_returns_a_value_of_its_declared_type(
    sent_to: SentTo, answers: Any, schema: Any, kind: str, answer: Answer, value: Any
) -> None:
    def ask(state: State) -> State:
        Done.effects.append(interrupt("How?", response_schema=schema))
        return {"notes": ["asked"]}

    graph = StateGraph(State).add_node("ask", ask).add_edge(START, "ask").compile()
    langgraph_workflow(
        graph,
        name="t_no_typed",
        title="Typed",
        build_input=nothing,
        answers=answers,
    )
    async with sent_to("t_no_typed", "Go") as (hosting, run):
        [prompt] = await run.prompts()
        assert prompt.model_dump()["input_type"] == kind
        await hosting.crash()
        await run.answer(answer)
        await run.result()
    assert Done.effects == [value]


def test_answers_of_an_unknown_node_or_type_are_refused() -> None:
    graph = StateGraph(State).add_node("ask", lambda state: {}).add_edge(START, "ask").compile()
    for answers, problem in (({"aks": bool}, "'aks', which is not a node"), (Done, "not <class")):
        with pytest.raises(ImproperlyConfigured, match=problem):
            langgraph_workflow(graph, name="t_no_typed", title="Typed", answers=answers)


async def test_undeclared_interrupt_is_asked_once_it_is_declared(host_workflow: NewHosting) -> None:
    declared: dict[str, Any] = {}

    @workflow(name="t_no_declared", title="Declared")
    async def declare(message: Message, context: Context) -> str:
        graph = approving_graph(bool)
        return await HostedGraph(graph, "graph", build_input=nothing, **declared).run(context)

    async with host_workflow("t_no_declared") as hosting:
        by = await get_user_model().objects.aget(pk=hosting.person.id)
        run = await hosting.send("Go")
        with pytest.raises(AssertionError, match=r"node 'approve'.*answers={'approve': bool}"):
            await run.result()
        declared["answers"] = bool
        assert await runs.aresume(run.id, by=by)
        await run.answer(False)
        assert "cancelled" in await run.result()
    assert Done.effects == []


@entrypoint()
def function(question: str) -> str:
    return pay() if interrupt("Pay?") else "cancelled"


@chain_tool
def help_me(query: str) -> str:
    """Ask a person."""
    return pay() if interrupt({"query": query}, response_schema=Pay)["pay"] else "cancelled"


ASK = AIMessage("", tool_calls=[{"name": "help_me", "args": {"query": "Pay?"}, "id": "1"}])


@pytest.mark.parametrize(
    ("graph", "answers", "answer"),
    [
        (function, bool, False),
        (create_agent(model(ASK, AIMessage("The end.")), [help_me]), None, {"pay": False}),
    ],
    ids=["function", "tool"],
)
async def test_functions_and_tools_of_the_framework_ask_by_declared_types(
    sent_to: SentTo, graph: Any, answers: Any, answer: Answer
) -> None:
    langgraph_workflow(graph, name="t_no_typed", title="Typed", answers=answers)
    async with sent_to("t_no_typed", "Go") as (_, run):
        await run.answer(answer)
        await run.result()
    assert Done.effects == []
