"""Tools of MCP servers for an agent: listed and called in steps, and allowed by people.

Requires `[mcp]`. Each step has its own connection, so a call never relies on state in a server's
memory, which a crash would take away.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from importlib.metadata import version
from time import monotonic
from types import MappingProxyType
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from pydantic import TypeAdapter, ValidationError

from sessions_app.contrib.agents.approvals import (
    UNKNOWN,
    ask_after_crash,
    ask_options,
    gather_all,
    make_call,
)
from sessions_app.contrib.agents.elicitation import ask
from sessions_app.contrib.agents.tools import (
    Policies,
    Policy,
    Tool,
    ToolCallDescription,
    ToolContext,
    Toolset,
    as_text,
    policy_of,
    schema_tool,
    tool_name,
)
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.prompts import aargument_problems, acheck_schema
from sessions_app.settings import RuntimeSettings
from sessions_app.storage.storable import storable
from sessions_app.workflows import Context, Retry

NEEDS = (
    "sessions_app.contrib.agents.mcp needs the package mcp, 2.3 or newer, below 3: "
    "pip install 'django-durable-hitl[mcp]'"
)

try:
    from anyio import CancelScope, fail_after, sleep, sleep_forever
    from mcp import Client, MCPError, StdioServerParameters
    from mcp.client import ClientRequestContext
    from mcp_types import (
        CONNECTION_CLOSED,
        INVALID_PARAMS,
        REQUEST_TIMEOUT,
        URL_ELICITATION_REQUIRED,
        BlobResourceContents,
        CallToolRequest,
        CallToolRequestParams,
        CallToolResult,
        ContentBlock,
        ElicitRequest,
        ElicitRequestParams,
        ElicitResult,
        EmbeddedResource,
        Implementation,
        InputRequiredResult,
        InputResponses,
        PaginatedRequestParams,
        ResourceLink,
        TextContent,
    )
    from mcp_types import Tool as ListedTool

    from sessions_app.contrib.agents.mcp_transport import TOO_MUCH, Allowance, Target, connect
except ImportError as error:
    raise ImproperlyConfigured(NEEDS) from error
if not version("mcp").startswith("2."):
    raise ImproperlyConfigured(NEEDS)

log = Log(__name__)

# Reasons why a round of a call ended without a result. input_required: the server answered with a
# question. cut_off: the server asked during the call, which was then ended, because the process
# ends with its connection, or the server would wait. url_required: a person must visit pages first.
# forgotten: the server no longer knows the question that it asked.
INPUT_REQUIRED, CUT_OFF = "input_required", "cut_off"
URL_REQUIRED, FORGOTTEN = "url_required", "forgotten"
MAX_ROUNDS = 20
# Fields of a server's question that comparisons ignore, because each call has new values in them.
OF_ONE_CALL = {"elicitationId", "_meta"}
REPETITION_PAUSE = 0.5  # seconds until a request is sent again, if the server asks for a repetition
BEGINS_ANEW = "With your answer the tool begins once more from its beginning."
GIVEN_UP = "What the server asked was not answered. The call was given up."

CLIENT = Implementation(name="django-durable-hitl", version="1")
# Field of a request that has the same value in each repetition of a call.
CALL_ID = "django-durable-hitl/call_id"
LIST_RETRY = Retry(attempts=2)
SILENCE = 60.0  # seconds for which a server that did not answer in time is left out
# Maximum numbers of accepted tools, characters of a description, and characters of a result.
MAX_TOOLS = 100
MAX_DESCRIPTION = 4_000
MAX_RESULT = 1_000_000
BROKEN_PROMISE = "It was called, but the answer is not what the server had promised."
TOO_MUCH_SENT = (
    f"It was called, but {TOO_MUCH}, so that its answer was not read. It is not known whether it "
    "was done."
)
Round = Callable[[JsonObject], Awaitable[str | JsonObject]]

RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


class McpServer(Toolset):
    """A server of MCP tools, for `Agent(tools=[…])`."""

    def __init__(  # noqa: PLR0913 - a declaration, read like a form
        self,
        name: str,
        server: Target,
        *,
        approvals: Policies = MappingProxyType({}),
        repeatable: Collection[str] = (),
        trusted: bool = False,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 60,
        mode: Literal["auto", "legacy"] | str = "auto",
    ) -> None:
        """Declare a server.

        Args:
            name: the prefix of its tools' names, visible to people and the model.
            server: a URL, the command that starts the server, or a function that opens a transport.
            approvals: the policy for calls: one for all tools, or one by a tool's own name. For
                other tools, the owner of the conversation is asked.
            repeatable: names of tools that do no harm when called twice.
            trusted: believe the server's hints: tools that only read, or destroy nothing, need no
                approval; tools that only read, or are idempotent, are repeatable.
            headers: added to each request over HTTP, such as `Authorization`.
            timeout: seconds for an answer of the server.
            mode: the era of the protocol, as for `mcp.Client`; by default the server decides.

        Raises:
            ValueError: the name has characters that a tool's name cannot have.
        """
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,30}", name):
            raise ValueError(f"an MCP server's name has letters, digits, _ and -, not {name!r}")
        self.name = name
        self._server = server
        self._approvals = approvals
        self._repeatable = repeatable
        self._trusted = trusted
        self._headers = headers
        self._timeout = timeout
        self._mode = mode
        # Until this time of the monotonic clock the server is not asked for its tools again.
        self._silent_until = 0.0

    async def tools(self, context: Context) -> list[Tool]:
        """Return the server's tools, as listed when the run first asked; the list is recorded.

        Raises:
            StepFailed: the server cannot be reached.
        """
        listed: list[JsonObject] = await context.step(
            self._list, name=f"{self.name} tools", retry=LIST_RETRY
        )
        listed = list({one["name"]: one for one in reversed(listed)}.values())[::-1]
        names = Counter(tool_name(f"{self.name}_{one['name']}") for one in listed)
        return [self._tool(one, names) for one in listed]

    async def _list(self) -> list[JsonObject]:
        """Return the listed tools as JSON for the journal, except those with unusable schemas.

        A server that has just been silent is not waited for again.
        """
        if monotonic() < self._silent_until:
            raise TimeoutError(f"{self.name} did not answer a moment ago")
        begun = monotonic()
        try:
            async with self._connect(Allowance()) as client:
                listed = await self._listed(client)
        except Exception:
            if monotonic() - begun >= self._timeout / 2:
                self._silent_until = monotonic() + SILENCE
            raise
        records = []
        for one in listed[:MAX_TOOLS]:
            if problem := await acheck_schema(one.input_schema):
                log.warning("mcp.tool_left_out", server=self.name, tool=one.name, problem=problem)
            else:
                hints = one.annotations
                record = {
                    "name": one.name,
                    "description": (one.description or one.title or "")[:MAX_DESCRIPTION],
                    "schema": one.input_schema,
                    "hints": hints.model_dump(by_alias=True, exclude_none=True) if hints else {},
                }
                records.append(storable(record))
        return records

    async def _listed(self, client: Client, until: str = "") -> list[ListedTool]:
        """Return the listed tools: about MAX_TOOLS of them, or those up to the name `until`.

        Raises:
            ValueError: the server's list is malformed.
            TimeoutError: the listing takes too long.
        """
        listed: list[ListedTool] = []
        cursor: str | None = None
        with fail_after(self._timeout):
            for _ in range(MAX_TOOLS):  # limit the pages: a server may send empty ones for ever
                params = PaginatedRequestParams(cursor=cursor)
                try:
                    page = await client.session.list_tools(params=params)
                except ValidationError as error:  # hide the error's own text, which quotes the list
                    raise ValueError(f"{error.error_count()} faults in the list") from None
                listed += page.tools
                cursor = page.next_cursor
                is_found = any(one.name == until for one in page.tools)
                if cursor is None or is_found or len(listed) >= MAX_TOOLS:
                    break
        if not until and (cursor is not None or len(listed) > MAX_TOOLS):
            log.warning("mcp.tools_left_out", server=self.name, most=MAX_TOOLS)
        return listed

    def _tool(self, record: JsonObject, names: Counter[str]) -> Tool:
        """Build a tool from its recorded JSON; `names` counts the names of all tools for models."""
        hints = record["hints"] if self._trusted else {}
        reads = bool(hints.get("readOnlyHint"))
        is_harmless = reads or hints.get("destructiveHint") is False
        own_name = record["name"]
        is_named = isinstance(self._approvals, Policy) or own_name in self._approvals
        policy = None if is_harmless and not is_named else policy_of(self._approvals, own_name)
        call = _Call(self, own_name)
        shown_name = tool_name(f"{self.name}_{own_name}")
        if names[shown_name] > 1:  # several names differ in what models cannot write
            digest = blake2b(own_name.encode(), digest_size=4).hexdigest()
            shown_name = f"{shown_name[:55]}_{digest}"
        tool = schema_tool(
            shown_name,
            record["description"],
            record["schema"],
            call.use,
        )
        repeatable = reads or bool(hints.get("idempotentHint")) or own_name in self._repeatable
        call.tool = replace(tool, policy=policy, repeatable=repeatable, in_step=False)
        return call.tool

    def _connect(self, allowance: Allowance, elicit: "_Question | None" = None) -> Client:
        """Return a client; without `elicit`, it tells the server that nobody answers questions."""
        return Client(
            connect(self._server, self._headers, self._timeout, allowance),
            mode=self._mode,
            read_timeout_seconds=self._timeout,
            client_info=CLIENT,
            elicitation_callback=elicit,
        )

    async def call(
        self, tool: str, arguments: JsonObject, call_id: str, resumed: JsonObject
    ) -> str | JsonObject:
        """Call a tool; return its result, a message on the outcome, or the server's questions.

        Args:
            resumed: the continuation after questions: the server's `state` with `responses`, or the
                `answers` for a call that begins anew.
        """
        outcome: str | JsonObject | CallToolResult = ""
        is_sent, question = False, _Question(resumed.get("answers", []))
        allowance, promise = Allowance(), None
        call: JsonObject = {"name": tool, "arguments": arguments, "_meta": {CALL_ID: call_id}}
        try:
            async with self._connect(allowance, question) as client:
                # The list of tools tells the client which arguments to send as headers.
                listed = await self._listed(client, until=tool)
                promise = next((one.output_schema for one in listed if one.name == tool), None)
                is_sent = True
                outcome = await self._outcome(client, question, call, resumed)
        except Exception as error:
            log.warning("mcp.lost", server=self.name, tool=tool, exc_info=error)
            if not is_sent:
                return f"The server {self.name} cannot be reached. Nothing was done."
        if allowance.is_used_up and isinstance(outcome, str):
            outcome = TOO_MUCH_SENT
        if isinstance(outcome, CallToolResult):
            outcome = await self._result(outcome, promise)
        said: str | JsonObject = storable(outcome or UNKNOWN)
        return said

    async def _result(self, result: CallToolResult, promise: JsonObject | None) -> str:
        """Return a result as text for the model, or say that its promised schema is violated."""
        if promise is not None and not result.is_error:
            problem = await _broken(result, promise)
            if problem:
                log.warning("mcp.broken_promise", server=self.name, problem=problem)
                return f"{BROKEN_PROMISE} {problem}"
        return _result_text(result)

    async def _outcome(
        self, client: Client, question: "_Question", call: JsonObject, resumed: JsonObject
    ) -> str | JsonObject | CallToolResult:
        """Return the outcome of a request: a result, a message, or the server's questions."""
        try:
            with question.scope:
                result = await self._request(client, question, call, resumed)
            if question.scope.cancelled_caught:
                return {"kind": CUT_OFF, "requests": {"": question.request}}
        except MCPError as error:
            return self._refused(error, resumed)
        except ValidationError as error:  # hide the error's own text, which quotes the answer
            log.warning("mcp.broken_promise", server=self.name, problems=error.error_count())
            return BROKEN_PROMISE
        if isinstance(result, CallToolResult):
            return result
        kind = CUT_OFF if isinstance(self._server, StdioServerParameters) else INPUT_REQUIRED
        requests = (result.input_requests or {}).items()
        asked = {key: _dump(one.params) for key, one in requests if isinstance(one, ElicitRequest)}
        for _, other in requests:
            if not isinstance(other, ElicitRequest):
                return f"The server asks for what is not offered here: {other.method}."
        known = {key: answer for key, answer in question.known.items() if key in asked}
        return {"kind": kind, "requests": asked, "known": known, "state": result.request_state}

    async def _request(
        self, client: Client, question: "_Question", call: JsonObject, resumed: JsonObject
    ) -> CallToolResult | InputRequiredResult:
        """Repeat a request until the server has a result, or asks an unanswered question."""
        responses, state = resumed.get("responses", {}), resumed.get("state")
        with fail_after(self._timeout):
            while True:
                answers: InputResponses = {
                    key: ElicitResult.model_validate(one) for key, one in responses.items()
                }
                params = CallToolRequestParams(
                    **call, input_responses=answers or None, request_state=state
                )
                # Do not use `call_tool`, which would validate the result in the event loop.
                result = await client.session.send_request(CallToolRequest(params=params), RESULT)
                if isinstance(result, CallToolResult) or not question.knows(result):
                    return result
                responses, state = question.known, result.request_state
                if not responses:
                    await sleep(REPETITION_PAUSE)

    def _refused(self, error: MCPError, resumed: JsonObject) -> str | JsonObject:
        """Return a message, or the next round, for an error response of the server."""
        if error.code == URL_ELICITATION_REQUIRED and (asked := _pages(error.data)):
            return {"kind": URL_REQUIRED, "requests": asked}
        if error.code == INVALID_PARAMS and resumed.get("state"):
            return {"kind": FORGOTTEN, "requests": {}}
        if error.code in (CONNECTION_CLOSED, REQUEST_TIMEOUT):
            return UNKNOWN
        return f"The server {self.name} refuses: {error.message[:MAX_DESCRIPTION]}"


