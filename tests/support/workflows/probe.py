"""The workflow of tests and benchmarks: the first word of the message says what it does.
Not for people.

    echo TEXT         one chunk
    ask               one text prompt, then the answer as a chunk
    prompt TYPE       one prompt of that `input_type`, then the answer's value as a chunk
    agent MS S        an agent that streams 30 words with so many milliseconds before each, looks
                      three things up, asks whether it may pay, and pays. Each takes S ms (the
                      second look twice as long, the third three times), and appends a line to the
                      file named by PROBE_LOG at its beginning and at its end
    pydantic_ai MS S  the same with an agent of Pydantic AI
    langgraph MS S    the same with a graph of LangGraph
    mcp MODE URL S    an agent with three tools of the MCP server of the tests
    modelcalls N      times N streams of a model, bare and recorded
    risky             one prompt about what cannot be undone, due in less than a minute
    together          prompts of several types on one card, then the answers joined by "|"
    wide              prompts of all types at once, with words wider than a small screen
    widecard          as together, with such words
    two               two text prompts at once, then the answers joined by "|"
    assign WHO [four] [share] [votes=N] [due=S] [text|receipt] [days=N]
                      one prompt for groups (and users: @ann), divided by commas, then the answer
    textask N         as stream, then as ask
    fail              raises
    approve N         N binary prompts one after another, then the answers joined by "|"
    slowapprove N MS  as approve, with so many milliseconds before each prompt
    caught MS         waits so many milliseconds, and goes on if it is cancelled meanwhile
    stream N          N chunks "t0 ", "t1 ", … without delay
    slowask MS        as ask, after so many milliseconds
    slowstream N MS   as stream, with so many milliseconds before each chunk
    report N M MS     N characters of Markdown at once, then M tokens of it, with so many
                      milliseconds before each
    step N [MS]       N journaled steps; each waits so many milliseconds, then appends a line to the
                      file named by PROBE_LOG, and two to that named by PROBE_DIARY
    model N MS        as stream, by one streamed step that yields nothing itself, with so many
                      milliseconds before each chunk "EXECUTION:0 ", …; then as ask. Each execution
                      of the step appends a line to the file named by PROBE_LOG
    transact N [MS]   N transactional steps; each makes the first name of the run's user longer by
                      an x, and waits so many milliseconds. Where a file is there with the name of
                      PROBE_LOG and `.kill` behind it, the next one removes that, and kills its
                      process
    waitfor N         waits for what is sent under the name `n`, N times, then joins it by "|"
    callback N        waits for what is posted to N URLs of its own, which it says before
    calledask         as callback 1, then as ask
    undo N MS         as ask; where it is stopped, N steps as of `step`
    block HOW S       holds up the event loop for so many seconds: by a `loop`, a `sleep`, a `task`
                      of its own, a `match` of a regular expression (for ever), `caught` (a loop
                      that waits then, also if it is interrupted), or `deaf` (one call of C)
    usage N M         reports N tokens taken and M given, asks, and reports them again
    child TEXT        runs `probe` with that text, then says what that said
    exit              ends the process at once, as a crash does
"""

import asyncio
import ctypes
import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from django.contrib.auth import get_user_model
from django.db.models import Value
from django.db.models.functions import Concat

from sessions_app.prompts import AnyPrompt, FormResponse
from sessions_app.workflows import (
    AttachedFile,
    BinaryPrompt,
    CheckboxPrompt,
    Context,
    DropdownPrompt,
    LinkPrompt,
    Message,
    NotificationPrompt,
    OAuthPrompt,
    Option,
    RadioPrompt,
    TextPrompt,
    ToolCallPrompt,
    ToolCallResponse,
    workflow,
)
from tests.support import long_answer
from tests.support.workflows.agent import agent, modelcalls
from tests.support.workflows.assigned import assign
from tests.support.workflows.diary import note
from tests.support.workflows.forms import LEAVE, ORDER, RECEIPT, TOOL_CALL
from tests.support.workflows.wide import FORM, PROPOSAL, WORD, wide

