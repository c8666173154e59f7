"""A model behind any endpoint that speaks OpenAI's chat completions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings

from natproject.workflows.assistant.pieces import ModelMessage, Piece, ToolCall, Usage
from natproject.workflows.assistant.tools import SCHEMAS
from sessions_app.workflows import Reasoning

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class EndpointModel:
    """The model OPENAI_MODEL at OPENAI_BASE_URL."""

    def __init__(self, client: "AsyncOpenAI", name: str) -> None:
        self._client = client
        self._name = name

    async def stream(self, messages: list[ModelMessage]) -> AsyncIterator[Piece]:
        untyped_messages: Any = messages  # the client's types name each kind of message
        chunks = await self._client.chat.completions.create(
            model=self._name,
            messages=untyped_messages,
            tools=SCHEMAS,
            stream=True,
            stream_options={"include_usage": True},
        )
        calls: dict[int, dict[str, str]] = {}
        async with chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    yield Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    # Not of OpenAI's own API: servers of open models give it under this name.
                    if reasoning := getattr(choice.delta, "reasoning_content", None):
                        yield Reasoning(reasoning)
                    if choice.delta.content:
                        yield choice.delta.content
                    _gather(calls, choice.delta.tool_calls or [])
        for _, call in sorted(calls.items()):
            yield ToolCall(**call)


def _gather(calls: dict[int, dict[str, str]], parts: list[Any]) -> None:
    """Add the parts of tool calls: first id and name, then pieces of the arguments."""
    for part in parts:
        call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
        call["id"] += part.id or ""
        call["name"] += part.function.name or ""
        call["arguments"] += part.function.arguments or ""


@asynccontextmanager
async def open_endpoint() -> AsyncIterator[EndpointModel]:
    """Open a client with its connections."""
    # Only where it is used: `make run` does without. The settings have seen that it is there.
    from openai import AsyncOpenAI  # noqa: PLC0415

    async with AsyncOpenAI(
        base_url=settings.OPENAI_BASE_URL or None,
        api_key=settings.OPENAI_API_KEY or "none",  # servers of one's own want none
    ) as client:
        yield EndpointModel(client, settings.OPENAI_MODEL)