class _Question:
    """The handler of a server's questions within a call; an unanswered question ends the call.

    By the protocol of 2025, a server asks by a request and waits for the answer; by that of 2026,
    its question is the result. When a call begins anew, people's earlier `answers` are used in the
    order of asking: the same question gets the same answer, and a repeated question the next one.
    """

    def __init__(self, answers: Iterable[Sequence[Any]]) -> None:
        self._unused_answers = [(request, answer) for request, answer in answers]
        self.request: JsonObject = {}
        self.known: dict[str, JsonObject] = {}
        self.scope = CancelScope()

    def knows(self, result: InputRequiredResult) -> bool:
        """Put earlier answers to a result's questions into `known`; return whether all have one."""
        requests = result.input_requests or {}
        answers = {
            key: self._take(_dump(one.params))
            for key, one in requests.items()
            if isinstance(one, ElicitRequest)
        }
        self.known = {key: answer for key, answer in answers.items() if answer is not None}
        return len(self.known) == len(requests)

    def _take(self, request: JsonObject) -> JsonObject | None:
        """Return the first unused answer to a request, or None if nobody has answered it yet."""
        for number, (asked, answer) in enumerate(self._unused_answers):
            names = (asked.keys() | request.keys()) - OF_ONE_CALL
            if all(asked.get(name) == request.get(name) for name in names):
                del self._unused_answers[number]
                return dict(answer)
        return None

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        """Return a person's answer from an earlier call, else end the call."""
        request = _dump(params)
        answer = self._take(request)
        if answer is None:
            self.request = request
            self.scope.cancel()
            await sleep_forever()
        return ElicitResult.model_validate(answer)