Part = Callable[[Context, list[str]], AsyncGenerator[str, None]]

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
COLOURS = [
    Option(id="1", label="Red", value="red", description="as a rose"),
    Option(id="2", label="Blue", value="blue"),
]
PROMPTS: dict[str, AnyPrompt] = {
    prompt.input_type: prompt
    for prompt in (
        TextPrompt(text="Name?", placeholder="a name", timeout=600),
        NotificationPrompt(text="Look."),
        BinaryPrompt(text="Which?", options=COLOURS),
        RadioPrompt(text="Which?", options=COLOURS),
        DropdownPrompt(text="Which?", options=COLOURS),
        CheckboxPrompt(text="Which ones?", options=COLOURS),
        OAuthPrompt(text="https://login.example/authorize?state=s1"),
        LinkPrompt(text="Pay there.", url="https://bank.example/pay?for=books"),
    )
}
PROMPTS["values"] = RadioPrompt(text="Which?", options=[True, 3, 0.5])
PROMPTS |= {"form": LEAVE, "proposal": ORDER, "receipt": RECEIPT, "tool_call": TOOL_CALL}
PROMPTS["details"] = BinaryPrompt(
    text="Order the parts?",
    options=COLOURS,
    details={
        "For": "Workshop 2",
        "Told": ["ann@example.org", "bob@example.org"],
        "Command": {"code": "order --supplier=Nuts --express \\\n  bolts.csv"},
        "Address": {"Street": "Long Street 5", "Town": "Ulm", "Gate": None},
        "Lines": [
            {"item": "Bolt", "pieces": 200, "price": 3.2},
            {"item": "Nut", "pieces": 90, "price": 2},
        ],
        "Terms": {
            "before": "Pay in 30 days.\nNo returns.\nPacked by hand.",
            "after": "Pay in 14 days.\nNo returns.\nPacked by hand.\nSent by ship.",
        },
        "Raw": [[1, 2], [3]],
    },
)
RISKY = BinaryPrompt(
    text="Delete the customer list?",
    details={"Table": "customers", "Rows": 48210, "Backup": "none"},
    options=[
        Option(
            value="delete",
            label="Delete",
            description="It cannot be undone.",
            destructive=True,
            needs_note=True,
        ),
        Option(value="keep", label="Keep", description="The list stays as it is."),
    ],
    timeout=50,
    default="keep",
)
TOGETHER = ("text", "binary_choice", "dropdown", "checkbox", "form")


