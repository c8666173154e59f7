"""A LangGraph graph that looks up an order, and asks before the refund."""

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from sessions_app.contrib.agents.langgraph import langgraph_workflow
from sessions_app.json_types import JsonObject


class State(MessagesState):
    """The messages, and the price of the order."""

    euro: int


async def look_up(state: State) -> JsonObject:
    """Look up the paid amount; a restart does not repeat the lookup."""
    return {"euro": 40}


async def refund(state: State) -> JsonObject:
    """Ask with the interrupt format of LangChain's middleware, and follow the decision."""
    action = {"name": "refund", "args": {"order": 17, "euro": state["euro"]}}
    request = {"action_requests": [action]}
    [decision] = interrupt(request)["decisions"]
    if decision["type"] == "reject":
        return {"messages": [AIMessage(f"Not paid back. {decision['message']}")]}
    order = decision.get("edited_action", action)["args"]
    return {"messages": [AIMessage(f"{order['euro']} € are paid back.")]}


graph = StateGraph(State)
graph.add_sequence([look_up, refund])
graph.add_edge(START, "look_up")

title, starters = "Refunds (LangGraph)", ("Pay order 17 back",)
langgraph_workflow(graph.compile(), name="refund_graph", title=title, starters=starters)
