"""The loop of an agent: a model answers, and calls tools until no more are needed."""

import inspect
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from sessions_app.contrib.agents.approvals import (
    ask_approval,
    ask_to_go_on,
    decided_before,
    gather_all,
    make_call,
    refusal,
    remarks,
    too_many,
)
from sessions_app.contrib.agents.done_calls import done_calls
from sessions_app.contrib.agents.language_model import (
    AnswerFields,
    Ending,
    LanguageModel,
    ModelMessage,
    Piece,
    ToolCall,
    Usage,
    no_answer,
    with_files,
    with_separator,
)
from sessions_app.contrib.agents.tools import (
    Tool,
    ToolContext,
    Tools,
    Toolset,
    as_text,
    cut,
    read_arguments,
    tool_name,
)
from sessions_app.errors import StepFailed, TooLarge
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.workflows import Context, PastMessage, Reasoning, Retry
from sessions_app.workflows.streams import StreamedText

log = Log(__name__)

MODEL_RETRY = Retry(attempts=3)
# Content in place of an empty text, because some model servers refuse empty texts.
NOTHING = "(nothing)"
# Sentences for people about an answer that a server ends early, by the reason.
ENDINGS = {
    "length": "The answer was cut off: the model has reached its maximum length.",
    "content_filter": "The answer was stopped by the filter of the model's server.",
}
NO_TEXT = "The model has given no answer. Try again, or ask in other words."
TOO_LARGE = "It was done. Its result is too large to be shown."


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one answer; None is no limit. At a limit, a person decides whether to go on.

    `turns` counts requests to the model, `tokens` both prompt and completion, `seconds` the time
    since the agent began, without the wait for that person.
    """

    turns: int | None = 10
    tokens: int | None = None
    seconds: float | None = None


class Agent:
    """The instructions, tools and limits with which a model answers messages durably.

    Each request to the model and each tool call is a step, so that after a restart, recorded ones
    are not repeated. An agent keeps no state of a run, so all runs share one object.
    """

    def __init__(  # noqa: PLR0913 - a declaration, read like a form
        self,
        *,
        instructions: str = "",
        tools: Iterable[Tool | Toolset | Callable[..., Any]] = (),
        budget: Budget = Budget(),
        history: int = 20,
        max_history: int = 50_000,
        max_result: int = 20_000,
        timeout: float = 300,
        retry: Retry | None = MODEL_RETRY,
    ) -> None:
        """Declare an agent.

        Args:
            instructions: the first message to the model.
            tools: functions, tools, and sets of tools such as `McpServer`.
            budget: limits after which a person is asked whether to go on.
            history: number of earlier messages of the conversation for the model.
            max_history: characters of earlier messages; older ones are left out.
            max_result: characters of a tool's result for the model.
            timeout: seconds for one answer of the model.
            retry: tries again if the model fails before its first piece.
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

    async def run(self, context: Context, model: LanguageModel) -> str:
        """Answer the run's message, and return the last text; all texts are streamed to people.

        If the model cannot be reached, the text says so.
        """
        past = await context.history(self.history, calls=True)
        tools, problems = await self._collect_tools(context)
        question: ModelMessage = {
            "role": "user",
            "content": _text_or_placeholder(with_files(str(context.input_message), context.files)),
        }
        messages = [*self._beginning(past, problems), question]
        spending, turn, has_said = _Spending(self.budget, context), 0, False
        while await spending.may_go_on():
            answer = _Answer(model, apart=has_said)
            try:
                usage = await self._ask(context, answer, messages, tools)
            except StepFailed as error:
                if answer.has_said:
                    cut_off = f"The answer was cut off ({error.error_type}). Try again later."
                    return with_separator(cut_off, apart=True)
                return no_answer(error, apart=has_said)
            spending.add_turn(usage)
            if shortfall := answer.shortfall:
                return with_separator(shortfall, apart=has_said or answer.has_said)
            if not answer.calls:
                return StreamedText(answer.text)
            has_said, turn = has_said or bool(answer.text), turn + 1
            results = await _use_tools(answer.calls, tools, context, turn)
            messages.append(answer.message([one.arguments for one in results]))
            for call, result in zip(answer.calls, results, strict=True):
                messages.append(self._tool_message(call.id, result.text, result.remarks))
        return with_separator("I stop here.", apart=has_said)

    async def _collect_tools(self, context: Context) -> tuple[Tools, list[str]]:
        """Return all tools, and a sentence for each toolset that is unavailable now.

        Of two tools with the same name, the first is used, because a server may list any name.
        """
        if not self.toolsets:
            return self.tools, []
        by_name, problems = {one.name: one for one in self.tools}, []
        for toolset, tools in zip(self.toolsets, await self._list_tools(context), strict=True):
            if tools is None:
                problems.append(f"The tools of {toolset.name} cannot be used at the moment.")
            for one in tools or ():
                if by_name.setdefault(one.name, one) is not one:
                    log.warning("agent.tool_left_out", toolset=toolset.name, tool=one.name)
        return Tools(by_name.values()), problems

    async def _list_tools(self, context: Context) -> list[Sequence[Tool] | None]:
        """Return the tools of each toolset; None if it is unavailable now."""
        several = len(self.toolsets) > 1
        if several and context.patched("list the tools of all servers concurrently"):
            return await context.gather(*(_tools_of(one, context) for one in self.toolsets))
        return [await _tools_of(one, context) for one in self.toolsets]

    def _beginning(
        self, past: Sequence[PastMessage], problems: Sequence[str]
    ) -> list[ModelMessage]:
        """Return the first messages of a request: instructions, and the past messages that fit."""
        kept: list[list[ModelMessage]] = []
        size = 0
        for one in reversed(past):
            messages = self._past_messages(one)
            size += sum(len(message["content"] or "") for message in messages)
            if size > self.max_history:
                break
            kept.append(messages)
        while kept and kept[-1][0]["role"] == "assistant":  # drop answers without their question
            kept.pop()
        text = "\n\n".join(filter(None, [self.instructions, *problems]))
        first = [{"role": "system", "content": text}] if text else []
        return first + [message for messages in reversed(kept) for message in messages]

    def _past_messages(self, past: PastMessage) -> list[ModelMessage]:
        """Return a past message for the model: the calls of its run, then the text."""
        messages: list[ModelMessage] = []
        if calls := done_calls(past.calls, past.run):
            written = [_written_call(one.id, one.tool, as_text(one.arguments), {}) for one in calls]
            messages.append({"role": "assistant", "content": None, "tool_calls": written})
            messages += [self._tool_message(one.id, one.result) for one in calls]
        text = with_files(past.text, past.files)
        if text or not calls:
            messages.append({"role": past.role, "content": _text_or_placeholder(text)})
        return messages

    def _tool_message(self, call_id: str, result: str, remarks: str = "") -> ModelMessage:
        content = _text_or_placeholder(cut(result, self.max_result)) + remarks
        return {"role": "tool", "tool_call_id": call_id, "content": content}

    async def _ask(
        self, context: Context, answer: "_Answer", messages: list[ModelMessage], tools: Tools
    ) -> Usage | None:
        """Stream the model's answer to people, and return its usage."""
        stream = context.stream(
            answer.stream,
            messages,
            [one.schema for one in tools],
            name="model",
            timeout=self.timeout,
            retry=self.retry,
        )
        async for piece in stream:
            answer.pieces.append(piece)
        usage = None
        # Context calls that depend on the pieces must follow the stream in the journal, so they are
        # made after the loop. New streams have one usage; streams recorded by an earlier version
        # may have several, with a journal entry for each.
        for piece in answer.pieces:
            if isinstance(piece, Usage):
                usage = piece
                context.add_usage(
                    prompt_tokens=piece.prompt_tokens, completion_tokens=piece.completion_tokens
                )
        return usage