@workflow(
    name="probe",
    title="Probe",
    description="For load tests and benchmarks: the first word of the message says what it does.",
    starters=("echo hello", "ask"),
    takes_files=True,
)
async def probe(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Do what the first word says."""
    word, _, rest = message.text.strip().partition(" ")
    if word == "echo":
        yield rest
        return
    part = PARTS.get(word or "files")
    if part is None:
        yield f"The first word must be one of: echo, {', '.join(PARTS)}."
        return
    async for chunk in part(context, rest.split()):
        yield chunk


async def ask(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask one text prompt, and say its answer."""
    answer = await context.ask(TextPrompt(text="prompt-1"))
    yield answer.text


async def prompt(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask a prompt of any type."""
    answer = await context.ask(PROMPTS[arguments[0]])
    if isinstance(answer, ToolCallResponse):
        yield f"{answer.value} {json.dumps(answer.arguments)} {answer.note}"
        return
    if not isinstance(answer, FormResponse):
        yield answer.value
        return
    yield repr(answer.value)
    for file in answer.after.values():
        if isinstance(file, AttachedFile):
            yield f" {file.name} {await file.read()!r}"


async def call(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask about a tool call, of whose prompt the fields come as JSON, quoted as in a URL."""
    fields = json.loads(unquote(arguments[0]))
    answer = await context.ask(ToolCallPrompt(text="May I do this?", tool="run", **fields))
    yield f"{answer.value} {len(answer.changed)}"


async def risky(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask about a deed that cannot be undone, in a hurry."""
    yield (await context.ask(RISKY)).value


async def files(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Say what came with the message: names, sizes, and the beginnings of the contents."""
    for file in context.files:
        content = await file.read()
        yield f"{file.name} {file.content_type} {len(content)} {content[:20]!r}\n"


async def two(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask two prompts that wait at once."""
    answers = await context.ask_all([TextPrompt(text="one?"), TextPrompt(text="two?")])
    yield "|".join(answer.value for answer in answers)


async def together(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Prompts with one button."""
    prompts: list[Any] = [PROMPTS[name] for name in TOGETHER]
    answers = await context.ask_all(prompts, together="About your trip")
    yield "|".join(str(answer.value) for answer in answers)


def framework(name: str) -> Part:
    """Return the part that is an agent of a framework, imported when it is first used."""

    async def part(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
        # Not in the event loop: such a package takes a second to import.
        module = await asyncio.to_thread(import_module, f"tests.support.workflows.probe_{name}")
        async for chunk in getattr(module, name)(context, arguments):
            yield chunk

    return part


async def fail(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Raise an error whose text nobody must see."""
    yield "so far "
    raise ValueError("internal secret")


async def approve(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Prompts one after another."""
    options = [Option(value="continue"), Option(value="cancel")]
    answers = []
    for number in range(1, int(arguments[0]) + 1):
        await asyncio.sleep(int(arguments[1]) / 1000 if len(arguments) > 1 else 0)
        prompt = BinaryPrompt(text=f"prompt-{number}", options=options)
        answers.append((await context.ask(prompt)).value)
    yield "|".join(answers)


async def caught(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Go on after a cancellation."""
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(int(arguments[0]) / 1000)
    yield "so there"


async def stream(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Chunks as fast as they are taken."""
    for number in range(int(arguments[0])):
        yield f"t{number} "


async def textask(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask a prompt that must not overtake the text before it."""
    for part in (stream, ask):
        async for chunk in part(context, arguments):
            yield chunk


async def slowask(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask a prompt late."""
    await asyncio.sleep(int(arguments[0]) / 1000)
    async for chunk in ask(context, arguments):
        yield chunk


async def slowstream(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Chunks at a pace."""
    for number in range(int(arguments[0])):
        await asyncio.sleep(int(arguments[1]) / 1000)
        yield f"t{number} "


async def report(_: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Say a long answer: its beginning at once, and the rest in tokens."""
    length, number, milliseconds = map(int, arguments)
    text = long_answer.report(length + number * 4)
    yield text[:length]
    for token in long_answer.tokens(text[length:]):
        await asyncio.sleep(milliseconds / 1000)
        yield token


async def step(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Steps whose every execution leaves a line."""
    wait = int(arguments[1]) / 1000 if len(arguments) > 1 else 0.0
    for number in range(1, int(arguments[0]) + 1):
        await context.step(append_line, f"{context.run_id} {number}", wait, title=f"step {number}")
        yield f"s{number} "


def append_line(line: str, wait: float) -> None:
    """Append a line as the effect of a step, to be counted afterwards."""
    execution = line.replace(" ", ":")
    note("step.begin", execution)
    time.sleep(wait)
    note("step.end", execution)
    if path := os.environ.get("PROBE_LOG"):
        with Path(path).open("a") as log:
            log.write(f"{line}\n")


async def undo(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Clean up when it is cancelled."""
    try:
        yield (await context.ask(TextPrompt(text="prompt-1"))).text
    except asyncio.CancelledError:
        async for chunk in step(context, arguments):
            yield chunk


async def model(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Stream a model's answer, which differs each time it is asked."""
    async for _ in context.stream(words, context.run_id, *map(int, arguments)):
        pass
    yield (await context.ask(TextPrompt(text="prompt-1"))).text


async def words(run: str, count: int, wait: int) -> AsyncGenerator[str, None]:
    """Yield the model's words."""
    append_line(f"{run} model", 0)
    execution = executions(f"{run} model")
    for number in range(count):
        await asyncio.sleep(wait / 1000)
        yield f"{execution}:{number} "


def executions(line: str) -> int:
    """Return how often the line was appended."""
    path = os.environ.get("PROBE_LOG")
    return Path(path).read_text().count(line) if path else 0


async def transact(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Steps whose effect is in the database, to be counted there."""
    wait = int(arguments[1]) / 1000 if len(arguments) > 1 else 0.0
    for _ in range(int(arguments[0])):
        await context.transactional_step(lengthen, context.user_id, wait)
    yield "done"


def lengthen(user: str, wait: float) -> None:
    """Make the user's first name longer, as the effect of a transactional step."""
    longer = Concat("first_name", Value("x"))
    get_user_model().objects.filter(pk=user).update(first_name=longer)
    time.sleep(wait)
    with suppress(FileNotFoundError):
        Path(f"{os.environ.get('PROBE_LOG')}.kill").unlink()
        os.kill(os.getpid(), signal.SIGKILL)


async def waitfor(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Wait for what comes from elsewhere."""
    yield "|".join([str(await context.wait_for("n")) for _ in range(int(arguments[0]))])


async def callback(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Say its URLs, then what is posted to each, in their order."""
    ids = [str(number) for number in range(int(arguments[0]))]
    yield " ".join(context.callback_url("n", id) for id in ids)
    for _ in ids:
        yield f" {json.dumps(await context.wait_for('n'))}"


async def calledask(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Ask a prompt when something is posted to the URL that it says."""
    async for chunk in callback(context, ["1"]):
        yield chunk
    async for chunk in ask(context, arguments):
        yield chunk


async def large(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Say so many characters in one chunk, counted off by thousands."""
    yield "".join(f"{number:<1000}" for number in range(int(arguments[0]) // 1000))


async def unstorable(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Text that no database stores, by the way that is named."""
    way, text = arguments[0], "a" + {"nul": "\0", "half": "\ud800"}[arguments[1]] + "b"
    match way:
        case "show":
            context.show(text, text)
        case "raise":
            raise ValueError(text)
        case "step":
            await context.step(str, text)
        case "titled":
            await context.step(len, text, title=text)
    yield text


def spin(seconds: float) -> None:
    """Loop in Python."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def block(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Block the event loop, which a workflow must not do."""
    kind, seconds = arguments[0], float(arguments[1]) if len(arguments) > 1 else 0.0
    yield "block "
    await asyncio.sleep(0.1)
    match kind:
        case "loop":
            spin(seconds)
        case "sleep":
            time.sleep(seconds)  # noqa: ASYNC251 - just this
        case "task":
            await asyncio.gather(asyncio.to_thread(time.sleep, 0), spin_async(seconds))
        case "match":
            re.match("(a+)+$", "a" * 60 + "b")
        case "caught":
            with suppress(BaseException):
                spin(seconds)
            await asyncio.sleep(seconds)
        case "deaf":
            with sqlite3.connect(":memory:") as database, suppress(sqlite3.OperationalError):
                threading.Timer(seconds, database.interrupt).start()
                database.execute(ENDLESS)
    yield "and on"


async def spin_async(seconds: float) -> None:
    """Loop as a coroutine."""
    spin(seconds)


async def usage(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Tokens of two calls of a model, with a prompt between them."""
    prompt_tokens, completion_tokens = map(int, arguments)
    context.add_usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    yield (await context.ask(TextPrompt(text="prompt-1"))).text
    context.add_usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)


async def child(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Run this workflow within itself, and say what that said."""
    yield await context.run("probe", " ".join(arguments))


async def exit_(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """End the process at once."""
    yield "exit"
    await asyncio.sleep(0)
    os._exit(1)


async def kill(context: Context, arguments: list[str]) -> AsyncGenerator[str, None]:
    """Kill the threads of a name in this process, each at its next line of Python."""
    yield "kill"
    for thread in threading.enumerate():
        if thread.name == arguments[0]:
            ident = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))


PARTS: dict[str, Part] = {
    "agent": agent,
    "modelcalls": modelcalls,
    "pydantic_ai": framework("pydantic_ai"),
    "langgraph": framework("langgraph"),
    "mcp": framework("mcp"),
    "ask": ask,
    "call": call,
    "assign": assign,
    "files": files,
    "prompt": prompt,
    "risky": risky,
    "together": together,
    "two": two,
    "wide": wide(*PROMPTS.values(), FORM, PROPOSAL),
    "widecard": wide(*(PROMPTS[name] for name in TOGETHER), FORM, title=WORD),
    "textask": textask,
    "fail": fail,
    "approve": approve,
    "slowapprove": approve,
    "caught": caught,
    "stream": stream,
    "slowask": slowask,
    "slowstream": slowstream,
    "report": report,
    "step": step,
    "transact": transact,
    "waitfor": waitfor,
    "callback": callback,
    "calledask": calledask,
    "model": model,
    "undo": undo,
    "large": large,
    "unstorable": unstorable,
    "block": block,
    "usage": usage,
    "child": child,
    "exit": exit_,
    "kill": kill,
}
