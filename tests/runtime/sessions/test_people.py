"""Sessions that ask people: the place under the limit, the latency, and no server."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natproject.settings.env import ROOT
from sessions_app.errors import NoPerson
from sessions_app.workflows import BinaryPrompt, Context, Message, TextPrompt
from sessions_app.workflows.concurrency import Slot
from tests.support.sessions import Log, declare, free, managing, turns


async def ask(message: Message, context: Context) -> str:
    if message.text == "echo":
        return "echo"
    manager = Context.get().user_interaction_manager
    return (await manager.prompt_user_input(TextPrompt(text="Name?"))).content.text


class Person:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answered = asyncio.Event()

    async def __call__(self, *asked: Any) -> str:
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
async def test_a_callback_that_waits_for_a_person_frees_the_place(
    function: Any, callback: str
) -> None:
    person = Person()
    callbacks: dict[str, Any] = {callback: person}
    async with managing(declare(function), max_concurrency=1) as manager:

        async def say(text: str) -> Any:
            async with manager.run(text, **callbacks) as runner:
                return await runner.result()

        waiting = asyncio.create_task(say("ask"))
        await person.asked.wait()
        assert await say("echo") == "echo"
        person.answered.set()
        assert await waiting == "Eve"
        assert free(manager._semaphore) == 1


async def test_without_a_callback_there_is_nobody_to_ask() -> None:
    async with managing(declare(ask)) as manager, manager.run("ask") as runner:
        with pytest.raises(NoPerson):
            await runner.result()


async def test_a_run_holds_its_place_again_after_an_answer() -> None:
    values: list[int] = []
    person = Person()
    person.answered.set()

    async def look(message: Message, context: Context) -> None:
        values.append(free(manager._semaphore))
        await context.ask(TextPrompt(text="?"))
        values.append(free(manager._semaphore))
        await context.user_auth_callback()
        values.append(free(manager._semaphore))
        await context.sleep(0)
        values.append(free(manager._semaphore))

    async with (
        managing(declare(look), max_concurrency=1) as manager,
        manager.run("x", user_input_callback=person, user_authentication_callback=person) as runner,
    ):
        await runner.result()
        assert values == [0, 0, 0, 0]


async def test_an_answered_run_waits_for_a_place_before_it_goes_on() -> None:
    person, leave = Person(), asyncio.Event()

    async def act(message: Message, context: Context) -> str:
        if message.text == "stay":
            await leave.wait()
            return ""
        return (await context.ask(TextPrompt(text="?"))).text

    async with managing(declare(act), max_concurrency=1) as manager:

        async def say(text: str) -> Any:
            async with manager.run(text, user_input_callback=person) as runner:
                return await runner.result()

        asking = asyncio.create_task(say("ask"))
        await person.asked.wait()
        staying = asyncio.create_task(say("stay"))
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

            async def say(user: str, manager: Any = manager) -> None:
                async with manager.run("x", user_id=user) as runner:
                    await runner.result()

            await asyncio.gather(*(say(user) for user in ("ann", "ben") * 4))
        assert at_once[1] == most


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_run_gives_its_place_back_on_every_way_out(cancelled: bool) -> None:
    person = Person()
    async with managing(declare(ask), max_concurrency=1) as manager:

        async def say() -> Any:
            async with manager.run("ask", user_input_callback=person) as runner:
                return await runner.result()

        waiting = asyncio.create_task(say())
        await person.asked.wait()
        if cancelled:
            waiting.cancel()
        else:
            person.answered.set()
        await asyncio.wait([waiting])
        assert free(manager._semaphore) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6))
def test_overlapping_waits_of_a_run_leak_no_place(waits: list[tuple[int, int, bool]]) -> None:
    async def scene() -> int:
        semaphore = asyncio.Semaphore(2)
        other = Slot(semaphore)
        slot = Slot(semaphore)

        async def wait(before: int, during: int, cancel: bool) -> None:
            await turns(before)
            await slot.release_for(turns(during))

        await slot.take()
        await other.take()
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


async def test_steps_of_one_user_are_not_seen_by_another() -> None:
    seen: dict[str, list[str]] = {"ann": [], "ben": []}
    met = asyncio.Barrier(2)

    async def work(message: Message, context: Context) -> AsyncGenerator[str, None]:
        for number in range(3):
            await met.wait()
            yield await context.step(note, number, title="Work")

    async def note(number: int) -> str:
        here = Context.get()
        seen[here.user_id].append(f"{number}{here.user_id}")
        return f"{number}{here.user_id}{here.builder.name} "

    async with managing(declare(work, per_user_builder=Log().build)) as manager:

        async def say(user: str) -> Any:
            async with manager.run("x", user_id=user, conversation_id="same") as runner:
                return await runner.result()

        said = list(await asyncio.gather(say("ann"), say("ben")))
    assert said == ["0annann#1 1annann#1 2annann#1 ", "0benben#1 1benben#1 2benben#1 "]
    assert seen == {user: [f"{n}{user}" for n in range(3)] for user in ("ann", "ben")}


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


def test_a_plain_script_needs_no_server_and_no_database(tmp_path: Path) -> None:
    environment = {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "natproject.settings",
        "DATA_DIR": str(tmp_path),
        "ENV_FILE": os.devnull,
        "PYTHONWARNINGS": "error",
    }
    done = subprocess.run(
        [sys.executable, "-c", dedent(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Hello Eve. BYE", "", 0)
    assert not list(tmp_path.glob("*.sqlite3*"))


async def test_a_choice_is_answered_by_its_value() -> None:
    async def choose(message: Message, context: Context) -> str:
        prompt = BinaryPrompt(text="Go?", options=["yes", "no"])
        chosen = await context.user_interaction_manager.prompt_user_input(prompt)
        assert chosen.content.selected_option is chosen.option
        return str(chosen.value)

    async def answer(prompt: Any) -> str:
        return str(prompt.choices[1].value)

    async with (
        managing(declare(choose)) as manager,
        manager.session(user_input_callback=answer) as session,
        session.run("x") as runner,
    ):
        assert await runner.result() == "no"