class _Answer:
    """An answer of the model, made of the `pieces` read so far.

    If `apart`, a blank line separates the answer's text from earlier text.
    """

    def __init__(self, model: LanguageModel, *, apart: bool) -> None:
        self._model = model
        self._apart = apart
        self.pieces: list[Piece] = []

    @property
    def has_said(self) -> bool:
        """True if people have seen text of the answer, even if the answer failed later."""
        return any(isinstance(piece, str) for piece in self.pieces)

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.pieces if isinstance(piece, str)).lstrip("\n")

    @property
    def shortfall(self) -> str:
        """A sentence for people about an answer that is empty or cut, else "".

        Calls of an answer that was cut are not made: the model had not finished it.
        """
        for piece in self.pieces:
            if isinstance(piece, Ending):
                return ENDINGS.get(
                    piece.reason, f"The model has ended the answer ({piece.reason})."
                )
        return "" if self.text.strip() or self.calls else NO_TEXT

    @property
    def calls(self) -> list[ToolCall]:
        return [piece for piece in self.pieces if isinstance(piece, ToolCall)]

    def message(self, executed: Sequence[JsonObject | None]) -> ModelMessage:
        """Return the answer as a message of the next request, with fields that the server wants.

        `executed` has the arguments of each call that were executed in place of the model's.
        """
        fields: JsonObject = {}
        for piece in self.pieces:
            if isinstance(piece, AnswerFields):
                fields |= piece.fields
                if piece.thoughts:
                    thoughts = [one.reasoning for one in self.pieces if isinstance(one, Reasoning)]
                    fields[piece.thoughts] = "".join(thoughts)
        calls = [
            _written_call(
                call.id,
                call.name,
                call.arguments if arguments is None else as_text(arguments),
                call.fields,
            )
            for call, arguments in zip(self.calls, executed, strict=True)
        ]
        # An answer without text has null as `content`, as OpenAI sends it: some servers refuse "".
        return {**fields, "role": "assistant", "content": self.text or None, "tool_calls": calls}

    async def stream(
        self, messages: list[ModelMessage], schemas: list[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the model's answer, with the last `Usage` at the end."""
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


def _written_call(call_id: str, name: str, arguments: str, fields: JsonObject) -> JsonObject:
    """Return a call as part of a message to the model, in a form that strict servers accept.

    A model may have written a name with other characters, or arguments that are no JSON object.
    """
    values, problem = read_arguments(arguments)
    if problem:
        arguments = as_text({"text": arguments})
    elif not values:
        arguments = "{}"
    own = fields.get("function", {})
    function = {**own, "name": tool_name(name), "arguments": arguments}
    return {**fields, "id": call_id, "type": "function", "function": function}


def _text_or_placeholder(text: str) -> str:
    """Return the text, or a placeholder for an empty one, which some servers refuse."""
    return text if text.strip() else NOTHING


class _Spending:
    """The used part of an answer's budget, reset when a person lets the agent go on."""

    def __init__(self, budget: Budget, context: Context) -> None:
        self._budget = budget
        self._context = context
        self._start()

    def _start(self) -> None:
        self._turns = self._tokens = 0
        # Read the clock only if seconds are limited, because each reading adds a journal entry.
        self._began = self._context.now() if self._budget.seconds is not None else None

    def add_turn(self, usage: Usage | None) -> None:
        self._turns += 1
        if usage is not None:
            self._tokens += usage.prompt_tokens + usage.completion_tokens

    async def may_go_on(self) -> bool:
        """Return True if the budget is not used up, else ask a person and return the decision."""
        reason = self._exhausted_limit()
        if not reason:
            return True
        may_go_on = await ask_to_go_on(self._context, f"{reason} Shall I go on?")
        self._start()
        return may_go_on

    def _exhausted_limit(self) -> str:
        """Return a sentence about the exhausted limit, or ""."""
        budget = self._budget
        if budget.turns is not None and self._turns >= budget.turns:
            return f"I have asked the model {self._turns} times."
        if budget.tokens is not None and self._tokens >= budget.tokens:
            return f"I have used {self._tokens:,} tokens."
        if self._began is not None and budget.seconds is not None:
            seconds = (self._context.now() - self._began).total_seconds()
            if seconds >= budget.seconds:
                return f"I have worked for {seconds:.0f} seconds."
        return ""


async def _tools_of(toolset: Toolset, context: Context) -> Sequence[Tool] | None:
    try:
        return await toolset.tools(context)
    except StepFailed:
        return None


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of a call for the model, with `remarks` of the person who allowed the call.

    `arguments` are those that were executed in place of the model's, if a person edited the call.
    """

    text: str
    remarks: str = ""
    arguments: JsonObject | None = None


async def _use_tools(
    calls: Sequence[ToolCall], tools: Tools, context: Context, turn: int
) -> list[_Result]:
    """Make the tool calls of one answer concurrently, and return their results.

    All questions about calls are asked together; each call is made as soon as people allow it.
    """
    prepared = [(call, *await tools.read(call)) for call in calls]
    asked, works = 0, []
    for number, (call, arguments, problem) in enumerate(prepared):
        policy = None if problem else tools[call.name].policy
        if policy and policy.approvers(arguments, context.user) is not False:
            problem, asked = too_many(asked), asked + 1
        call_id = f"{context.run_id}-{turn}-{number}"
        works.append(
            _refuse(context, call.name, problem)
            if problem
            else _use(tools[call.name], arguments, context, call_id)
        )
    return await gather_all(context, works)


async def _refuse(context: Context, tool: str, problem: str) -> _Result:
    """Return the problem of a call that cannot be made, or a person's refusal of it."""
    decision = await decided_before(context, tool)
    return _Result(problem if decision is None or decision.approved else refusal(decision))


async def _use(tool: Tool, arguments: JsonObject, context: Context, call_id: str) -> _Result:
    """Make a call once people allow it, and return the result for the model."""
    if not tool.policy:
        decision = await decided_before(context, tool.name)
        if decision is not None and not decision.approved:
            return _Result(refusal(decision))
        return _Result(await _call(tool, arguments, context, call_id))
    decision = await ask_approval(
        context, tool.policy, tool.describe(arguments), validate=tool.validate
    )
    if decision is None:
        return _Result(await _call(tool, arguments, context, call_id))
    if not decision.approved:
        return _Result(refusal(decision))
    result = await _call(tool, decision.arguments, context, call_id)
    edited = decision.arguments if decision.changed else None
    return _Result(result, remarks(decision), edited)


async def _call(tool: Tool, arguments: JsonObject, context: Context, call_id: str) -> str:
    """Make a call, and return its result as text."""
    tool_context = ToolContext(
        user=context.user,
        conversation_id=context.conversation_id,
        run_id=context.run_id,
        call_id=call_id,
        builder=context.builder,
        options=context.options,
    )

    def use(values: JsonObject) -> str:
        return as_text(tool.use(values, tool_context))

    async def use_async(values: JsonObject) -> str:
        return as_text(await tool.use(values, tool_context))

    function: Any = use_async if inspect.iscoroutinefunction(tool.use) else use
    try:
        if not tool.in_step:
            return await use_async(arguments)
        result: str = await make_call(
            context,
            tool.policy,
            tool.describe(arguments),
            partial(function, arguments),  # a `partial`, as the tool may have an argument `name`
            name=tool.name,
            once=not tool.repeatable,
        )
    except StepFailed as error:
        if error.error_type == TooLarge.__name__:
            return TOO_LARGE
        return f"That failed ({error.error_type})."
    return result
