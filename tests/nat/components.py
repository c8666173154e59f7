"""Functions of the toolkit as its users write them: one that makes a builder knows this server."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatResult
from langgraph.errors import GraphRecursionError
from nat.builder.builder import Builder
from nat.builder.context import Context
from nat.builder.framework_enum import LLMFrameworkEnum
from nat.builder.function import FunctionGroup
from nat.builder.function_info import FunctionInfo
from nat.builder.llm import LLMProviderInfo
from nat.builder.workflow_builder import WorkflowBuilder
from nat.cli.register_workflow import (
    register_function,
    register_function_group,
    register_llm_client,
    register_llm_provider,
    register_per_user_function,
)
from nat.data_models.api_server import ChatRequest
from nat.data_models.component_ref import AuthenticationRef, FunctionRef, LLMRef
from nat.data_models.function import FunctionBaseConfig, FunctionGroupBaseConfig
from nat.data_models.interactive import HumanPrompt, HumanPromptText
from nat.data_models.llm import LLMBaseConfig
from pydantic import BaseModel
from pydantic_core import to_json

from sessions_app.contrib.agents.nat import RecordingBuilder


class Done:
    """A record of what the functions have done outside."""

    effects: ClassVar[list[str]] = []
    fails: ClassVar[bool] = False


async def prompt(content: Any) -> Any:
    response = await Context.get().user_interaction_manager.prompt_user_input(content)
    return response.content


class ModelConfig(LLMBaseConfig, name="t_model"):
    """A model that answers in turn, of the kind that agents need: `nat_test_llm` is of none."""

    answers: list[str]


@register_llm_provider(config_type=ModelConfig)
async def model_provider(config: ModelConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    yield LLMProviderInfo(config=config, description="Answers in turn.")


class Model(GenericFakeChatModel):
    """A model that notes each request."""

    def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
        Done.effects.append("model")
        return super()._generate(*arguments, **options)


@register_llm_client(config_type=ModelConfig, wrapper_type=LLMFrameworkEnum.LANGCHAIN)
async def model_client(config: ModelConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    yield Model(messages=map(AIMessage, config.answers))


class ConfirmConfig(FunctionBaseConfig, name="t_confirm"):
    """A question that is answered by yes or no."""

    question: str
    timeout: int | None = None


@register_function(config_type=ConfirmConfig)
async def confirm(config: ConfirmConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def ask(unused: str = "") -> bool:
        """Ask the person."""
        answer = await prompt(HumanPromptText(text=config.question, timeout=config.timeout))
        return "yes" in answer.text.lower()

    yield FunctionInfo.from_fn(ask, description="Ask the person.")


class ShopConfig(FunctionGroupBaseConfig, name="t_shop"):
    """A group of functions that have effects."""


@register_function_group(config_type=ShopConfig)
async def shop(config: ShopConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    group = FunctionGroup(config=config)

    async def look(order: int) -> str:
        """Look an order up."""
        Done.effects.append(f"look {order}")
        return f"Order {order} costs 40 €."

    async def pay(order: int) -> str:
        """Pay an order back."""
        Done.effects.append(f"pay {order}")
        if Done.fails:
            raise ValueError("The bank is closed.")
        return f"Order {order} is paid back."

    group.add_function("look", look, description="Look an order up.")
    group.add_function("pay", pay, description="Pay an order back.")
    yield group


class Receipt(BaseModel):
    """The result of a function, which is no text."""

    order: int
    lines: list[str]


class RefundConfig(FunctionBaseConfig, name="t_refund"):
    """A workflow with an effect between two prompts, and a model."""

    llm: LLMRef
    confirm: FunctionRef


@register_function(config_type=RefundConfig)
async def refund(config: RefundConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    model = await builder.get_llm(config.llm, wrapper_type=LLMFrameworkEnum.LANGCHAIN)
    ask = await builder.get_function(config.confirm)
    pay = await builder.get_function("shop__pay")
    look = await builder.get_function("shop__look")

    async def run(message: str) -> str:
        """Pay an order back."""
        facts = await look.acall_invoke(order=17)
        if not await ask.acall_invoke():
            return "Not paid."
        paid = await pay.acall_invoke(order=17)
        words = await model.ainvoke(f"{message} {facts} {paid}")
        name = await prompt(HumanPromptText(text="Who wants it?"))
        return f"{paid} {words} {name.text}"

    yield FunctionInfo.from_fn(run, description="Pay an order back.")


class RetryConfig(FunctionBaseConfig, name="t_retry"):
    """A workflow that has an agent try again with a builder of its own, as often as allowed."""

    plain_builder: bool = False
    agent: FunctionRef
    confirm: FunctionRef


@register_function(config_type=RetryConfig)
async def retry(config: RetryConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    ask = await builder.get_function(config.confirm)
    first = await builder.get_function(config.agent)

    async def run(message: str) -> str:
        """Answer, with more calls of tools each time."""
        agent, agent_config = first, builder.get_function_config(config.agent)
        while True:
            try:
                return str(await agent.ainvoke(message, to_type=str))
            except GraphRecursionError:
                if not await ask.acall_invoke():
                    return "Given up."
            more = agent_config.max_tool_calls + 1
            agent_config = agent_config.model_copy(update={"max_tool_calls": more})
            async with WorkflowBuilder() if config.plain_builder else RecordingBuilder() as other:
                await other.add_llm("model", builder.get_llm_config("model"))
                await other.add_function_group("shop", builder.get_function_group_config("shop"))
                agent = await other.add_function("again", agent_config)

    yield FunctionInfo.from_fn(run, description="Answer.")


class ProxyConfig(FunctionBaseConfig, name="t_proxy"):
    """A workflow that calls a function of a plain builder, by a configuration of its own."""


@register_function(config_type=ProxyConfig)
async def proxy(config: ProxyConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def run(message: str) -> str:
        """Have it given, and ask."""
        async with WorkflowBuilder() as other:
            give = await other.add_function("give", GiveConfig())
            await give.acall_invoke(name="it")
        return str((await prompt(HumanPromptText(text="Go on?"))).text)

    yield FunctionInfo.from_fn(run, description="Have it given.")


class AskAllConfig(FunctionBaseConfig, name="t_ask_all"):
    """A workflow that asks all that there is to ask."""

    prompts: list[HumanPrompt]


@register_function(config_type=AskAllConfig)
async def ask_all(config: AskAllConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def run(message: str) -> str:
        """Ask, and say what was answered."""
        answers = [await prompt(content) for content in config.prompts]
        return to_json(answers).decode()

    yield FunctionInfo.from_fn(run, description="Ask.")


class PayIfConfig(FunctionBaseConfig, name="t_pay_if"):
    """A workflow that pays if the answer to its prompt is yes."""

    prompt: HumanPrompt


@register_function(config_type=PayIfConfig)
async def pay_if(config: PayIfConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def run(message: str) -> str:
        """Ask, and pay."""
        answer = await prompt(config.prompt)
        option = getattr(answer, "selected_option", None)
        if (answer.text == "PAY") if option is None else option.value in (True, "pay"):
            Done.effects.append("pay")
        return "The end."

    yield FunctionInfo.from_fn(run, description="Ask, and pay.")


class ChatConfig(FunctionBaseConfig, name="t_chat"):
    """A workflow that takes a conversation, pays, and fails at a word."""


@register_function(config_type=ChatConfig)
async def chat(config: ChatConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    pay = await builder.get_function("shop__pay")

    async def run(request: ChatRequest) -> str:
        """Pay for the first message, and say what there was before."""
        if len(request.messages) > 1:
            return "\n".join(f"{one.role.value}: {one.content}" for one in request.messages)
        if (await prompt(HumanPromptText(text="Pay?"))).text == "yes":
            await pay.acall_invoke(order=17)
        raise ConnectionError

    yield FunctionInfo.from_fn(run, description="Pay.")


class ReceiptConfig(FunctionBaseConfig, name="t_receipt"):
    """A function that gives an object, and one chunk after another if it is streamed."""


@register_function(config_type=ReceiptConfig)
async def receipt(config: ReceiptConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def once(order: int) -> list[Receipt]:
        """Make a receipt."""
        Done.effects.append(f"receipt {order}")
        return [Receipt(order=order, lines=["Bolt"])]

    async def streamed(order: int) -> AsyncGenerator[str, None]:
        """Read a receipt out."""
        Done.effects.append(f"read {order}")
        for word in ("Bolt\0, ", "nut. "):  # a NUL cannot be stored
            yield word

    yield FunctionInfo.create(single_fn=once, stream_fn=streamed, description="A receipt.")


class StreamConfig(FunctionBaseConfig, name="t_stream"):
    """A workflow that streams only, and calls several functions at once."""

    receipt: FunctionRef


@register_function(config_type=StreamConfig)
async def stream(config: StreamConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    make = await builder.get_function(config.receipt)
    look = await builder.get_function("shop__look")
    pay = await builder.get_function("shop__pay")

    async def run(message: str) -> AsyncGenerator[str, None]:
        """Stream what the functions give."""
        [one] = await make.acall_invoke(order=1)
        yield f"{one.order} {one.lines} "
        async for word in make.acall_stream(order=2):
            yield word
        results = await asyncio.gather(
            look.acall_invoke(order=3), pay.acall_invoke(order=4), return_exceptions=True
        )
        await prompt(HumanPromptText(text="Go on?"))
        yield " ".join(map(str, results))

    yield FunctionInfo.from_fn(run, description="Stream.")


class CountConfig(FunctionBaseConfig, name="t_count"):
    """A workflow of each user's own, which counts its runs."""


