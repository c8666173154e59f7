"""The loop of an agent: a model answers, and asks for tools until it needs none."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from sessions_app.contrib.agents.budget import Budget, Spending
from sessions_app.contrib.agents.language_model import (
    AnswerFields,
    Model,
    ModelMessage,
    Piece,
    ToolCall,
    Usage,
    behind,
    cut_off,
    no_answer,
)
from sessions_app.contrib.agents.tool_use import use_tools
from sessions_app.contrib.agents.tools import Tool, Tools, Toolset, cut
from sessions_app.errors import StepFailed
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.workflows import Context, PastMessage, Reasoning, Retry
from sessions_app.workflows.streams import StreamedText

log = Log(__name__)

MODEL_RETRY = Retry(attempts=3)
# The text of a message that has none.
NOTHING = "(nothing)"


class Agent:
    """A model with instructions and tools, which answers a message durably.

    Each request to the model and each call of a tool is a step: a restart repeats none that is
    recorded. It keeps nothing of a run, so one object serves all.
    """

    def __init__(  # noqa: PLR0913 - a declaration, read like a form
        self,
        *,
        instructions: str = "",
        tools: Iterable[Tool | Toolset | Callable[..., Any]] = (),
        budget: Budget = Budget(),  # noqa: B008 - it is frozen
        history: int = 20,
        max_history: int = 50_000,
        max_result: int = 20_000,
        timeout: float = 300,
        retry: Retry | None = MODEL_RETRY,
    ) -> None:
        """Declare an agent.

        Args:
            instructions: the first message that the model gets.
            tools: functions, what `tool` makes of them, and sets of tools such as `McpServer`.
            budget: when a person is asked whether it goes on.
            history: how many earlier messages of the conversation the model gets.
            max_history: characters of these; older messages are left out.
            max_result: characters of a tool's result that the model gets.
            timeout: seconds that one answer of the model may take.
            retry: tries again where the model fails before its first piece.
        """
        tools = list(tools)
        self.instructions = instructions
        self.tools = Tools(one for one in tools if not isinstance(one, Toolset))
        self.toolsets = [one for one in tools if isinstance(one, Toolset)]
        self.budget = budget
        self.history = history
        self.max_history = max_history
        self.max_result = max_result
        self.timeout = timeout
        self.retry = retry

    async def run(self, context: Context, model: Model) -> str:
        """Answer the run's message, and return the last text; all texts are streamed to people.

        Where the model cannot be asked, the text says so.
        """
        past = await context.history(self.history)
        tools, problems = await self._collect_tools(context)
        messages = [*self._beginning(past, problems), _question(context)]
        spending, turn, has_said = Spending(self.budget, context), 0, False
        while await spending.may_go_on():
            request = _Request(model, tools, apart=has_said)
            try:
                text, calls, usage = await self._ask(context, request, messages)
            except StepFailed as error:
                return cut_off(error) if request.has_said else no_answer(error, apart=has_said)
            spending.add_turn(usage)
            if not calls:
                return StreamedText(text)
            has_said, turn = has_said or bool(text), turn + 1
            results = await use_tools(calls, tools, context, turn)
            messages += self._exchange(request.pieces, results)
        return behind("I stop here.", apart=has_said)

    async def _collect_tools(self, context: Context) -> tuple[Tools, list[str]]:
        """Return the tools with those of the toolsets, and a sentence on each that has none now.

        Of two with one name it is the first: a server may list any.
        """
        if not self.toolsets:
            return self.tools, []
        by_name, problems = {one.name: one for one in self.tools}, []
        for toolset in self.toolsets:
            try:
                for one in await toolset.tools(context):
                    if by_name.setdefault(one.name, one) is not one:
                        log.warning("agent.tool_left_out", toolset=toolset.name, tool=one.name)
            except StepFailed:
                problems.append(f"The tools of {toolset.name} cannot be used at the moment.")
        return Tools(by_name.values()), problems

    def _beginning(
        self, past: Sequence[PastMessage], problems: Sequence[str]
    ) -> list[ModelMessage]:
        """Return the instructions, and as many of the last messages as fit."""
        kept: list[ModelMessage] = []
        size = 0
        for one in reversed(past):
            size += len(one.text)
            if size > self.max_history:
                break
            kept.append({"role": one.role, "content": _some(one.text)})
        while kept and kept[-1]["role"] == "assistant":  # without what it answers
            kept.pop()
        text = "\n\n".join(filter(None, [self.instructions, *problems]))
        first = [{"role": "system", "content": text}] if text else []
        return first + kept[::-1]

    async def _ask(
        self, context: Context, request: "_Request", messages: list[ModelMessage]
    ) -> tuple[str, list[ToolCall], Usage | None]:
        """Stream the model's answer to people; return its text, tool calls and usage."""
        stream = context.stream(
            request.stream,
            messages,
            request.schemas,
            name="model",
            timeout=self.timeout,
            retry=self.retry,
        )
        async for piece in stream:
            request.pieces.append(piece)
        pieces, usage = request.pieces, None
        # After the stream: what depends on its pieces comes once they are recorded. There is one
        # usage; an earlier version recorded several, and the journal has an entry for each.
        for piece in pieces:
            if isinstance(piece, Usage):
                usage = piece
                context.add_usage(
                    prompt_tokens=piece.prompt_tokens, completion_tokens=piece.completion_tokens
                )
        return _text(pieces), _calls(pieces), usage

    def _exchange(self, pieces: Sequence[Piece], results: Sequence[str]) -> list[ModelMessage]:
        """Return the messages of an answer with tool calls, and of their results."""
        calls, fields = _calls(pieces), _fields(pieces)
        # No text is null, as in OpenAI's own answers: some servers refuse an empty one.
        answer: ModelMessage = {**fields, "role": "assistant", "content": _text(pieces) or None}
        answer["tool_calls"] = [_call_message(call) for call in calls]
        return [
            answer,
            *(
                {
                    "role": "tool",
                    "tool_call_id": call.id,
                    "content": _some(cut(result, self.max_result)),
                }
                for call, result in zip(calls, results, strict=True)
            ),
        ]


