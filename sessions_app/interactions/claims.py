"""Claims of assigned prompts: while a person holds the claim, nobody else can answer.

Each change is one transaction that also writes the log and the audit.
"""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from uuid import UUID

from django.utils.text import format_lazy
from django.utils.translation import pgettext_lazy

from sessions_app.errors import Invalid, NotFound
from sessions_app.interactions import audit, handing_on, votes
from sessions_app.interactions.answerers import PromptAudience, able_holders, may_answer
from sessions_app.interactions.handing_on import Action, Change, find_delegate, find_delegates
from sessions_app.interactions.settlement import InteractionRecord, find_interactions
from sessions_app.models import AuditEntry, Interaction
from sessions_app.models.people import Person, UserId, is_guest, users
from sessions_app.prompts import check_note
from sessions_app.storage import reads, sql
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer

# Number of claims that are checked together.
AT_ONCE = 500
NO_PROMPT = "There is no such prompt."
# Maximum number of changes of a prompt's claim and candidates, after which people claim and
# delegate it no more: each change is an event of the owner's conversation.
MOST_CHANGES = 100

# A search by name reads all users, so each person may run one search at a time.
_searches = reads.Shares(1)


@dataclass(frozen=True, slots=True)
class ClaimState:
    """The state of a prompt after a request to change its claim.

    `changed`: the change took effect. `assignee` is the user name of the claim's holder.
    """

    changed: bool
    status: str
    assignee: str | None

    @property
    def outcome(self) -> str:
        """The outcome, in the words of `answers.Outcome`."""
        if self.changed:
            return "accepted"
        return "claimed" if self.status == Interaction.Status.PENDING else "stale"


async def change(
    action: str, interaction: str, *, to: str = "", note: str = "", by: Person, via: str
) -> ClaimState:
    """Claim or release a prompt, or delegate it.

    `claim` succeeds if nobody else holds a claim; `release` ends one's own claim; `delegate` hands
    the prompt, the note and the claim to the person named `to`. The name is looked up before the
    transaction; the delegate's rights are checked within.

    Raises:
        NotFound: there is no such prompt, or this person may not answer it.
        Invalid: there is no such user, the user may not answer, `by` is a guest, who cannot
            delegate, or the prompt has changed hands too often.
    """
    check_note(note)
    delegate: Person | ClaimState | None = None
    if action == "delegate":
        look_up = partial(reads.read_for, by.id, _find_delegate, interaction, to, by)
        delegate = await _searches.run(by.id, look_up)
    if isinstance(delegate, ClaimState):
        return delegate
    work = build_change(action, interaction, delegate=delegate, note=note, by=by, via=via)
    return await writer.write(work)


def build_change(
    action: str,
    interaction: str,
    *,
    delegate: Person | None = None,
    note: str = "",
    by: Person,
    via: str,
) -> Work[ClaimState]:
    """Build the function that `change` executes, for callers with a transaction of their own."""

    def work(tx: Transaction) -> ClaimState:
        prompt = find_assigned(interaction, by)
        if prompt is None:
            raise NotFound(NO_PROMPT)
        holders = {"claim": (None,), "release": (by.id,)}.get(action, (None, by.id))
        if prompt.status != Interaction.Status.PENDING or holder(prompt, by) not in holders:
            return claim_state(prompt)
        if action == "release":
            handing_on.assign(tx, prompt, Change(Action.RELEASED, by, via))
            return ClaimState(True, prompt.status, None)
        _check_changes(prompt)
        if delegate is not None:
            handing_on.delegate(tx, prompt, delegate, note=note, by=by, via=via)
            return ClaimState(True, prompt.status, delegate.username)
        if votes.has_voted(by.id, prompt.id):
            raise Invalid(pgettext_lazy("hitl", "You have voted. The others decide now."))
        handing_on.assign(tx, prompt, Change(Action.CLAIMED, by, via, assignee=by))
        return ClaimState(True, prompt.status, by.username)

    return audit.with_request_address(work)


