"""An agent: a model that answers, and asks for tools until it needs none.

Shows streamed steps (what the model says is seen as it comes, and asked for once), the history of
the conversation, and approvals: what a tool cannot undo waits for a person, several at once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from json import loads

from django.conf import settings
from pydantic import BaseModel, Field

from natproject.workflows.assistant import tools
from natproject.workflows.assistant.endpoint import open_endpoint
from natproject.workflows.assistant.pieces import Model, ModelMessage, ToolCall, Usage
from natproject.workflows.assistant.script import ScriptedModel
from sessions_app.json_types import JsonObject
from sessions_app.workflows import (
    BinaryPrompt,
    Context,
    Message,
    Option,
    StepFailed,
    workflow,
)

DESCRIPTION = "Talks, calculates and keeps notes. It asks before it writes or deletes one. "
NO_MODEL = "No language model is configured here: a small script plays its part."
ANSWERS = [
    Option(value="allow", label="Allow"),
    Option(value="refuse", label="Refuse", destructive=True),
]


class AssistantOptions(BaseModel, extra="forbid"):
    """The options of the assistant in `workflows.yaml`."""

    instructions: str = "You are a helpful assistant. Use the tools where they help. Be brief."
    history: int = Field(20, ge=0, description="how many earlier messages the model is told")
    max_turns: int = Field(10, ge=1, description="how often the model may ask for tools")
    timeout: float = Field(300, gt=0, description="seconds that one answer of the model may take")
    approval_timeout: float = Field(86400, gt=0, description="seconds to allow a tool in")


@asynccontextmanager
async def open_model(_options: AssistantOptions) -> AsyncIterator[Model]:
    """Open the configured model with its connections: one for all users of a process."""
    if settings.OPENAI_MODEL:
        async with open_endpoint() as model:
            yield model
    else:
        yield ScriptedModel()


@workflow(
    name="assistant",
    title="Assistant",
    description=DESCRIPTION + ("" if settings.OPENAI_MODEL else NO_MODEL),
    starters=("Note: buy milk", "What is 17.5 * 12?", "Delete all my notes"),
    asks=("whether it may write or delete a note",),
    options=AssistantOptions,
    shared_builder=open_model,
)
async def assistant(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Ask the model, and carry out its tool calls, until it asks for nothing more."""
    options: AssistantOptions = context.options
    messages: list[ModelMessage] = [{"role": "system", "content": options.instructions}]
    messages += [
        {"role": past.role, "content": past.text} for past in await context.history(options.history)
    ]
    messages.append({"role": "user", "content": message.text})
    for _ in range(options.max_turns):
        try:
            text, calls = await ask_model(messages, context)
        except StepFailed as error:
            yield f"The model cannot be asked ({error.error_type}). Try again later."
            return
        if not calls:
            return
        if text:
            yield "\n\n"
        messages.append({"role": "assistant", "content": text, "tool_calls": as_sent(calls)})
        for call, result in zip(calls, await use_tools(calls, context), strict=True):
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    yield f"I have asked for tools {options.max_turns} times, and stop here."


async def ask_model(messages: list[ModelMessage], context: Context) -> tuple[str, list[ToolCall]]:
    """Stream the model's answer to people, and return it with the tool calls that it wants."""
    model: Model = context.builder
    timeout = context.options.timeout
    pieces = [
        piece
        async for piece in context.stream(model.stream, messages, name="model", timeout=timeout)
    ]
    # After the stream: what depends on its pieces comes once they are recorded.
    for piece in pieces:
        if isinstance(piece, Usage):
            context.add_usage(
                prompt_tokens=piece.prompt_tokens, completion_tokens=piece.completion_tokens
            )
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    return text, [piece for piece in pieces if isinstance(piece, ToolCall)]


def as_sent(calls: list[ToolCall]) -> list[ModelMessage]:
    """Return the calls in the form in which the model is told of them again."""
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in calls
    ]


async def use_tools(calls: list[ToolCall], context: Context) -> list[str]:
    """Run all permitted tools at once, and return the result of each call for the model.

    People are asked for all of their permissions at once too. The calls of the context have an
    order that does not depend on who answers first.
    """
    results = [tools.problem(call.name, call.arguments) for call in calls]
    risky = [
        number
        for number, call in enumerate(calls)
        if not results[number] and tools.TOOLS[call.name].asks
    ]
    answers = await context.ask_all([permission(calls[number], context) for number in risky])
    for number, answer in zip(risky, answers, strict=True):
        if answer.is_default:
            results[number] = "Nobody allowed it in time."
        elif answer.value != "allow":
            results[number] = "The person refused it."
    possible = [number for number, result in enumerate(results) if not result]
    tool_results = await asyncio.gather(*(use(calls[number], context) for number in possible))
    for number, result in zip(possible, tool_results, strict=True):
        results[number] = result
    return results


async def use(call: ToolCall, context: Context) -> str:
    """Run one tool as a step that people see."""
    title = f"{call.name.replace('_', ' ').capitalize()} {subject(call)}".strip()
    use_tool = partial(tools.use, call.name, call.arguments, context.user_id)
    try:
        return await context.step(use_tool, name=call.name, title=title)
    except StepFailed as error:
        return f"That failed ({error.error_type})."


def permission(call: ToolCall, context: Context) -> BinaryPrompt:
    """Build the question whether a tool may be used."""
    arguments: JsonObject = loads(call.arguments or "{}")
    return BinaryPrompt(
        text=f"May I {call.name.replace('_', ' ')} {subject(call)}?",
        options=ANSWERS,
        details={name: str(value) for name, value in arguments.items()},
        timeout=context.options.approval_timeout,
        default="refuse",
        error="Nobody allowed it in time.",
    )


def subject(call: ToolCall) -> str:
    """Return the first argument of a call: what it is about, in short."""
    return str(next(iter(loads(call.arguments or "{}").values()), ""))[:60]
