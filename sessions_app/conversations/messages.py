"""The messages of people to a conversation.

Each function is one transaction of the process's writer; hosts are woken after the commit. A crash
before the commit leaves no trace; after a crash following the commit, the next start does the work.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID, uuid4

from django.utils.translation import pgettext_lazy

from sessions_app.conversations import workflow_access
from sessions_app.conversations.stops import interrupt, read_active, request_stop
from sessions_app.errors import Busy, Invalid, NotFound, TooManyRuns, UnknownWorkflow
from sessions_app.json_types import JsonObject
from sessions_app.models import Attachment, Conversation, Event, Run
from sessions_app.models.host_lease import HostKey
from sessions_app.models.people import UserId
from sessions_app.notify.announce import announce
from sessions_app.prompts.hidden_characters import cut, is_seen
from sessions_app.prompts.titles import without_marks
from sessions_app.storage import attachments, sql
from sessions_app.storage.branches import BranchPoint, find_branch_point
from sessions_app.storage.lineage import Place, next_place
from sessions_app.storage.records import RunRecord
from sessions_app.storage.storable import check_length, check_storable, encode
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import writer
from sessions_app.workflows import registry
from sessions_app.workflows.config import Policy
from sessions_app.workflows.request_context import Trace

MAX_MESSAGE = 32_000
MAX_NAME = 200
MAX_TITLE_LENGTH = 80

# A policy that only front ends choose: a new message stops an active run only if that run waits for
# a person.
OnlyAsking = Literal["interrupt_asking"]

CONVERSATION = """
    SELECT id, workflow, last_sequence, deleted_at FROM sessions_app_conversation
    WHERE owner_id = %s AND conversation_id = %s
"""
SUBMITTED = """
    SELECT r.id, e.sequence FROM sessions_app_run r
    JOIN sessions_app_event e ON e.run_id = r.id AND e.type = 'user_message'
    WHERE r.conversation_id = %s AND r.message_id = %s
"""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A user message as received from a front end, before it is stored.

    `message_id` is the client's id; a repetition with the same id starts nothing. `model` is the
    model that an OpenAI client names: a workflow's name, or any other text. `files` are ids of
    files that were uploaded for the conversation. `second_message` is the policy for active runs if
    the workflow does not set one. `replaces` is the run of an earlier message; this message is its
    new version, with the same files and, if this text is empty, the same text. `follows` is the run
    after which this message continues. `replaces` and `follows` begin a new branch, and stop active
    runs on other branches.
    """

    message_id: str
    text: str
    client_format: str = ""
    workflow: str | None = None
    model: str | None = None
    metadata: JsonObject | None = None
    second_message: Policy | OnlyAsking = "enqueue"
    replaces: str | None = None
    follows: str | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubmittedMessage:
    """A stored message and its run; `duplicate`: a message with this id was stored earlier."""

    conversation: UUID
    run: UUID
    sequence: int
    duplicate: bool


async def submit(
    *, owner: UserId, conversation_id: str, message: IncomingMessage
) -> SubmittedMessage:
    """Store a user message and the run it starts, and wake the run's host.

    Raises:
        Invalid: the text or an id is empty or too long.
        UnknownWorkflow: a new conversation names a workflow that is not offered.
        Busy: a run is active and the workflow takes one at a time.
        NotFound: the replaced or followed run does not belong to a message of the conversation, or
            the conversation is deleted.
    """
    check_message(conversation_id, message)
    return await writer.write(lambda tx: submit_in(tx, owner, conversation_id, message))


def exist(owner: UserId, conversation_id: str, message_id: str) -> tuple[bool, bool]:
    """Return whether the conversation and the message exist. Reads the database."""
    for conversation, *_rest in sql.fetch(CONVERSATION, (owner, conversation_id)):
        return True, bool(sql.fetch(SUBMITTED, (conversation, message_id)))
    return False, False


def check_message(conversation_id: str, message: IncomingMessage) -> None:
    """Check a message before `submit` writes it.

    Raises:
        Invalid: the text or an id is empty or too long.
    """
    if not message.text.strip() and message.replaces is None and not message.files:
        raise Invalid(
            pgettext_lazy("hitl", "The message is empty. Write something and send it again.")
        )
    check_length(
        message.text,
        MAX_MESSAGE,
        pgettext_lazy(
            "hitl",
            "The message has {length} characters; at most {most} are allowed. Shorten it or "
            "send it in parts.",
        ),
    )
    for name, value in (("conversation_id", conversation_id), ("id", message.message_id)):
        if not value or len(value) > MAX_NAME:
            raise Invalid(f"{name} must have 1 to {MAX_NAME} characters.")
        check_storable(name, value)
    check_storable(pgettext_lazy("hitl", "The message"), message.text)
    check_storable("workflow", message.workflow)


