"""The dialects of servers that speak OpenAI's chat completions: real HTTP, the real client."""

import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from sessions_app.contrib.agents.agent import NO_TEXT
from sessions_app.contrib.agents.language_model import Piece, ToolCall, Usage
from sessions_app.contrib.agents.openai_model import MAX_LINE, OpenAIModel, open_model
from sessions_app.contrib.agents.tools import tool
from sessions_app.contrib.testing.hosting import NewHosting
from sessions_app.json_types import JsonObject
from sessions_app.models import JournalEntry
from sessions_app.storage import reads
from sessions_app.workflows import Reasoning, Retry
from tests.contrib.agents.own_agent import Hosted, host
from tests.runtime.examples.model_endpoint import (
    ModelEndpoint,
    choice,
    events,
    serving,
    text,
    thought,
)
from tests.support.gzip_bomb import bomb
from tests.support.hosting import SentTo

STOP = choice({}, "stop")
USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
QUESTION: list[JsonObject] = [{"role": "user", "content": "?"}]


def pay(euro: int = 0) -> str:
    """Pay."""
    Hosted.done.append(euro)
    return f"paid {euro}" if euro else ""


@pytest.fixture
def endpoint() -> Iterator[ModelEndpoint]:
    with serving() as endpoint:
        yield endpoint


@pytest_asyncio.fixture
async def model(endpoint: ModelEndpoint) -> AsyncIterator[OpenAIModel]:
    async with open_model("some-model", base_url=endpoint.url) as model:
        host(model, pay)
        yield model


def part(**fields: Any) -> JsonObject:
    """Return a delta with a part of a tool call."""
    return {"tool_calls": [fields]}


def paying(arguments: object = '{"euro": 1}', **fields: Any) -> JsonObject:
    """Return a delta with a call of `pay`."""
    return part(function={"name": "pay", "arguments": arguments}, **fields)


SIGNED = {"google": {"thought_signature": "abc"}}
FUNCTION = {"name": "pay", "arguments": '{"euro": 1}', "signature": "def"}