class _Call:
    """A tool call, made in rounds: each is a step, and people answer questions in between."""

    tool: Tool

    def __init__(self, server: McpServer, name: str) -> None:
        self._server = server
        self._name = name

    async def use(self, arguments: JsonObject, tool_context: ToolContext) -> str:
        """Call the tool, ask people the server's questions, and return the result."""
        context, tool, call_id = Context.get(), self.tool, tool_context.call_id
        described = tool.describe(arguments)
        answers: list[tuple[JsonObject, JsonObject]] = []
        resumed: JsonObject = {}
        for _ in range(MAX_ROUNDS):
            # A `partial`, because an argument may have the name of an option of a step.
            call = partial(self._round(call_id, resumed), arguments)
            outcome: str | JsonObject = await make_call(
                context, tool.policy, described, call, name=tool.name, once=not tool.repeatable
            )
            if isinstance(outcome, str):
                return outcome
            kind, resumed = outcome["kind"], {"answers": answers}
            if kind == FORGOTTEN:
                if not tool.repeatable and (
                    words := await ask_after_crash(context, tool.policy, described)
                ):
                    return words
                continue
            asked, limit = len(outcome["requests"]), RuntimeSettings.load().MAX_PROMPTS_AT_ONCE
            if asked > limit:
                return (
                    f"The server asks {asked:,} questions at once, and at most {limit:,} can be "
                    "asked. Nobody was asked, and the call was given up."
                )
            responses = await self._ask(context, described, outcome, answers)
            if kind == INPUT_REQUIRED:
                resumed = {"state": outcome["state"], "responses": responses}
            elif any(one["action"] != "accept" for one in responses.values()) and not (
                kind == CUT_OFF and tool.repeatable
            ):
                return GIVEN_UP
        return "The server asks and asks. The call was given up."

    def _round(self, call_id: str, resumed: JsonObject) -> Round:
        """Return a round of a call as a function of the arguments, which are recorded."""

        async def call(arguments: JsonObject) -> str | JsonObject:
            return await self._server.call(self._name, arguments, call_id, resumed)

        return call

    async def _ask(
        self,
        context: Context,
        described: ToolCallDescription,
        outcome: JsonObject,
        answers: list[tuple[JsonObject, JsonObject]],
    ) -> dict[str, JsonObject]:
        """Ask people the new questions of a round, and return the answers to all its questions.

        The new answers are added to `answers`. The people asked are those of the tool's policy.
        """
        policy, known = self.tool.policy, outcome.get("known", {})
        new = {key: one for key, one in outcome["requests"].items() if key not in known}
        is_cut_off = outcome["kind"] == CUT_OFF and not self.tool.repeatable
        options = ask_options(context, policy, described)
        options["timeout"] = policy.timeout if policy else None
        note = BEGINS_ANEW if is_cut_off else ""
        works = [ask(context, self._server.name, one, note, options) for one in new.values()]
        responses = dict(zip(new, await gather_all(context, works), strict=True))
        answers += [(new[key], answer) for key, answer in responses.items()]
        return {**known, **responses}


