"""`python nat_serve.py serve …`: NVIDIA's toolkit as it is installed, and a workflow that does what
`tests/support/workflows/probe.py` does, by the first word of the message.
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

OPTIONS = [
    BinaryHumanPromptOption(id=value, label=value.title(), value=value)
    for value in ("continue", "cancel")
]


class ProbeConfig(FunctionBaseConfig, name="probe"):
    """The probe's configuration, which has no options."""


@register_function(config_type=ProbeConfig)
async def probe(config: ProbeConfig, builder: Builder) -> AsyncIterator[FunctionInfo]:
    """Offer it."""
    yield FunctionInfo.from_fn(answer, description="What benchmarks drive.")


async def answer(request: ChatRequest) -> AsyncGenerator[str, None]:
    """Do what the first word says."""
    word, _, rest = request.messages[-1].content[0].text.partition(" ")
    match word:
        case "echo":
            yield rest
        case "approve":
            manager = Context.get().user_interaction_manager
            answers = []
            for number in range(1, int(rest) + 1):
                prompt = HumanPromptBinary(text=f"prompt-{number}", options=OPTIONS)
                response = await manager.prompt_user_input(prompt)
                answers.append(response.content.selected_option.value)
            yield "|".join(answers)
        case "stream":
            for number in range(int(rest)):
                yield f"t{number} "


if __name__ == "__main__":
    sys.exit(run_cli())