def _check_changes(prompt: InteractionRecord) -> None:
    """Raise Invalid if the prompt's claim and candidates were changed `MOST_CHANGES` times."""
    changes = AuditEntry.objects.filter(interaction=prompt.id, action__in=AuditEntry.CHANGES)
    if changes.count() >= MOST_CHANGES:
        text = pgettext_lazy(
            "hitl", "This question has changed hands {times} times. Answer it, or ask an operator."
        )
        raise Invalid(format_lazy(text, times=MOST_CHANGES))


def find_assigned(interaction: str, by: Person, *, locked: bool = True) -> InteractionRecord | None:
    """Return the prompt, pending or settled, if it is assigned and this person may answer."""
    if not sql.is_uuid(interaction):
        return None
    for prompt in find_interactions(interaction=UUID(interaction), undeleted=True, locked=locked):
        if prompt.assignment is not None and may_answer(by.id, prompt.audience):
            return prompt
    return None


def holder(prompt: InteractionRecord, by: Person) -> UserId | None:
    """Return the user with the valid claim on the prompt, possibly `by`; None without one.

    A claim is invalid once its holder may not answer, such as after leaving the group.
    """
    assignee = prompt.assignee
    if assignee in (None, by.id) or may_answer(assignee, prompt.audience):
        return assignee
    return None


def lost_claims(limit: int) -> list[UUID]:
    """Return up to `limit` pending prompts with a claim that is no longer valid."""
    prompts = Interaction.objects.select_related("conversation__owner").filter(
        status=Interaction.Status.PENDING, assignee__isnull=False
    )
    lost: list[UUID] = []
    unread = iter(prompts)
    while len(lost) < limit and (some := list(islice(unread, AT_ONCE))):
        holders = {
            prompt.pk: prompt.assignee_id for prompt in some if prompt.assignee_id is not None
        }
        able = able_holders(holders, [PromptAudience.of(prompt) for prompt in some])
        lost += [pk for pk in holders if pk not in able]
    return lost[:limit]


def release_lost(tx: Transaction, interaction: UUID) -> None:
    """Release a claim whose holder may no longer answer, and tell the other candidates."""
    for prompt in find_interactions(interaction=interaction, pending=True):
        if prompt.assignee and not may_answer(prompt.assignee, prompt.audience):
            handing_on.assign(tx, prompt, Change(Action.RELEASED, None, ""))


async def find_people(interaction: str, query: str, by: Person) -> list[Person]:
    """Find people with a matching name to whom `by` can delegate the prompt; empty for a guest.

    Raises:
        NotFound: there is no such prompt, or this person may not answer it.
    """

    def find() -> list[Person]:
        prompt, is_free = _find_to_hand_on(interaction, by)
        may_search = is_free and not is_guest(by.username)
        return find_delegates(prompt, query, by=by.id) if may_search else []

    return await _searches.run(by.id, partial(reads.read_for, by.id, find))


def _find_delegate(interaction: str, name: str, by: Person) -> Person | ClaimState:
    """Return the person to delegate to, or the prompt's claim state if `by` cannot delegate now."""
    prompt, is_free = _find_to_hand_on(interaction, by)
    if not is_free:
        return claim_state(prompt)
    if is_guest(by.username):
        raise Invalid(
            pgettext_lazy(
                "hitl", "A guest cannot hand a question on. Answer it, or leave it to others."
            )
        )
    return find_delegate(prompt, name)


def _find_to_hand_on(interaction: str, by: Person) -> tuple[InteractionRecord, bool]:
    """Return a prompt that this person may answer, and whether the person can delegate it now.

    The prompt must be pending, and not claimed by another person.
    """
    prompt = find_assigned(interaction, by)
    if prompt is None:
        raise NotFound(NO_PROMPT)
    is_pending = prompt.status == Interaction.Status.PENDING
    return prompt, is_pending and holder(prompt, by) in (None, by.id)


def claim_state(prompt: InteractionRecord) -> ClaimState:
    """Return the prompt's current claim state, for a request that changed nothing."""
    assignee = prompt.assignee and users().filter(pk=prompt.assignee).first()
    return ClaimState(False, prompt.status, assignee.get_username() if assignee else None)
