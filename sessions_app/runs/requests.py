"""The requests to runs and their prompts: start, resume, stop, claim, reassign and so on.

Each function builds a function that writes. The decorator `in_caller_transaction` executes this
function in the caller's transaction; `as_coroutine` makes a variant for coroutines, with a separate
transaction.
"""

from collections.abc import Callable
from functools import partial, wraps
from inspect import signature, unwrap
from typing import ParamSpec, TypeVar, get_args
from uuid import UUID, uuid4

from django.contrib.auth.base_user import AbstractBaseUser
from pydantic_core import PydanticSerializationError, from_json, to_json

from sessions_app.conversations import arrivals, messages, stops
from sessions_app.conversations.forks import Forker, fork_run
from sessions_app.conversations.messages import MAX_NAME, IncomingMessage
from sessions_app.conversations.resumption import resume_run
from sessions_app.errors import Invalid, NotFound, TooLarge
from sessions_app.interactions import audit, claims, escalation, handing_on
from sessions_app.interactions.answers import (
    AnswerResult,
    CheckedAnswer,
    IncomingAnswer,
    Outcome,
    acheck_in_name,
    answer_in_name,
    check_in_name,
)
from sessions_app.interactions.claims import ClaimState
from sessions_app.interactions.settlement import (
    InteractionRecord,
    expiry,
    find_interactions,
    settle,
)
from sessions_app.models import Conversation
from sessions_app.models.people import Person, UserId
from sessions_app.prompts import Given, JsonAnswer
from sessions_app.prompts.assignment import To, assignees
from sessions_app.storage.lineage import current_run
from sessions_app.storage.sql import read_id
from sessions_app.storage.storable import check_finite, check_size, check_storable, storable
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer
from sessions_app.workflows.callbacks import read_callback
from sessions_app.workflows.steps import Coro

# Origin of answers given through this module, as shown in events and the admin.
VIA = "python"

P = ParamSpec("P")
T = TypeVar("T")


def in_caller_transaction(build: Callable[P, Work[T]]) -> Callable[P, T]:
    """Decorate a builder of writes: the new function executes them in the caller's transaction."""

    @wraps(build)
    def write(*args: P.args, **kwargs: P.kwargs) -> T:
        return writer.write_within(build(*args, **kwargs))

    (_, result) = get_args(signature(build).return_annotation)
    vars(write)["__signature__"] = signature(build).replace(return_annotation=result)
    return write


def as_coroutine(function: Callable[P, T]) -> Callable[P, Coro[T]]:
    """Make a coroutine variant of a function, with a separate transaction."""
    build: Callable[P, Work[T]] = unwrap(function)

    @wraps(function)
    async def write(*args: P.args, **kwargs: P.kwargs) -> T:
        return await writer.write(build(*args, **kwargs))

    write.__name__ = write.__qualname__ = f"a{function.__name__}"
    write.__doc__ = f"See `{function.__name__}`: from a coroutine, in a transaction of its own."
    return write


@in_caller_transaction
def start(
    workflow: str,
    message: object,
    *,
    user: AbstractBaseUser,
    conversation: str | None = None,
    key: str | None = None,
) -> Work[UUID]:
    """Start a run in the caller's transaction, and return its id; a rollback removes the run.

    Args:
        workflow: the name of an offered workflow.
        message: a text, or another value with a JSON form that the workflow takes.
        user: the owner of the conversation: sees it, and is asked unless a prompt names others.
        conversation: the id of the user's conversation to continue or begin; by default the run has
            a new one.
        key: makes a repeat harmless: a start with the same key returns the id of the first run, and
            does nothing. Keys are per user, workflow and (if named) conversation.

    Raises:
        UnknownWorkflow: the workflow is not offered.
        Invalid: the message is empty or too long, or the conversation is another workflow's.
        Busy: a run is active in the conversation, and the workflow takes one at a time.
        TooManyRuns: a run's step, or a receiver of its signals, starts this run, and the run may
            begin no other.
    """
    if key is not None and not key:
        raise Invalid("The key is empty: leave it out, or give one.")
    if getattr(user, "pk", user) is None:
        raise Invalid("The user is not saved, or not signed in: a run needs one to belong to.")
    text = message if isinstance(message, str) else to_json(message).decode()
    incoming_message = IncomingMessage(key or uuid4().hex, text, workflow=workflow)
    conversation_id = conversation or (f"{workflow}:{key}" if key else uuid4().hex)
    messages.check_message(conversation_id, incoming_message)
    return partial(
        _submit,
        owner=Person.of(user).id,
        conversation_id=conversation_id,
        message=incoming_message,
        begun_by=current_run(),
    )


astart = as_coroutine(start)