def submit_in(
    tx: Transaction,
    owner: UserId,
    conversation_id: str,
    message: IncomingMessage,
    *,
    trusted: bool = False,
    begun_by: UUID | None = None,
) -> SubmittedMessage:
    """Store a message as `submit` does, in a given transaction; `check_message` has checked it.

    `trusted`: the project's code sends the message, so that the owner need not have access to the
    workflow. `begun_by`: the run whose code sends the message.

    Raises:
        TooManyRuns: the run `begun_by` may begin no other; a repeated message is not refused.
    """
    sent_files = attachments.find(owner, conversation_id, message.files) if message.files else []
    conversation, workflow, last = _open(
        tx, owner, conversation_id, message, sent_files, trusted=trusted
    )
    offer = registry.get(workflow) if trusted else workflow_access.find(owner, workflow)
    if sent_files and not offer.workflow.takes_files:
        raise Invalid(
            pgettext_lazy(
                "hitl", "This workflow can’t read files. Remove the files to send the message."
            )
        )
    policy = offer.policy or message.second_message
    branch_point = find_branch_point(conversation, message.replaces, message.follows)
    message, files = (
        _complete_message(message, branch_point, sent_files)
        if branch_point or sent_files
        else (message, [])
    )
    if policy == "reject":
        _check_free(conversation, message, branch_point)
    run = RunRecord(uuid4(), conversation, message.message_id, message.client_format)
    key = offer.key(conversation=conversation, owner=owner)
    columns = _next_place(begun_by, owner, conversation, message).columns
    columns |= branch_point.columns if branch_point else {}
    if not insert_run(tx, run, key, last, message, columns):
        [(run_id, sequence)] = sql.fetch(SUBMITTED, (conversation, message.message_id))
        return SubmittedMessage(conversation, sql.read_uuid(run_id), sequence, duplicate=True)
    payload: JsonObject = {
        "message_id": message.message_id,
        "text": message.text,
        "client_format": message.client_format,
    }
    if branch_point:
        payload |= _begin_branch(tx, run, branch_point)
    if policy in ("interrupt", "interrupt_asking"):
        interrupt(tx, run, only_asking=policy == "interrupt_asking")
    if files:
        attachments.mark_sent(tx, run.id, sent_files)
        payload["files"] = [attachments.shown_file(file) for file in files]
    sequence = tx.append(run, Event.Type.USER_MESSAGE.value, payload)
    announce(tx, key)
    return SubmittedMessage(conversation, run.id, sequence, duplicate=False)


def _open(
    tx: Transaction,
    owner: UserId,
    conversation_id: str,
    message: IncomingMessage,
    files: list[Attachment],
    *,
    trusted: bool,
) -> tuple[UUID, str, int]:
    """Return a conversation's id, workflow and last sequence number; create it if missing."""
    # The query also locks the conversation's row, in place of `Transaction.lock`.
    query = sql.add_lock(CONVERSATION, "FOR UPDATE")
    rows = sql.fetch(query, (owner, conversation_id))
    if not rows:
        workflow = _new(owner, message, trusted=trusted)
        title = message.text.strip() or "".join(file.name for file in files[:1])
        _create(tx, owner, conversation_id, workflow, title)
        # Read the row again, as another process may have created the conversation first.
        rows = sql.fetch(query, (owner, conversation_id))
    [(row_id, workflow, last_sequence, deleted_at)] = rows
    if deleted_at is not None:
        raise NotFound(
            pgettext_lazy(
                "hitl",
                "This conversation was deleted. Restore it on its page, or start another one.",
            )
        )
    return sql.read_uuid(row_id), workflow, last_sequence


def _complete_message(
    message: IncomingMessage, branch_point: BranchPoint | None, sent_files: list[Attachment]
) -> tuple[IncomingMessage, list[JsonObject]]:
    """Complete a message by its files, and by text and files of the message that it replaces.

    Returns:
        The message, whose metadata name the files for each execution of the run; and the files.
    """
    text, files = message.text, []
    if branch_point and branch_point.replaces:
        text = text if text.strip() else branch_point.replaces.text
        files = branch_point.replaces.metadata.get("files", [])
    files = [*files, *(file.stored for file in sent_files if file.stored not in files)]
    metadata = {**(message.metadata or {}), "files": files} if files else message.metadata
    return replace(message, text=text, metadata=metadata), files


