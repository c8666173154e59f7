"""The audit of assigned prompts: each view, claim, answer and so on. See `AuditEntry`."""

from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from sessions_app.errors import StorageUnavailable
from sessions_app.json_types import JsonObject
from sessions_app.logs import Log
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import Person
from sessions_app.prompts import question_title
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

log = Log(__name__)

MAX_TEXT_LENGTH = 200
ADDRESS = 100

T = TypeVar("T")

# A function that returns the client's network address. Front ends set the variable for each
# request; the function is called only when an audit entry is written.
address: ContextVar[Callable[[], str]] = ContextVar("address", default=str)


@dataclass(frozen=True, slots=True)
class AuditedPrompt:
    """A prompt that an audit entry is about; `workflow` is the workflow of its run."""

    interaction: UUID
    run: UUID
    workflow: str
    prompt: JsonObject


def with_request_address(work: Work[T]) -> Work[T]:
    """Wrap work, so that audit entries made in the writer's thread get this request's address."""
    request_address = address.get()

    def with_address(tx: Transaction) -> T:
        token = address.set(request_address)
        try:
            return work(tx)
        finally:
            address.reset(token)

    return with_address


def record(
    tx: Transaction,
    about: AuditedPrompt,
    action: AuditEntry.Action,
    *,
    by: Person | None = None,
    via: str = "",
    **detail: object,
) -> None:
    """Add an entry, in the transaction of the recorded change."""
    sql.insert(AuditEntry, **_row(tx, about, action, by, via, detail))


async def record_shown(interactions: Collection[UUID], *, by: Person, via: str) -> None:
    """Record, for each assigned prompt, that this person has been sent a page with the prompt.

    `via` is the prompt's own page, which the person opened, or the inbox, where cards may be
    folded; the start page shows the first prompts of the inbox. A prompt that is recorded already
    gets no second entry. Callers check that the person may see the prompts.
    """
    if new := await reads.read_for(by.id, _not_shown, interactions, by):

        def work(tx: Transaction) -> None:
            for about in new:
                row = _row(tx, about, AuditEntry.Action.SHOWN, by, via, {})
                sql.insert_new(AuditEntry, **row)

        try:
            await writer.write(with_request_address(work))
        except StorageUnavailable as error:  # show the page even if the entry cannot be stored
            log.warning("audit.not_stored", by=str(by.id), error=str(error))


def _not_shown(interactions: Collection[UUID], by: Person) -> list[AuditedPrompt]:
    shown_entries = AuditEntry.objects.filter(
        interaction__in=interactions, by=str(by.id), action=AuditEntry.Action.SHOWN
    )
    prompts = Interaction.objects.filter(
        pk__in=set(interactions).difference(shown_entries.values_list("interaction", flat=True)),
        assignment__isnull=False,
    )
    return [
        AuditedPrompt(*row) for row in prompts.values_list("pk", "run", "run__workflow", "prompt")
    ]


def opened_entry(interaction: Interaction) -> AuditEntry:
    """Build the audit entry for asking a prompt without assignment, shown to the owner alone."""
    return AuditEntry(
        interaction=interaction.pk,
        run=interaction.run_id,
        workflow=interaction.run.workflow,
        question=first_line(interaction.prompt),
        action=AuditEntry.Action.OPENED.value,
        at=interaction.created_at,
        detail={},
    )


def first_line(prompt: JsonObject) -> str:
    """Return the first line of the question, cut to `MAX_TEXT_LENGTH` characters."""
    return question_title(prompt)[:MAX_TEXT_LENGTH]


def _row(
    tx: Transaction,
    about: AuditedPrompt,
    action: AuditEntry.Action,
    by: Person | None,
    via: str,
    detail: JsonObject,
) -> JsonObject:
    return {
        "interaction": about.interaction,
        "run": about.run,
        "workflow": about.workflow,
        "question": first_line(about.prompt),
        "action": action.value,
        "at": tx.now,
        "by": str(by.id) if by else "",
        "by_name": by.username[:MAX_TEXT_LENGTH] if by else "",
        "via": via,
        "address": address.get()()[:ADDRESS],
        "detail": sql.Json(detail),
    }