@in_caller_transaction
def answer(
    interaction: UUID | str,
    value: Given | list[Given],
    *,
    by: AbstractBaseUser,
    answer_id: str | None = None,
) -> Work[AnswerResult]:
    """Answer an interaction in the name of any user, and return the outcome.

    Args:
        interaction: an id from the rows `Interaction.objects.filter(run=…, status="pending")`.
        value: an option's value, or a text; for a checkbox a list, for a form a dict by field.
        by: the answering user.
        answer_id: makes a repeat harmless: the same answer with the same id is a `duplicate`.

    Raises:
        NotFound: there is no such interaction.
        Invalid: the prompt does not accept the answer, or the user is not active; the prompt stays
            open.
    """
    person, incoming_answer = Person.of(by), _incoming_answer(value, answer_id)
    return give(check_in_name(read_id(interaction), incoming_answer), person)


async def aanswer(
    interaction: UUID | str,
    value: Given | list[Given],
    *,
    by: AbstractBaseUser,
    answer_id: str | None = None,
) -> AnswerResult:
    """Answer an interaction from a coroutine, in a separate transaction; see `answer`."""
    person, incoming_answer = Person.of(by), _incoming_answer(value, answer_id)
    checked_answer = await acheck_in_name(read_id(interaction), incoming_answer)
    return await writer.write(give(checked_answer, person))


def _incoming_answer(value: Given | list[Given], answer_id: str | None) -> IncomingAnswer:
    return IncomingAnswer(answer_id or str(uuid4()), VIA, JsonAnswer.of(value))


def give(
    checked_answer: CheckedAnswer, person: Person, *, over_claims: bool = False
) -> Work[AnswerResult]:
    """Build the write of an answer in a user's name; see `answer_in_name`."""
    work = partial(answer_in_name, by=person, answer=checked_answer, over_claims=over_claims)
    return audit.with_request_address(work)


@in_caller_transaction
def send(run: UUID | str, name: str, payload: object = None, *, id: str) -> Work[Outcome]:
    """Send data to a run, which gets it exactly once by `context.wait_for(name)`, now or later.

    Args:
        run: the run's id.
        name: the name that the run waits for.
        payload: the return value of `wait_for`; must have a JSON form.
        id: the sender's id of the data: a repetition with the same id is a `duplicate`.

    Returns:
        `accepted`, `duplicate`, or `stale` if the run has ended.

    Raises:
        NotFound: there is no such run.
        Invalid: the name, the id or the payload cannot be stored.
    """
    _check_name("The name", name)
    _check_name("The id", id)
    try:
        json_payload = from_json(to_json(payload))
        check_size("What is sent", json_payload, "MAX_STEP_RESULT")
    except (PydanticSerializationError, TooLarge) as error:
        raise Invalid(str(error)) from None
    check_finite(json_payload)
    if storable(json_payload) != json_payload:
        raise Invalid("The payload contains a NUL (U+0000), which cannot be stored. Remove it.")
    return partial(arrivals.send, run_id=read_id(run), name=name, payload=json_payload, sent_id=id)


asend = as_coroutine(send)


@in_caller_transaction
def cancel(run: UUID | str) -> Work[bool]:
    """Ask a run to stop; return False if it has already ended. The last event confirms the stop.

    Raises:
        NotFound: there is no such run.
    """
    return partial(stops.stop_run, run_id=read_id(run))


acancel = as_coroutine(cancel)


@in_caller_transaction
def resume(run: UUID | str, *, by: AbstractBaseUser) -> Work[bool]:
    """Resume a failed or suspended run from its journal, once the cause is fixed.

    Answers and finished steps are kept. A failed step is repeated if no further call followed it.
    Returns False if the run is neither failed nor suspended, or if it is a failed child run: resume
    its parent instead, which begins a new child.

    Raises:
        NotFound: there is no such run.
    """
    return partial(resume_run, run_id=read_id(run), by=Person.of(by).username)


aresume = as_coroutine(resume)


@in_caller_transaction
def fork(
    run: UUID | str, *, position: int, by: AbstractBaseUser, key: str | None = None
) -> Work[UUID]:
    """Begin a new run from the journal of another, in the same conversation; return its id.

    Calls before the position keep their outcome: answers, results, text. Later calls are made anew.
    The source run does not change.

    Args:
        run: the source run's id; its status does not matter.
        position: journal position of the first call that is made anew; 1 keeps nothing, and then
            the run begins with the workflow's newest version.
        by: the user whom the log names.
        key: makes a repeat harmless: a fork with the same key returns the id of the first one.

    Raises:
        NotFound: there is no such run.
        Invalid: the run has not reached that position.
        UnknownWorkflow: the run's workflow is not offered.
        Busy: a run is active in the conversation, and the workflow takes one at a time.
        TooManyRuns: as for `start`.
    """
    name = uuid4().hex if key is None else key
    _check_name("The key", name)
    person = Person.of(by)
    forker = Forker(person.username, current_run())
    return partial(fork_run, run=read_id(run), position=position, by=forker, key=name)