class _Request:
    """A request to the model, and the `pieces` that were read of its answer.

    Its text stands `apart` from what people have read before.
    """

    def __init__(self, model: Model, tools: Tools, *, apart: bool) -> None:
        self._model = model
        self._apart = apart
        self.schemas = [one.schema for one in tools]
        self.pieces: list[Piece] = []

    @property
    def has_said(self) -> bool:
        """True if people have read a text of the answer, though it may have failed then."""
        return any(isinstance(piece, str) for piece in self.pieces)

    async def stream(
        self, messages: list[ModelMessage], schemas: list[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the model's answer, with the last `Usage` of it at its end."""
        apart, usage = self._apart, None
        async with aclosing(self._model.stream(messages, schemas)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Usage):
                    usage = piece
                    continue
                if apart and isinstance(piece, str):
                    yield "\n\n"
                    apart = False
                yield piece
        if usage is not None:
            yield usage


def _question(context: Context) -> ModelMessage:
    message = context.input_message
    return {"role": "user", "content": _some(str(message))}


def _some(text: str) -> str:
    """Return the text, or a word for one that is empty, which some servers refuse."""
    return text if text.strip() else NOTHING


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str)).lstrip("\n")


def _calls(pieces: Sequence[Piece]) -> list[ToolCall]:
    return [piece for piece in pieces if isinstance(piece, ToolCall)]


def _fields(pieces: Sequence[Piece]) -> JsonObject:
    """Return the fields of an answer that its server wants back."""
    fields: JsonObject = {}
    for piece in pieces:
        if isinstance(piece, AnswerFields):
            fields |= piece.fields
            if piece.thoughts:
                thoughts = [one.reasoning for one in pieces if isinstance(one, Reasoning)]
                fields[piece.thoughts] = "".join(thoughts)
    return fields


def _call_message(call: ToolCall) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    own = call.fields.get("function", {})
    return {**call.fields, "id": call.id, "type": "function", "function": {**own, **function}}
