"""Graphs of tests: a record of what their nodes do, and their state."""

import asyncio
import operator
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, ClassVar, TypedDict

import pytest
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import tool

from sessions_app.contrib.agents.langgraph import _Superstep


class Done:
    """A record of what the nodes and tools have done, and a gate for one of them."""

    effects: ClassVar[list[str]] = []
    gate: ClassVar[asyncio.Event] = asyncio.Event()

    @classmethod
    def clear(cls) -> None:
        """Begin a new record, with the gate closed."""
        cls.effects, cls.gate = [], asyncio.Event()


class State(TypedDict, total=False):
    """The state of a graph without messages."""

    question: str
    notes: Annotated[list[str], operator.add]


class Model(FakeMessagesListChatModel):
    """A model that is told of tools."""

    def bind_tools(self, tools: Any, **options: Any) -> "Model":
        return self


def model(*answers: BaseMessage) -> Model:
    return Model(responses=list(answers))


@tool
def refund(order: int, euro: Any) -> str:
    """Pay an order back."""
    Done.effects.append(f"{order} {euro}")
    return "Paid."


def hold_records(
    monkeypatch: pytest.MonkeyPatch, is_held: Callable[[Any], object] = lambda _: True
) -> None:
    """Have super-steps wait for the gate with all in the database but their record."""

    async def texts_and_wait(superstep: Any, start: Any) -> AsyncGenerator[str, None]:
        async for text in texts(superstep, start):
            yield text
        if is_held(superstep):
            Done.effects.append("stored")
            await Done.gate.wait()

    texts = _Superstep._texts
    monkeypatch.setattr(_Superstep, "_texts", texts_and_wait)
