"""An agent of our own loop, hosted as `t_agent`."""

from typing import Any, ClassVar

from sessions_app.contrib.agents.agent import Agent
from sessions_app.contrib.agents.scripted_model import ScriptedModel
from sessions_app.workflows import Context, Message, workflow


class Hosted:
    """The agent and the model of the next run, and what its tools have done."""

    agent: ClassVar[Agent] = Agent()
    model: ClassVar[Any] = ScriptedModel()
    done: ClassVar[list[Any]] = []


@workflow(name="t_agent", title="Agent")
async def hosted(message: Message, context: Context) -> str:
    return await Hosted.agent.run(context, Hosted.model)


def host(model: Any, *tools: Any, **options: Any) -> None:
    """Have the next runs of `t_agent` be this agent's, whose tools have done nothing."""
    Hosted.agent, Hosted.model, Hosted.done = Agent(tools=tools, **options), model, []


def results() -> list[str]:
    """Return the results of tools that the model read last."""
    return [one["content"] for one in Hosted.model.requests[-1] if one["role"] == "tool"]