async def read(model: OpenAIModel) -> list[Piece]:
    return [piece async for piece in model.stream(QUESTION, [])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deltas", "fields"),
    [
        (
            [thought("I must "), thought("pay."), paying(id="a", index=0)],
            {"reasoning_content": "I must pay."},
        ),
        (
            [
                {"reasoning": "I ", "reasoning_details": [{"text": "I "}]},
                {"reasoning": "pay.", "reasoning_details": [{"text": "pay."}]},
                paying(id="a", index=0),
            ],
            {"reasoning": "I pay.", "reasoning_details": [{"text": "I "}, {"text": "pay."}]},
        ),
        (
            [{"signature": "ab\0"}, {"signature": "c"}, paying(id="a", index=0)],
            {"signature": "ab\ufffdc"},
        ),
        (
            [part(id="a", index=0, extra_content=SIGNED, function=FUNCTION)],
            {
                "tool_calls": [
                    {"id": "a", "type": "function", "extra_content": SIGNED, "function": FUNCTION}
                ]
            },
        ),
    ],
)
async def test_fields_of_a_server_go_back_with_its_answer_after_a_crash_too(
    deltas: list[JsonObject],
    fields: JsonObject,
    endpoint: ModelEndpoint,
    model: OpenAIModel,
    sent_to: SentTo,
) -> None:
    endpoint.answers = [deltas, text("Done.")]
    host(model, tool(pay).needs(approval=True))
    async with sent_to("t_agent", "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        await run.answer("approve")
        assert await run.result() == "Done."
    answer = endpoint.requests[-1]["messages"][1]
    assert {name: answer[name] for name in fields} == fields


async def test_no_message_has_an_empty_text(
    endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    endpoint.answers = [text(), [paying("", id="a", index=0)], text("Ok")]
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Hello") == NO_TEXT
        assert await hosting.converse("Go") == "Ok"
    messages = endpoint.requests[-1]["messages"]
    assert [one["content"] for one in messages if one["role"] == "user"] == ["Hello", "Go"]
    assert [one["content"] for one in messages if one["role"] == "assistant"][-1] is None
    assert messages[-1] == {"role": "tool", "tool_call_id": "a", "content": "(nothing)"}
    assert "" not in [one["content"] for one in messages]


ALL = ["Hi", ToolCall("a", "pay", '{"euro":1}'), Usage(100, 7)]
CALL = choice(paying('{"euro":1}', id="a", index=0))
BEGIN = [choice({"content": "Hi"}), CALL]
END = choice({}, "stop", usage=USAGE)
PINGS = b": wait\n\nevent: ping\ndata: {}\n\ndata: null\n\n"


@pytest.mark.parametrize(
    "answer",
    [
        events(*BEGIN, STOP, {"choices": None, "usage": USAGE}),
        events(*BEGIN, {"usage": USAGE}),
        events(*BEGIN, choice(None, "stop", usage=USAGE)),
        events(*BEGIN, {"choices": [{"finish_reason": "stop"}], "usage": USAGE}, done=False),
        events(*BEGIN, PINGS, END),
        events(*BEGIN, END, b"event: ping\n\n"),
        events(*BEGIN, END, {"error": {"message": "too late"}}),
        events(*BEGIN, choice(part(index=0, function=None)), choice(part(index=0)), END),
        events(BEGIN[0], choice(paying({"euro": 1}, id="a", index=0), "stop", usage=USAGE)),
        events(
            choice({"content": [{"type": "text", "text": "Hi"}, "?"]}),
            choice(paying('{"euro"', id="a", index=0)),
            choice(paying(":1}", id=None, index=0), "stop", usage=USAGE),
        ),
        events(
            choice({"content": "Hi", "tool_calls": {}}),
            choice(part(id="a", function={"name": "p", "arguments": ""})),
            choice(part(function={"name": "ay", "arguments": '{"euro":'})),
            choice(part(id="b", function={"arguments": "1}"})),
            choice({"tool_calls": [None, {}]}, "tool_calls", usage=USAGE),
        ),
    ],
)
async def test_chunks_of_another_form_are_read(
    answer: bytes, endpoint: ModelEndpoint, model: OpenAIModel
) -> None:
    endpoint.answers = [answer]
    assert await read(model) == ALL


@pytest.mark.parametrize("given", [{}, {"id": ""}, {"id": "", "index": 0}, {"index": None}])
async def test_calls_without_ids_are_told_apart_and_each_result_goes_back_to_its_call(
    given: JsonObject, endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    calls = [paying('{"euro": 1}', **given), paying('{"euro": 2}', **given)]
    endpoint.answers = [calls, text("Ok")]
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        assert await hosting.converse("Go") == "Ok"
    assert sorted(Hosted.done) == [1, 2]
    asked, *results = endpoint.requests[-1]["messages"][1:]
    ids = [call["id"] for call in asked["tool_calls"]]
    assert all(ids)
    assert len(set(ids)) == 2
    told = [(one["tool_call_id"], one["content"]) for one in results]
    assert told == list(zip(ids, ["paid 1", "paid 2"], strict=True))


async def test_two_calls_with_one_id_get_another(
    endpoint: ModelEndpoint, model: OpenAIModel
) -> None:
    endpoint.answers = [[paying(id="a", index=0), paying(id="a", index=1)]]
    calls = [piece for piece in await read(model) if isinstance(piece, ToolCall)]
    assert len({call.id for call in calls}) == 2


async def test_a_name_that_is_repeated_makes_no_second_call(
    endpoint: ModelEndpoint, model: OpenAIModel
) -> None:
    texts = ['{"a": "}', '{", "b": "\\', '"}"', "}"]
    endpoint.answers = [[paying(one, index=0) for one in texts]]
    call, _ = await read(model)
    assert isinstance(call, ToolCall)
    assert call.arguments == "".join(texts)


class Counting:
    """A model that says after each piece what it has used so far."""

    async def stream(self, messages: Any, tools: Any) -> AsyncGenerator[Piece, None]:
        for number in range(300):
            yield Usage(100, number)
            yield "."


async def test_last_usage_of_an_answer_counts(
    endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    chunks = [choice({"content": "."}, usage={**USAGE, "completion_tokens": n}) for n in range(300)]
    endpoint.answers = [events(*chunks, STOP)]
    async with host_workflow("t_agent") as hosting:
        for Hosted.model in (model, Counting()):
            run = await hosting.send("Go")
            assert await run.result() == "." * 300
            usages = [one.result for one in await run.journal() if one.call.kind == "usage"]
            assert usages == [{"prompt_tokens": 100, "completion_tokens": 299}]


CUT = [
    events(choice({"content": "I lo"}), done=False),
    events(choice({"content": "I lo"}), {"error": {"message": "overloaded"}}),
]


@pytest.mark.parametrize("cut", CUT)
async def test_answer_that_was_cut_is_said_so(
    cut: bytes, endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    endpoint.answers = [cut]
    async with host_workflow("t_agent", replay_everywhere=True) as hosting:
        output = await hosting.converse("Go")
    error = "APIError" if b"error" in cut else "AnswerCut"
    assert output == f"I lo\n\nThe answer was cut off ({error}). Try again later."


@pytest.mark.slow
async def test_answer_that_was_cut_before_its_first_piece_is_asked_for_again(
    endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    host(model, pay, retry=Retry(attempts=2, wait=0))
    half = events(choice(paying('{"euro": 1}', id="a", index=0)), done=False)
    endpoint.answers = [half, text("Here I am.")]
    async with host_workflow("t_agent") as hosting:
        assert await hosting.converse("Go") == "Here I am."
    assert Hosted.done == []


BOMB = bomb(64 * MAX_LINE // 2**20)


@pytest.mark.parametrize(
    ("answer", "headers"),
    [(BOMB, {"Content-Encoding": "gzip"}), (b":" + b" " * MAX_LINE, {})],
)
async def test_answer_over_the_limit_is_read_no_further(
    answer: bytes, headers: dict[str, str], endpoint: ModelEndpoint, host_workflow: NewHosting
) -> None:
    endpoint.answers, endpoint.headers = [answer] * 9, headers
    async with open_model("some-model", base_url=endpoint.url) as model:
        host(model, retry=None)
        tracemalloc.start()
        async with host_workflow("t_agent") as hosting:
            output = await hosting.converse("Go")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert output.startswith("The model cannot be asked (BodyTooLong).")
    assert peak < 4 * MAX_LINE


@pytest.mark.slow
async def test_run_of_an_earlier_version_goes_on(
    endpoint: ModelEndpoint, model: OpenAIModel, sent_to: SentTo
) -> None:
    endpoint.answers = [[paying(id="a", index=0)], text("Done.")]
    host(model, tool(pay).needs(approval=True))

    def make_earlier() -> None:
        entry = JournalEntry.objects.get(kind="stream")
        for piece in entry.result:
            piece.pop("fields", None)
        entry.save()

    async with sent_to("t_agent", "Go") as (hosting, run):
        await run.prompts()
        await hosting.crash()
        await reads.read(make_earlier)
        await run.answer("approve")
        assert await run.result() == "Done."
    assert Hosted.done == [1]


async def test_both_names_of_one_thought_are_shown_once(
    endpoint: ModelEndpoint, model: OpenAIModel
) -> None:
    endpoint.answers = [[{"reasoning": "Hm", "reasoning_content": "Hm"}]]
    assert (await read(model))[0] == Reasoning("Hm")
    assert len(endpoint.requests) == 1


CUT_OFF = "The answer was cut off"
ENDED: dict[str, tuple[JsonObject, str, str]] = {
    "length": ({"content": "The answer is that"}, "length", f"The answer is that\n\n{CUT_OFF}"),
    "length, nothing": ({"content": ""}, "length", CUT_OFF),
    "filter": ({"content": "First you"}, "content_filter", "First you\n\nThe answer was stopped"),
    "other reason": ({"content": None}, "MALFORMED_CALL", "The model has ended the answer (MALFOR"),
    "refusal": ({"refusal": "I cannot help."}, "stop", "I cannot help."),
    "thoughts alone": ({"reasoning_content": "Hm."}, "stop", NO_TEXT),
    "blank": ({"content": " \n"}, "stop", NO_TEXT),
}


@pytest.mark.parametrize("kind", ENDED)
async def test_answer_that_is_empty_or_cut_says_so(
    kind: str, endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    delta, reason, said = ENDED[kind]
    endpoint.answers = [events(choice(delta), choice({}, reason))]
    host(model)
    async with host_workflow("t_agent") as hosting:
        assert (await hosting.converse("Go")).strip().startswith(said)


async def test_call_of_an_answer_that_was_cut_is_not_made(
    endpoint: ModelEndpoint, model: OpenAIModel, host_workflow: NewHosting
) -> None:
    endpoint.answers = [events(choice(paying(id="a", index=0)), choice({}, "length"))]
    host(model, pay)
    async with host_workflow("t_agent") as hosting:
        assert (await hosting.converse("Go")).startswith(CUT_OFF)
    assert Hosted.done == []