def _new(owner: UserId, message: IncomingMessage, *, trusted: bool) -> str:
    """Return the name of the workflow that a new conversation gets for its first message."""
    if trusted:
        return registry.get(message.workflow).workflow.name
    if message.workflow is None and message.model is not None:
        with suppress(UnknownWorkflow):
            return workflow_access.find(owner, message.model).workflow.name
    return workflow_access.find(owner, message.workflow).workflow.name


def _create(tx: Transaction, owner: UserId, conversation_id: str, workflow: str, text: str) -> None:
    sql.insert_new(
        Conversation,
        id=uuid4(),
        owner_id=owner,
        conversation_id=conversation_id,
        workflow=workflow,
        title=cut(without_marks(" ".join(text.split())), MAX_TITLE_LENGTH)
        if is_seen(text)
        else workflow,
        last_sequence=0,
        created_at=tx.now,
        updated_at=tx.now,
        listed_at=tx.now,
    )


def _check_free(
    conversation: UUID, message: IncomingMessage, branch_point: BranchPoint | None
) -> None:
    """Check, before anything is written, that no active run prevents the message's run.

    A repeated message, which is already stored, passes the check.

    Raises:
        Busy: a run is active.
    """
    active = read_active(conversation)
    if branch_point:  # ignore active runs on other branches, because a new branch stops these
        active = [run for run in active if run.id in branch_point.before]
    if active and not sql.fetch(SUBMITTED, (conversation, message.message_id)):
        raise Busy


def _next_place(
    begun_by: UUID | None, owner: UserId, conversation: UUID, message: IncomingMessage
) -> Place:
    """Return the place of the message's run in the line of the run whose code sends the message.

    Another program's request names this run by the header `workflow-parent-id`.
    """
    if begun_by is None:
        name = ((message.metadata or {}).get("headers") or {}).get("workflow-parent-id", "")
        runs = Run.objects.filter(pk=name, conversation__owner=owner) if sql.is_uuid(name) else []
        begun_by = next((run.pk for run in runs), None)
    try:
        return next_place(begun_by, owner)
    except TooManyRuns:
        if sql.fetch(SUBMITTED, (conversation, message.message_id)):
            return Place()  # unused: the message has a run
        raise


def _begin_branch(tx: Transaction, run: RunRecord, branch_point: BranchPoint) -> JsonObject:
    """Stop active runs on other branches, so that the new run need not wait for them.

    Returns the part of the message event's payload that describes the branch.
    """
    Conversation.objects.filter(pk=run.conversation_id).update(branched=True)
    interrupt(tx, run, only_asking=False, spared=branch_point.before)
    if branch_point.replaces is None:
        return {}
    request_stop(tx, branch_point.replaces)  # stop the replaced run, even if it is suspended
    by = Conversation.objects.select_related("owner").get(pk=run.conversation_id).owner
    fork = {"run": str(branch_point.replaces.id), "position": 1, "by": by.get_username()}
    return {"fork": fork}


def insert_run(
    tx: Transaction,
    run: RunRecord,
    key: HostKey,
    sequence: int,
    message: IncomingMessage,
    columns: JsonObject,
) -> bool:
    """Insert a run, queued behind runs with a lower `sequence`; False if the message has a run.

    `columns` are further columns of the row.
    """
    parent = {} if run.parent is None else run.parent._asdict()
    return sql.insert_new(
        Run,
        id=run.id,
        conversation_id=run.conversation_id,
        parent_id=parent.get("run"),
        parent_position=parent.get("position"),
        key=key,
        workflow=key.workflow,
        sequence=sequence,
        message_id=message.message_id,
        text=message.text,
        client_format=message.client_format,
        metadata=encode(add_trace_id(message.metadata or {}, run.id))[0],
        status=Run.Status.QUEUED.value,
        generation=0,
        crashes=0,
        created_at=tx.now,
        **columns,
    )


def add_trace_id(metadata: JsonObject, run: UUID) -> JsonObject:
    """Add the id of the run's trace to its metadata, for `context.workflow_trace_id`."""
    parent = Trace.of_headers(metadata.get("headers") or {})
    return {**metadata, "trace_id": f"{Trace.of_run(str(run), parent).trace_id:032x}"}
