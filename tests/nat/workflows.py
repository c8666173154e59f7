"""The functions of killed.yml, of which people count outside what they do.

The message says where a run takes its time, and how many milliseconds: `model 250` before each
word, `function 5000` in the last of three.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from nat.builder.builder import Builder
from nat.builder.context import Context
from nat.builder.framework_enum import LLMFrameworkEnum
from nat.builder.function_info import FunctionInfo
from nat.builder.llm import LLMProviderInfo
from nat.cli.register_workflow import (
    register_function,
    register_llm_client,
    register_llm_provider,
)
from nat.data_models.api_server import ChatRequest
from nat.data_models.component_ref import FunctionRef, LLMRef
from nat.data_models.function import FunctionBaseConfig
from nat.data_models.llm import LLMBaseConfig

from tests.contrib.agents.workflows.agents import WORDS
from tests.nat import components  # noqa: F401 - registers more
from tests.support.workflows.effects import append_line


def log(what: str) -> None:
    append_line(f"{Context.get().input_message.split()[0]}: {what}")


def seconds(place: str) -> float:
    """Return how long the run takes at a place."""
    word, _, number = str(Context.get().input_message).partition(" ")
    return int(number) / 1000 if word == place else 0


class SlowModelConfig(LLMBaseConfig, name="t_slow_model"):
    """A model that says the words of the probe."""


@register_llm_provider(config_type=SlowModelConfig)
async def provider(config: SlowModelConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    yield LLMProviderInfo(config=config, description="Says words.")


class SlowModel(BaseChatModel):
    """A model that waits before each word."""

    @property
    def _llm_type(self) -> str:
        return "slow"

    def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
        log("model invoked")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("It is paid."))])

    def _stream(self, *arguments: Any, **options: Any) -> Iterator[ChatGenerationChunk]:
        log("model streamed")
        for word in WORDS:
            time.sleep(seconds("model"))
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


@register_llm_client(config_type=SlowModelConfig, wrapper_type=LLMFrameworkEnum.LANGCHAIN)
async def client(config: SlowModelConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    yield SlowModel()


class WorkConfig(FunctionBaseConfig, name="t_work"):
    """A function that takes its time."""

    verb: str


@register_function(config_type=WorkConfig)
async def do_work(config: WorkConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def run(number: int) -> str:
        """Do it."""
        log(f"{config.verb} {number} begins")
        await asyncio.sleep(seconds("function") if number == 3 else 0)
        log(f"{config.verb} {number} ends")
        return "It is done."

    yield FunctionInfo.from_fn(run, description="Do it.")


class KilledConfig(FunctionBaseConfig, name="t_killed"):
    """A workflow that looks, asks, and pays."""

    llm: LLMRef
    look: FunctionRef
    pay: FunctionRef
    confirm: FunctionRef


@register_function(config_type=KilledConfig)
async def killed(config: KilledConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    model = await builder.get_llm(config.llm, wrapper_type=LLMFrameworkEnum.LANGCHAIN)
    look = await builder.get_function(config.look)
    pay = await builder.get_function(config.pay)
    confirm = await builder.get_function(config.confirm)

    async def run(message: str) -> str:
        """Look, ask, and pay."""
        words = [str(chunk.content) async for chunk in model.astream("Look")]
        for number in range(1, 4):
            await look.acall_invoke(number=number)
        if not await confirm.acall_invoke():
            return "Not paid."
        await pay.acall_invoke(number=5)
        answer = await model.ainvoke("Say it")
        return "".join(words) + str(answer.content)

    yield FunctionInfo.from_fn(run, description="Look, ask, and pay.")


class PaymentConfig(FunctionBaseConfig, name="t_payment"):
    """A function that pays for a conversation."""


@register_function(config_type=PaymentConfig)
async def payment(config: PaymentConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def pay(place: str) -> str:
        """Pay."""
        append_line(f"pay {place} begins")
        return "It is done."

    yield FunctionInfo.from_fn(pay, description="Pay.")


class CarefulConfig(FunctionBaseConfig, name="t_careful"):
    """A workflow that pays once in a conversation, whatever its runs come to."""

    pay: FunctionRef
    confirm: FunctionRef


@register_function(config_type=CarefulConfig)
async def careful(config: CarefulConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    pay = await builder.get_function(config.pay)
    confirm = await builder.get_function(config.confirm)

    async def run(request: ChatRequest) -> str:
        """Pay, unless the conversation says that it is paid."""
        place = str(Context.get().conversation_id)
        if any("It is done" in str(one.content) for one in request.messages):
            return "It is paid."
        if await confirm.acall_invoke():
            await pay.acall_invoke(place=place)
        append_line(f"told {place}")
        await asyncio.sleep(0.1)
        return "It is paid."

    yield FunctionInfo.from_fn(run, description="Pay once.")
