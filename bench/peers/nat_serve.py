"""The script `nat_serve.py serve …`: NVIDIA's toolkit with a workflow like the tests' probe.

The workflow does the same as some of `tests/support/workflows/`, for the same messages.
"""

import sys
from collections.abc import AsyncGenerator, AsyncIterator

from nat.builder.builder import Builder
from nat.builder.context import Context
from nat.builder.function_info import FunctionInfo
from nat.cli.main import run_cli
from nat.cli.register_workflow import register_function
from nat.data_models.api_server import ChatRequest
from nat.data_models.function import FunctionBaseConfig
from nat.data_models.interactive import BinaryHumanPromptOption, HumanPromptBinary

from tests.support.calls import parse

OPTIONS = [
    BinaryHumanPromptOption(id=value, label=value.title(), value=value)
    for value in ("continue", "cancel")
]


class ProbeConfig(FunctionBaseConfig, name="probe"):
    """The probe's configuration, which has no options."""


@register_function(config_type=ProbeConfig)
async def probe(config: ProbeConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    """Register the probe."""
    yield FunctionInfo.from_fn(answer, description="What benchmarks drive.")


async def answer(request: ChatRequest) -> AsyncGenerator[str, None]:
    """Call the function that the message names."""
    name, arguments, options = parse(request.messages[-1].content[0].text)
    async for chunk in FUNCTIONS[name](*arguments, **options):
        yield chunk


async def echo(text: str) -> AsyncGenerator[str, None]:
    """Return the text."""
    yield text


async def approve(count: int) -> AsyncGenerator[str, None]:
    """Ask several questions one after another."""
    manager = Context.get().user_interaction_manager
    answers = []
    for number in range(1, count + 1):
        prompt = HumanPromptBinary(text=f"prompt-{number}", options=OPTIONS)
        response = await manager.prompt_user_input(prompt)
        answers.append(response.content.selected_option.value)
    yield "|".join(answers)


async def stream(tokens: int) -> AsyncGenerator[str, None]:
    """Stream so many tokens."""
    for number in range(tokens):
        yield f"t{number} "


FUNCTIONS = {"echo": echo, "approve": approve, "stream": stream}

if __name__ == "__main__":
    sys.exit(run_cli())