async def _broken(result: CallToolResult, promise: JsonObject) -> str:
    """Return the differences between a result and its promised schema, or ""."""
    if problem := await acheck_schema(promise):
        log.warning("mcp.result_not_checked", problem=problem)
        return ""
    if "structured_content" not in result.model_fields_set:
        return "There are no values."
    values = result.structured_content
    if not isinstance(values, dict):  # wrap the value; `$id` keeps the schema's references valid
        promise = {"properties": {"result": {"$id": "urn:result", **promise}}}
        values = {"result": values}
    problems = await aargument_problems(promise, values)
    return " ".join(map(str, problems.values()))


def _dump(params: ElicitRequestParams) -> JsonObject:
    return params.model_dump(mode="json", by_alias=True, exclude_none=True)


def _pages(data: Any) -> JsonObject:
    """Return the questions of an error that asks for visits to pages; empty for other errors."""
    pages = data.get("elicitations") if isinstance(data, dict) else None
    if not isinstance(pages, list) or not all(isinstance(one, dict) for one in pages):
        return {}
    return {str(number): {**one, "mode": "url"} for number, one in enumerate(pages)}


def _result_text(result: CallToolResult) -> str:
    """Return the result of a call as text for the model."""
    parts = [_content_text(one) for one in result.content]
    if not parts and result.structured_content is not None:
        parts = [as_text(result.structured_content)]
    text = "\n".join(parts)[:MAX_RESULT] or "(nothing)"
    return f"It failed: {text}" if result.is_error else text


def _content_text(content: ContentBlock) -> str:
    if isinstance(content, TextContent):
        return content.text
    if isinstance(content, ResourceLink):
        return f"[{content.name}: {content.uri}]"
    if not isinstance(content, EmbeddedResource):
        return f"[{content.type}, {content.mime_type}, which cannot be shown]"
    resource = content.resource
    if isinstance(resource, BlobResourceContents):
        return f"[{resource.uri}, {resource.mime_type}, which cannot be shown]"
    return resource.text
