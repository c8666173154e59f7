"""A model behind any endpoint that speaks OpenAI's chat completions. It needs `[openai]`."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from sessions_app.agents.models import ModelMessage, Piece, ToolCall, Usage
from sessions_app.json_types import JsonObject
from sessions_app.workflows import Reasoning

try:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    from sessions_app.http_bodies import limit_each
except ImportError as error:
    raise ImproperlyConfigured(
        "sessions_app.agents.openai_model needs the package openai: "
        "pip install 'django-durable-hitl[openai]'"
    ) from error

# Bytes of one answer, decompressed.
MAX_ANSWER = 8 * 1024**2


class OpenAIModel:
    """A model of an endpoint, by its name there."""

    def __init__(self, client: AsyncOpenAI, name: str) -> None:
        self._client = client
        self._name = name

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the answer, as of `Model`."""
        request: Any = {"messages": messages}  # the client's types name each kind of message
        if tools:
            request["tools"] = tools
        chunks = await self._client.chat.completions.create(
            model=self._name, stream=True, stream_options={"include_usage": True}, **request
        )
        calls: list[_CallParts] = []
        async with chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    yield Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    # Not of OpenAI's own API: servers of open models give it under this name.
                    if thought := getattr(choice.delta, "reasoning_content", None):
                        yield Reasoning(thought)
                    if choice.delta.content:
                        yield choice.delta.content
                    _gather(calls, choice.delta.tool_calls or [])
        for call in calls:
            yield ToolCall(call.id, call.name, call.arguments)


@dataclass
class _CallParts:
    """The parts of a tool call so far."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


def _gather(calls: list[_CallParts], parts: list[Any]) -> None:
    """Add the parts of tool calls: first id and name, then pieces of the arguments.

    Some servers have one index for all calls of an answer: another id is another call.
    """
    for part in parts:
        call = next((one for one in reversed(calls) if one.index == part.index), None)
        if call is None or (call.id and part.id and part.id != call.id):
            call = _CallParts(part.index)
            calls.append(call)
        call.id = call.id or part.id or ""
        call.name = call.name or part.function.name or ""
        call.arguments += part.function.arguments or ""


@asynccontextmanager
async def open_model(
    name: str, *, base_url: str | None = None, api_key: str = ""
) -> AsyncIterator[OpenAIModel]:
    """Open a model with its connections, to be shared by all users of a process.

    Without a `base_url` it is OpenAI's own endpoint.
    """
    async with AsyncOpenAI(
        base_url=base_url or None,
        api_key=api_key or "none",  # servers of one's own want no key, but the client does
        http_client=DefaultAsyncHttpxClient(event_hooks={"response": [limit_each(MAX_ANSWER)]}),
    ) as client:
        yield OpenAIModel(client, name)
