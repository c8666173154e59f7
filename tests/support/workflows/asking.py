"""Functions that ask the user, called by messages."""

import asyncio
import json
from typing import Any

from sessions_app.json_types import JsonObject
from sessions_app.prompts import FormResponse
from sessions_app.workflows import (
    AttachedFile,
    BinaryPrompt,
    Context,
    Option,
    TextPrompt,
    ToolCallPrompt,
    ToolCallResponse,
)
from tests.support.workflows import long_words
from tests.support.workflows.prompts import DESTRUCTIVE, PROMPTS, TOGETHER
from tests.support.workflows.registry import Chunks, by_message


@by_message
async def ask(context: Context, delay: float = 0, timeout: float | None = None) -> Chunks:
    """Ask one text prompt after so many seconds, with a deadline or none; output the answer."""
    if delay:
        await asyncio.sleep(delay)
    answer = await context.ask(TextPrompt(text="prompt-1", timeout=timeout))
    yield answer.text


@by_message
async def prompt(context: Context, kind: str) -> Chunks:
    """Ask a prompt by its key in `PROMPTS`; output the value of the answer."""
    answer = await context.ask(PROMPTS[kind])
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


@by_message
async def ask_tool_call(context: Context, fields: JsonObject) -> Chunks:
    """Ask about a tool call with these fields; output how many arguments were changed."""
    values: dict[str, Any] = {**fields}
    answer = await context.ask(ToolCallPrompt(text="May I do this?", tool="run", **values))
    yield f"{answer.value} {len(answer.changed)}"


@by_message
async def ask_destructive(context: Context) -> Chunks:
    """Ask about an action that cannot be undone, with a deadline in less than a minute."""
    yield (await context.ask(DESTRUCTIVE)).value


@by_message
async def approve(context: Context, count: int = 1, delay: float = 0) -> Chunks:
    """Ask so many binary prompts one after another, each after so many seconds."""
    options = [Option(value="continue"), Option(value="cancel")]
    answers = []
    for number in range(1, count + 1):
        await asyncio.sleep(delay)
        prompt = BinaryPrompt(text=f"prompt-{number}", options=options)
        answers.append((await context.ask(prompt)).value)
    yield "|".join(answers)


@by_message
async def ask_two(context: Context) -> Chunks:
    """Ask two text prompts at the same time."""
    answers = await context.ask_all([TextPrompt(text="one?"), TextPrompt(text="two?")])
    yield "|".join(answer.value for answer in answers)


@by_message
async def ask_together(context: Context) -> Chunks:
    """Ask prompts of several kinds on one card, with one button."""
    prompts: list[Any] = [PROMPTS[name] for name in TOGETHER]
    answers = await context.ask_all(prompts, together="About your trip")
    yield "|".join(str(answer.value) for answer in answers)


@by_message
async def ask_with_long_words(context: Context, together: bool = False) -> Chunks:
    """Ask prompts of all kinds with words wider than a small screen, some on one card."""
    kinds = TOGETHER if together else tuple(PROMPTS)
    forms = long_words.FORMS[:1] if together else long_words.FORMS
    prompts = [long_words.widen(one) for one in (*(PROMPTS[kind] for kind in kinds), *forms)]
    answers = await context.ask_all(prompts, together=long_words.WORD if together else "")
    yield "|".join(str(answer.value) for answer in answers)


@by_message
async def describe_files(context: Context) -> Chunks:
    """Output the name, size and beginning of each file of the message."""
    for file in context.files:
        content = await file.read()
        yield f"{file.name} {file.content_type} {len(content)} {content[:20]!r}\n"


@by_message
async def report_usage(context: Context, prompt_tokens: int, completion_tokens: int) -> Chunks:
    """Report the tokens of two calls of a model, with a text prompt between them."""
    context.add_usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
    yield (await context.ask(TextPrompt(text="prompt-1"))).text
    context.add_usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens)
