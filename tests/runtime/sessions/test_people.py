"""Tests of sessions that ask people: slots, latency, and use without a server."""

import asyncio
import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions_app.errors import NoPerson
from sessions_app.workflows import BinaryPrompt, Context, Message, TextPrompt
from sessions_app.workflows.concurrency import Slot
from tests.support.processes.command import run
from tests.support.processes.environment import ROOT
from tests.support.sessions import Log, declare, free, managing, say, turns


async def ask(message: Message, context: Context) -> str:
    if message.text == "echo":
        return "echo"
    manager = Context.get().user_interaction_manager
    return (await manager.prompt_user_input(TextPrompt(text="Name?"))).content.text


class Person:
    """A person who answers when the test decides."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answered = asyncio.Event()

    async def __call__(self, *prompts: Any) -> str:
        self.asked.set()
        await self.answered.wait()
        return "Eve"


async def sign_in(message: Message, context: Context) -> str:
    if message.text == "echo":
        return "echo"
    return str(await context.user_auth_callback({"provider": "x"}, "oauth"))


@pytest.mark.parametrize(
    ("function", "callback"),
    [(ask, "user_input_callback"), (sign_in, "user_authentication_callback")],
)
async def test_a_callback_that_waits_frees_the_place(function: Any, callback: str) -> None:
    person = Person()
    callbacks: dict[str, Any] = {callback: person}
    async with managing(declare(function), max_concurrency=1) as manager:
        waiter = asyncio.create_task(say(manager, "ask", **callbacks))
        await person.asked.wait()
        assert await say(manager, "echo", **callbacks) == "echo"
        person.answered.set()
        assert await waiter == "Eve"
        assert free(manager._semaphore) == 1


async def test_without_a_callback_there_is_nobody_to_ask() -> None:
    async with managing(declare(ask)) as manager:
        with pytest.raises(NoPerson):
            await say(manager, "ask")


async def test_a_run_holds_its_place_again_after_an_answer() -> None:
    values: list[int] = []
    person = Person()
    person.answered.set()

    async def look(message: Message, context: Context) -> None:
        values.append(free(manager._semaphore))
        for waits in (context.ask(TextPrompt(text="?")), context.user_auth_callback()):
            await waits
            values.append(free(manager._semaphore))
        await context.sleep(0)
        values.append(free(manager._semaphore))

    async with managing(declare(look), max_concurrency=1) as manager:
        await say(manager, user_input_callback=person, user_authentication_callback=person)
        assert values == [0, 0, 0, 0]


async def test_an_answered_run_waits_for_a_place_before_it_goes_on() -> None:
    person, leave = Person(), asyncio.Event()

    async def act(message: Message, context: Context) -> str:
        if message.text == "stay":
            await leave.wait()
            return ""
        return (await context.ask(TextPrompt(text="?"))).text

    async with managing(declare(act), max_concurrency=1) as manager:
        asking = asyncio.create_task(say(manager, "ask", user_input_callback=person))
        await person.asked.wait()
        staying = asyncio.create_task(say(manager, "stay"))
        await turns()
        assert free(manager._semaphore) == 0
        person.answered.set()
        await turns()
        assert not asking.done()
        leave.set()
        await turns()
        assert staying.done()
        assert asking.done()


async def test_the_limit_is_for_each_user_of_a_per_user_workflow_and_shared_otherwise() -> None:
    at_once = [0, 0]

    async def count(message: Message, context: Context) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        for _ in range(10):
            await asyncio.sleep(0)
        at_once[0] -= 1

    for builder, most in ((Log().build, 4), (None, 2)):
        at_once[:] = [0, 0]
        async with managing(declare(count, per_user_builder=builder), max_concurrency=2) as manager:
            await asyncio.gather(*(say(manager, user_id=user) for user in ("ann", "ben") * 4))
        assert at_once[1] == most


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6))
def test_overlapping_waits_of_a_run_leak_no_place(waits: list[tuple[int, int, bool]]) -> None:
    async def scene() -> int:
        semaphore = asyncio.Semaphore(2)
        other = Slot(semaphore)
        slot = Slot(semaphore)

        async def wait(before: int, during: int, cancel: bool) -> None:
            await turns(before)
            await slot.release_for(turns(during))

        await slot.acquire()
        await other.acquire()
        try:
            tasks = [asyncio.create_task(wait(*one)) for one in waits]
            await asyncio.sleep(0)
            for task, (_, _, cancel) in zip(tasks, waits, strict=True):
                if cancel:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert semaphore._value in (0, 1)
        finally:
            slot.end()
            other.end()
        return semaphore._value

    assert asyncio.run(scene()) == 2


SCRIPT = """
    import asyncio, django

    django.setup()

    from sessions_app.sessions import SessionManager
    from sessions_app.workflows import BinaryPrompt, Context, Message, TextPrompt, workflow

    @workflow(name="hello", title="Hello")
    async def hello(message: Message, context: Context):
        name = await context.ask(TextPrompt(text="Name?"))
        yield f"Hello {name.text}. "
        if (await context.ask(BinaryPrompt(text="Bye?", options=["yes", "no"]))).value == "yes":
            yield await context.step(str.upper, "bye")

    async def main():
        manager = await SessionManager.create(entry_function="hello")
        answers = iter(["Eve", "yes"])

        async def answer(prompt):
            return next(answers)

        async with manager.session(user_input_callback=answer) as session:
            async with session.run("hi") as runner:
                async for chunk in runner.result_stream():
                    print(chunk, end="")
        await manager.shutdown()

    asyncio.run(main())
"""


@pytest.mark.slow
def test_a_plain_script_needs_no_server_and_no_database(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "natproject.settings",
        "DATA_DIR": str(tmp_path),
        "ENV_FILE": os.devnull,
        "PYTHONWARNINGS": "error",
    }
    process = run("-c", dedent(SCRIPT), env=environment)
    assert (process.stdout, process.stderr, process.returncode) == ("Hello Eve. BYE", "", 0)
    assert not list(tmp_path.glob("*.sqlite3*"))


async def test_a_choice_is_answered_by_its_value() -> None:
    async def choose(message: Message, context: Context) -> str:
        prompt = BinaryPrompt(text="Go?", options=["yes", "no"])
        chosen = await context.user_interaction_manager.prompt_user_input(prompt)
        assert chosen.content.selected_option is chosen.option
        return str(chosen.value)

    async def answer(prompt: Any) -> str:
        return str(prompt.choices[1].value)

    async with managing(declare(choose)) as manager:
        assert await say(manager, user_input_callback=answer) == "no"
