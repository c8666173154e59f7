"""A model behind any endpoint of OpenAI's chat completions. Requires `[openai]`."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any
from uuid import uuid4

from django.core.exceptions import ImproperlyConfigured
from pydantic_core import to_json, to_jsonable_python

from sessions_app.contrib.agents.language_model import (
    AnswerCut,
    AnswerFields,
    Ending,
    ModelMessage,
    Piece,
    ToolCall,
    Usage,
)
from sessions_app.json_types import JsonObject
from sessions_app.storage.storable import storable
from sessions_app.workflows import Reasoning

try:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError

    from sessions_app.contrib.http_bodies import limit_each
except ImportError as error:
    raise ImproperlyConfigured(
        "sessions_app.contrib.agents.openai_model needs the package openai: "
        "pip install 'django-durable-hitl[openai]'"
    ) from error

# Maximum bytes of one answer and of one of its lines, decompressed. A line has a token or more, and
# about 300 bytes around it; only lines are kept in memory.
MAX_ANSWER = 128 * 1024**2
MAX_LINE = 8 * 1024**2
# Reasons of a server with which a whole answer ends.
WHOLE = {"stop", "tool_calls", "function_call"}
# Fields for thoughts, absent in OpenAI's own API but used by servers of open models.
THOUGHTS = ("reasoning_content", "reasoning")
# Fields of OpenAI's own API; all other fields are extensions of the server.
OF_DELTA = {"role", "content", "refusal", "tool_calls", "function_call", "audio", *THOUGHTS}
OF_CALL = {"index", "id", "type", "function"}
OF_FUNCTION = {"name", "arguments"}


class OpenAIModel:
    """A model, known by name, behind an endpoint of OpenAI's chat completions."""

    def __init__(self, client: AsyncOpenAI, name: str) -> None:
        self._client = client
        self._name = name

    async def stream(
        self, messages: Sequence[ModelMessage], tools: Sequence[JsonObject]
    ) -> AsyncGenerator[Piece, None]:
        """Stream the answer, as for `LanguageModel`.

        Raises:
            AnswerCut: the answer broke off.
            OpenAIError: the endpoint refused the request, or cannot be reached.
        """
        request: Any = {"messages": messages}  # typed as Any: the client's types are too narrow
        if tools:
            request["tools"] = tools
        chunks = await self._client.chat.completions.create(
            model=self._name, stream=True, stream_options={"include_usage": True}, **request
        )
        answer = _Answer()
        try:
            async with chunks, aclosing(aiter(chunks)) as parts:
                async for chunk in parts:
                    for piece in answer.read(chunk):
                        yield piece
        except (OpenAIError, ValueError):
            if not answer.is_finished:
                raise
        if not answer.is_finished:
            raise AnswerCut
        for piece in answer.rest():
            yield piece


class _Answer:
    """The part of an answer received so far; any field of a chunk may be missing or malformed."""

    def __init__(self) -> None:
        self._calls: list[_CallParts] = []
        self._latest: dict[object, _CallParts] = {}  # latest call by the server's index, or by id
        self._fields: dict[str, list[object]] = {}
        self._thoughts = ""
        self._usage: Usage | None = None
        self._has_ended = self._is_usage_last = False
        self._reason = ""

    @property
    def is_finished(self) -> bool:
        """True after a finish reason, or after a chunk with only the usage, which comes last."""
        return self._has_ended or self._is_usage_last

    def read(self, chunk: object) -> Iterator[Piece]:
        """Yield the text and thoughts of a chunk, and keep tool calls and other fields."""
        self._usage = _read_usage(chunk) or self._usage
        choices = [one for one in _list(chunk, "choices") if hasattr(one, "delta")]
        if choices or getattr(chunk, "usage", None) is not None:
            self._is_usage_last = not choices
        for choice in choices:
            # The real client's objects always have the field; those of a fake client may not.
            reason = getattr(choice, "finish_reason", True)
            self._has_ended |= bool(reason)
            if reason and isinstance(reason, str) and reason not in WHOLE:
                self._reason = reason
            yield from self._read_delta(choice.delta)

    def _read_delta(self, delta: object) -> Iterator[Piece]:
        for name in THOUGHTS:
            thought = getattr(delta, name, None)
            if thought and isinstance(thought, str):
                self._thoughts = name
                yield Reasoning(thought)
                break
        for name in ("content", "refusal"):
            if text := _read_text(getattr(delta, name, None)):
                yield text
        for name, value in _own_fields(delta, OF_DELTA).items():
            self._fields.setdefault(name, []).append(value)
        for part in _list(delta, "tool_calls"):
            self._add_call(part)

    def _add_call(self, part: object) -> None:
        """Add a part to its tool call: id and name come first, then pieces of the arguments.

        Some servers send one index for all calls of an answer, or none, and no ids; then a name
        after complete arguments begins another call.
        """
        function = getattr(part, "function", None)
        call_id, index = getattr(part, "id", None) or "", getattr(part, "index", None)
        name = getattr(function, "name", None) or ""
        arguments = _read_arguments(getattr(function, "arguments", None))
        key = index if isinstance(index, int) else str(call_id)
        call = self._latest.get(key)
        if call is None and not isinstance(key, int) and self._calls and not (call_id and name):
            call = self._calls[-1]
        if call is None or call.is_another(call_id, name, arguments):
            call = _CallParts()
            self._calls.append(call)
        self._latest[key] = call
        call.id = call.id or str(call_id)
        call.add(str(name), arguments)
        call.fields.update(_own_fields(part, OF_CALL))
        if fields := _own_fields(function, OF_FUNCTION):
            call.fields["function"] = {**call.fields.get("function", {}), **fields}

    def _whole_calls(self) -> list[ToolCall]:
        """Return the complete calls, each with a unique id."""
        calls: dict[str, ToolCall] = {}
        for parts in self._calls:
            if not parts.name and not parts.arguments:
                continue
            call_id = storable(parts.id)
            if not call_id or call_id in calls:
                call_id = f"call_{uuid4().hex}"
            text = storable("".join(parts.arguments))
            calls[call_id] = ToolCall(call_id, storable(parts.name), text, storable(parts.fields))
        return list(calls.values())

    def rest(self) -> Iterator[Piece]:
        """Yield the pieces that are complete only when the answer ends."""
        calls = self._whole_calls()
        yield from calls
        fields = {name: _join(values) for name, values in self._fields.items()}
        if calls and (fields or self._thoughts):
            yield AnswerFields(storable(fields), self._thoughts)
        if self._reason:
            yield Ending(storable(self._reason[:100]))
        if self._usage is not None:
            yield self._usage


