"""Tests that docs/nat.md lists all names of the toolkit, and that its claims are true."""

import inspect
import re
from dataclasses import dataclass
from typing import Any

from natproject.settings.env import ROOT
from sessions_app.pool.runner import Runner
from sessions_app.sessions import PerUserBuilderInfo, Session, SessionManager
from sessions_app.workflows import Context, Message
from sessions_app.workflows.concurrency import limit_of
from sessions_app.workflows.request_context import RequestMetadata
from tests.support.sessions import declare, managing

# Names on the toolkit's page about nat.runtime.session: those with arguments, then those without.
ARGUMENTS: dict[str, dict[str, str]] = {
    "SessionManager": {
        "SessionManager": "config shared_builder entry_function shared_workflow max_concurrency"
        " runtime_type",
        "create": "config shared_builder entry_function max_concurrency runtime_type",
        "session": "user_id http_connection user_message_id conversation_id user_input_callback"
        " user_authentication_callback",
        "run": "message runtime_type",
        "set_metadata_from_http_request": "request",
        "set_metadata_from_websocket": "websocket user_message_id conversation_id"
        " pre_parsed_cookies",
        "_get_or_create_per_user_builder": "user_id",
    },
    "Session": {
        "Session": "session_manager workflow semaphore user_id",
        "run": "message runtime_type parent_id parent_name",
    },
    "PerUserBuilderInfo": {"record_request": "latency_ms success"},
    "Runner": {"result": "to_type", "result_stream": "to_type", "convert": "value to_type"},
}
BARE: dict[str, str] = {
    "SessionManager": """
        config workflow shared_builder is_workflow_per_user shutdown
        get_workflow_input_schema get_workflow_single_output_schema
        get_workflow_streaming_output_schema
        _run_periodic_cleanup _cleanup_inactive_per_user_builders _get_user_id_from_context
        _config _context _context_state _entry_function _identity_header _is_workflow_per_user
        _max_concurrency _per_user_builders _per_user_builders_cleanup_task
        _per_user_builders_lock _per_user_session_cleanup_interval _per_user_session_timeout
        _per_user_workflow_input_schema _per_user_workflow_single_output_schema
        _per_user_workflow_streaming_output_schema
        _runtime_type _semaphore _shared_builder _shared_workflow _shutdown_event
        SESSION_COOKIE_NAME logger
    """,
    "Session": "user_id workflow session_manager _session_manager _workflow _semaphore _user_id",
    "PerUserBuilderInfo": """
        model_config builder workflow semaphore last_activity ref_count lock created_at
        total_requests error_count total_latency_ms
    """,
    "Runner": "context",
    "RequestMetadata": """
        method url_path url_port url_scheme headers query_params path_params client_host
        client_port cookies payload
    """,
}
CLASSES: dict[str, Any] = {
    "SessionManager": SessionManager,
    "Session": Session,
    "Runner": Runner,
    "PerUserBuilderInfo": PerUserBuilderInfo,
    "Context": Context,
    "RequestMetadata": RequestMetadata,
}
# A row lists names with the same effect; a private name may have the name of its class before it.
ROW = re.compile(r"\| (`.+`) \| (same|better|other|left out) \| (.*?) ?\|")
NAME = re.compile(r"`(?:(\w+)\.)?(\w+)(?:\(([^)]*)\))?`")
OWNERS = {"Private names": "SessionManager"}


@dataclass(frozen=True)
class Row:
    """A row of the document: its statement about a name of the toolkit."""

    owner: str
    name: str
    arguments: list[str] | None
    verdict: str
    why: str


def rows() -> list[Row]:
    """Return the rows of all tables about a class. Each line of such a table must be a row."""
    all_rows, owner = [], ""
    for line in (ROOT / "docs/nat.md").read_text().splitlines():
        if line.startswith("### "):
            owner = OWNERS.get(line[4:], line[4:])
        if owner in CLASSES and line.startswith("| ") and not line.startswith(("| Name", "| ---")):
            match = ROW.fullmatch(line)
            assert match is not None, line
            cell, verdict, why = match.groups()
            assert NAME.sub("", cell).strip(", ") == "", line
            for one in NAME.finditer(cell):
                named_owner, name, arguments = one.groups()
                if arguments is not None:
                    arguments = [word for word in re.split(r"[*, ]+", arguments) if word]
                all_rows.append(Row(named_owner or owner, name, arguments, verdict, why))
    return all_rows


ROWS = rows()


def test_every_name_of_the_toolkit_has_a_row_and_just_one() -> None:
    documented = [(row.owner, row.name) for row in ROWS]
    assert len(documented) == len(set(documented))
    toolkits = {(owner, name) for owner, names in BARE.items() for name in names.split()}
    toolkits |= {(owner, name) for owner, names in ARGUMENTS.items() for name in names}
    assert toolkits - set(documented) == set()


async def echo(message: Message, context: Context) -> str:
    return message.text


async def test_documented_names_exist_and_left_out_names_do_not() -> None:
    wrong = []
    async with managing(declare(echo)) as manager, manager.run("x") as runner:
        info = PerUserBuilderInfo(builder=None, workflow=None, semaphore=limit_of(1))
        session = Session(manager, manager.workflow, limit_of(1))
        for one in (manager, session, runner, info, runner.context, RequestMetadata()):
            owner = type(one).__name__
            for row in (row for row in ROWS if row.owner == owner):
                is_here = row.name == owner or hasattr(one, row.name)
                if is_here != (row.verdict != "left out"):
                    wrong.append(row)
    assert wrong == []
    assert [row for row in ROWS if not row.why and row.verdict != "same"] == [], "why?"


def test_arguments_match_the_document_and_the_order_of_the_toolkit() -> None:
    wrong = []
    for row in ROWS:
        if row.arguments is None or row.verdict == "left out":
            continue
        cls = CLASSES[row.owner]
        function = cls if row.name == row.owner else getattr(cls, row.name)
        names = [name for name in inspect.signature(function).parameters if name != "self"]
        theirs = ARGUMENTS.get(row.owner, {}).get(row.name, "").split()
        if names != row.arguments or [name for name in names if name in theirs] != theirs:
            wrong.append((row, names, theirs))
    assert wrong == []
