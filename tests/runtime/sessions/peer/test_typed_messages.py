"""Tests of messages and results of any type that a workflow declares."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from pydantic import BaseModel

from sessions_app.models import Run
from sessions_app.workflows import Context, Message, TextPrompt, workflow
from tests.support.hosting import Hosting
from tests.support.sessions import declare, managing


async def echo(message: Message, context: Context) -> str:
    return message.text


class Question(BaseModel):
    text: str
    times: int = 1


class Answer(BaseModel):
    text: str


async def model(question: Question, context: Context) -> Answer:
    assert isinstance(question, Question)
    return Answer(text=question.text * question.times)


async def numbers(several: list[int], context: Context) -> AsyncGenerator[int, None]:
    for number in several:
        yield number


async def nothing(empty: None, context: Context) -> str:
    return repr(empty)


async def chat(messages: list[dict[str, str]], context: Context) -> str:
    return messages[-1]["content"]


TYPED = [
    (model, Question(text="a"), Answer(text="a")),
    (model, {"text": "a", "times": 2}, Answer(text="aa")),
    (model, '{"text": "a", "times": 3}', Answer(text="aaa")),
    (model, Message('{"text": "b"}'), Answer(text="b")),
    (numbers, [1, 2], "12"),
    (numbers, {"input_message": [3]}, "3"),
    (nothing, None, "None"),
    (chat, [{"role": "user", "content": "hi"}], "hi"),
    (echo, {"input_message": "hi"}, "hi"),
]


@pytest.mark.parametrize(("function", "message", "result"), TYPED)
async def test_a_message_is_of_the_type_taken(function: Any, message: Any, result: Any) -> None:
    async with managing(declare(function)) as manager, manager.run(message) as runner:
        expected_input = message.text if isinstance(message, Message) else message
        assert runner.context.input_message == expected_input
        assert await runner.result() == result


@pytest.mark.parametrize(
    ("function", "message"), [(model, "hi"), (model, {}), (numbers, "x"), (echo, 3), (echo, None)]
)
async def test_a_message_of_the_wrong_type_raises_the_reason(function: Any, message: Any) -> None:
    async with managing(declare(function)) as manager, manager.run(message) as runner:
        with pytest.raises(Exception, match="The workflow does not take this message: "):
            await runner.result()


async def test_the_input_schema_is_the_workflows_own() -> None:
    async with managing(declare(model)) as manager:
        assert manager.get_workflow_input_schema() is Question
        assert manager.get_workflow_single_output_schema() is Answer
        assert manager.get_workflow_streaming_output_schema() is Answer
    async with managing(declare(numbers)) as manager:
        schema = manager.get_workflow_input_schema()
        assert schema.model_validate({"input_message": [1]}).model_dump() == {"input_message": [1]}
        chunk = manager.get_workflow_streaming_output_schema()
        assert chunk.model_validate({"value": 1}).model_dump() == {"value": 1}


async def test_results_are_converted() -> None:
    async with managing(declare(model)) as manager, manager.session() as session:
        async with session.run({"text": "a"}) as runner:
            assert await runner.result(to_type=str) == '{"text":"a"}'
        async with session.run({"text": "a"}) as runner:
            assert (await runner.result(to_type=Question)).times == 1
        async with session.run({"text": "a"}) as runner:
            with pytest.raises(ValueError, match="int"):
                await runner.result(to_type=int)
    async with managing(declare(numbers)) as manager, manager.session() as session:
        cases: list[tuple[Any, list[Any]]]
        cases = [(None, [1, 2]), (str, ["1", "2"]), (float, [1.0, 2.0])]
        for to_type, chunks in cases:
            async with session.run([1, 2]) as runner:
                stream = runner.result_stream(to_type=to_type)
                converted = [chunk async for chunk in stream]
                assert list(map(repr, converted)) == list(map(repr, chunks))
        assert runner.convert("3", int) == 3


@workflow(name="t_typed", title="Typed")
async def typed(question: Question, context: Context) -> AsyncGenerator[Answer, None]:
    answer = await context.ask(TextPrompt(text=question.text))
    yield Answer(text=answer.text * question.times)


@pytest.mark.django_db(transaction=True)
async def test_a_person_sends_what_is_no_text_as_json_and_it_survives_a_restart() -> None:
    async with Hosting("t_typed") as hosting:
        run, _ = await hosting.submit_until_prompt('{"text": "Say", "times": 2}', message_id="m1")
        assert await hosting.complete(run, "so", restart=True) == '{"text":"soso"}'
        row = await hosting.until_ended(await hosting.submit("Hello", message_id="m2"))
        assert row.status == Run.Status.FAILED
        assert "The workflow does not take this message: " in str(row.error)