@register_per_user_function(config_type=CountConfig, input_type=str, single_output_type=str)
async def count(config: CountConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    Done.effects.append(f"built for {Context.get().user_id}")
    runs: list[str] = []

    async def run(message: str) -> str:
        """Count."""
        runs.append(message)
        answer = await prompt(HumanPromptText(text=f"{message}?"))
        return f"{Context.get().user_id} {answer.text} {Context.get().workflow_run_id}"

    yield FunctionInfo.from_fn(run, description="Count.")


class OrdersConfig(FunctionBaseConfig, name="t_orders"):
    """A workflow that acts for its person at another site."""

    login: AuthenticationRef


@register_function(config_type=OrdersConfig)
async def orders(config: OrdersConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    provider = await builder.get_auth_provider(config.login)

    async def run(message: str) -> str:
        """Use a token, ask, and use it again."""
        for _ in range(2):
            [credential] = (await provider.authenticate()).credentials
            Done.effects.append(credential.token.get_secret_value())
            answer = await prompt(HumanPromptText(text="Go on?"))
        return str(answer.text)

    yield FunctionInfo.from_fn(run, description="Use a token.")


class GiveConfig(FunctionBaseConfig, name="t_give"):
    """A function that gives what a test puts there."""


@register_function(config_type=GiveConfig)
async def give(config: GiveConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def once(name: str) -> Any:
        """Give it."""
        Done.effects.append(f"give {name}")
        return Given.value

    yield FunctionInfo.from_fn(once, description="Give it.")


class Given:
    """The value that `t_give` gives, and what its caller got each time."""

    value: ClassVar[Any] = None
    seen: ClassVar[list[Any]] = []


class TakeConfig(FunctionBaseConfig, name="t_take"):
    """A workflow that takes what a function gives, and asks."""

    give: FunctionRef


@register_function(config_type=TakeConfig)
async def take(config: TakeConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    give = await builder.get_function(config.give)

    async def run(message: str) -> str:
        """Take it, and ask."""
        Given.seen.append(await give.acall_invoke(name="it"))
        return str((await prompt(HumanPromptText(text="Go on?"))).text)

    yield FunctionInfo.from_fn(run, description="Take it.")


class WrongInputConfig(FunctionBaseConfig, name="t_wrong_input"):
    """A workflow that calls a function with an input that it does not take, and goes on."""

    give: FunctionRef


@register_function(config_type=WrongInputConfig)
async def wrong_input(config: WrongInputConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    give = await builder.get_function(config.give)

    async def run(message: str) -> str:
        """Call it in a wrong way, and ask."""
        try:
            await give.ainvoke(object())
        except (TypeError, ValueError) as error:
            return str((await prompt(HumanPromptText(text=type(error).__name__))).text)
        return "It took anything."

    yield FunctionInfo.from_fn(run, description="Call it in a wrong way.")


class SayConfig(FunctionBaseConfig, name="t_say"):
    """A workflow whose output is no text: whole, or in chunks."""

    whole: bool


@register_function(config_type=SayConfig)
async def say(config: SayConfig, builder: Builder) -> AsyncGenerator[Any, None]:
    async def once(message: str) -> bytes:
        """Say it whole."""
        return b"\xff"

    async def chunks(message: str) -> AsyncGenerator[Receipt, None]:
        """Say it in chunks."""
        for order in (1, 2):
            yield Receipt(order=order, lines=[])

    yield FunctionInfo.from_fn(once if config.whole else chunks, description="Say it.")
