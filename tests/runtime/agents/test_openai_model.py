"""The dialects of servers that speak OpenAI's chat completions: real HTTP, the real client."""

import gzip
import tracemalloc
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from sessions_app.agents import Agent
from sessions_app.agents.openai_model import MAX_ANSWER, open_model
from sessions_app.testing.hosting import NewHosting
from sessions_app.workflows import Context, Message, workflow
from tests.runtime.examples.model_endpoint import ModelEndpoint, serving


class Hosted:
    """The agent and the model of the next run."""

    agent: ClassVar[Agent] = Agent()
    model: ClassVar[Any] = None


@workflow(name="t_dialects", title="Dialects")
async def hosted(message: Message, context: Context) -> str:
    return await Hosted.agent.run(context, Hosted.model)


@pytest.fixture
def endpoint() -> Iterator[ModelEndpoint]:
    with serving() as endpoint:
        yield endpoint


BOMB = gzip.compress(bytes(64 * MAX_ANSWER))


@pytest.mark.parametrize(
    ("answer", "headers"),
    [(BOMB, {"Content-Encoding": "gzip"}), (b":" + b" " * MAX_ANSWER, {})],
)
async def test_answer_over_the_limit_is_read_no_further(
    answer: bytes, headers: dict[str, str], endpoint: ModelEndpoint, host_workflow: NewHosting
) -> None:
    endpoint.answers, endpoint.headers = [answer] * 9, headers
    async with open_model("some-model", base_url=endpoint.url) as model:
        Hosted.agent, Hosted.model = Agent(retry=None), model
        tracemalloc.start()
        async with host_workflow("t_dialects") as hosting:
            output = await hosting.converse("Go")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert output.startswith("The model cannot be asked (BodyTooLong).")
    assert peak < 4 * MAX_ANSWER