class _CallParts:
    """The parts of one tool call received so far."""

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.fields: JsonObject = {}
        self._depth, self._in_string, self._is_escaped, self._is_whole = 0, False, False, False

    def is_another(self, call_id: object, name: object, arguments: str) -> bool:
        """Return whether a part with the same index as this call belongs to another call."""
        if call_id and self.id:
            return call_id != self.id and (bool(name) or self._is_whole)
        return bool(name and arguments) and self._is_whole

    def add(self, name: str, arguments: str) -> None:
        """Add a part of the arguments, and of the name, which some servers repeat in each part."""
        if name != self.name and not self.arguments:
            self.name += name
        if arguments:
            self.arguments.append(arguments)
        for character in arguments:
            self._follow(character)

    def _follow(self, character: str) -> None:
        """Track whether the JSON of the arguments is complete after the next character."""
        if self._is_escaped:
            self._is_escaped = False
        elif self._in_string:
            self._is_escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self._is_whole = self._depth == 0


def _list(owner: object, name: str) -> list[Any]:
    value = getattr(owner, name, None)
    return value if isinstance(value, list) else []


def _own_fields(owner: object, known: set[str]) -> JsonObject:
    """Return the object's fields that OpenAI's API does not have, as JSON."""
    values = {**getattr(owner, "__dict__", {}), **(getattr(owner, "model_extra", None) or {})}
    own = {name: one for name, one in values.items() if name not in known and one is not None}
    fields: JsonObject = to_jsonable_python(own, inf_nan_mode="null", fallback=str)
    return fields


def _join(values: list[object]) -> object:
    """Join a field's values from several chunks: texts, or lists; else return the last value."""
    if all(isinstance(value, str) for value in values):
        return "".join(map(str, values))
    if all(isinstance(value, list) for value in values):
        return [part for value in values if isinstance(value, list) for part in value]
    return values[-1]


def _read_text(content: object) -> str:
    """Return the text of a delta, which some servers give as a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _read_arguments(arguments: object) -> str:
    """Return a piece of a call's arguments as text; some servers send an object."""
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return to_json(arguments, inf_nan_mode="null", fallback=str).decode()


def _read_usage(chunk: object) -> Usage | None:
    usage = getattr(chunk, "usage", None)
    counts = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    if not any(isinstance(count, int) for count in counts):
        return None
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


@asynccontextmanager
async def open_model(
    name: str, *, base_url: str | None = None, api_key: str = ""
) -> AsyncIterator[OpenAIModel]:
    """Open a model with its connections, to be shared by all users of a process.

    The default `base_url` is OpenAI's own endpoint.
    """
    async with AsyncOpenAI(
        base_url=base_url or None,
        api_key=api_key or "none",  # the client requires a non-empty key
        http_client=DefaultAsyncHttpxClient(
            event_hooks={"response": [limit_each(MAX_ANSWER, line=MAX_LINE)]}
        ),
    ) as client:
        yield OpenAIModel(client, name)