afork = as_coroutine(fork)


def _submit(
    tx: Transaction,
    owner: UserId,
    conversation_id: str,
    message: IncomingMessage,
    begun_by: UUID | None,
) -> UUID:
    conversations = Conversation.objects.filter(owner_id=owner, conversation_id=conversation_id)
    other_workflow = (
        conversations.exclude(workflow=message.workflow).values_list("workflow", flat=True).first()
    )
    if other_workflow is not None:
        raise Invalid(
            f"The conversation {conversation_id!r} is one of the workflow {other_workflow!r}."
        )
    submitted = messages.submit_in(
        tx, owner, conversation_id, message, trusted=True, begun_by=begun_by
    )
    return submitted.run


async def acall_back(token: str, payload: object) -> Outcome:
    """Send data posted to a URL of `Context.callback_url`; `token` is the URL's last part.

    Raises:
        NotFound: there is no such callback.
        Invalid: the payload cannot be stored.
    """
    to = read_callback(token)
    name = to.name.replace("%", "%25").replace(":", "%3A")  # escape colons, the id's separator
    return await asend(to.run, to.name, payload, id=f"callback:{name}:{to.id}")


def _check_name(subject: str, text: str) -> None:
    check_storable(subject, text)
    if not text or len(text) > MAX_NAME:
        raise Invalid(f"{subject} must have 1 to {MAX_NAME} characters.")


@in_caller_transaction
def claim(interaction: UUID | str, *, by: AbstractBaseUser) -> Work[ClaimState]:
    """Claim an assigned prompt for a user, so that nobody else can answer it.

    Raises:
        NotFound: the prompt does not exist, or this user may not answer it.
    """
    return claims.build_change("claim", str(interaction), by=Person.of(by), via=VIA)


aclaim = as_coroutine(claim)


@in_caller_transaction
def release(interaction: UUID | str, *, by: AbstractBaseUser) -> Work[ClaimState]:
    """Release the user's claim, so that others may answer. Raises NotFound as `claim` does."""
    return claims.build_change("release", str(interaction), by=Person.of(by), via=VIA)


arelease = as_coroutine(release)


@in_caller_transaction
def reassign(
    interaction: UUID | str, *, to: To, note: str = "", by: AbstractBaseUser, via: str = VIA
) -> Work[bool]:
    """Replace all candidates of a prompt, and end a claim.

    Args:
        interaction: an id from the rows `Interaction.objects.filter(run=…, status="pending")`.
        to: the new candidates, as for `context.ask`.
        note: a text for the new candidates and the owner.
        by: the user for the audit log. The caller has to check this user's rights.
        via: the origin of the change for the audit log.

    Returns:
        False if the prompt is settled.

    Raises:
        NotFound: there is no such interaction.
        Invalid: a candidate does not exist, or there are too few for the prompt's rules.
        ValueError: `to` names nobody.
    """
    change = partial(handing_on.reassign, to=assignees(to), note=note, by=Person.of(by), via=via)
    return _change(interaction, change)


areassign = as_coroutine(reassign)


@in_caller_transaction
def escalate(interaction: UUID | str, *, by: AbstractBaseUser, via: str = VIA) -> Work[bool]:
    """Add the candidates of a prompt's next escalation now; `by` and `via` as for `reassign`.

    Returns:
        False if the prompt is settled, or has no further escalation.

    Raises:
        NotFound: there is no such interaction.
    """
    return _change(interaction, partial(escalation.escalate, by=Person.of(by), via=via))


aescalate = as_coroutine(escalate)


@in_caller_transaction
def expire(interaction: UUID | str, *, by: AbstractBaseUser, via: str = VIA) -> Work[bool]:
    """Settle a prompt as if its deadline had passed; `by` and `via` as for `reassign`.

    Returns:
        False if the prompt is settled.

    Raises:
        NotFound: there is no such interaction.
    """
    person = Person.of(by)
    return _change(interaction, lambda tx, row: settle(tx, row, expiry(row, via, person)))


aexpire = as_coroutine(expire)


def _change(
    interaction: UUID | str, change: Callable[[Transaction, InteractionRecord], bool]
) -> Work[bool]:
    wanted = read_id(interaction)

    def work(tx: Transaction) -> bool:
        for record in find_interactions(interaction=wanted):
            return change(tx, record)
        raise NotFound("There is no such interaction.")

    return audit.with_request_address(work)
