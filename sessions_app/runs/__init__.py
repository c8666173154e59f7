"""Runs for the code of a Django project: start one, answer its prompts, stop it, follow it.

    from sessions_app import runs

    with transaction.atomic():
        order.save()
        runs.start("check_order", f"Order {order.pk}", user=order.buyer, key=f"order-{order.pk}")

Each function works in any process with the project's settings: a view, a signal's receiver, a
management command, a cron job. Its writes belong to the caller's transaction.

Each has a variant for coroutines, with Django's prefix `a` (`astart`). Django has no transactions
in coroutines, so the variant writes in a separate transaction. See docs/from-django.md.
"""

from sessions_app.interactions.answers import AnswerResult, Outcome
from sessions_app.interactions.claims import ClaimState
from sessions_app.runs.following import RunResult, aevents, aresult, events, result
from sessions_app.runs.requests import (
    aanswer,
    acall_back,
    acancel,
    aclaim,
    afork,
    answer,
    areassign,
    arelease,
    aresume,
    asend,
    astart,
    cancel,
    claim,
    fork,
    reassign,
    release,
    resume,
    send,
    start,
)
from sessions_app.storage.records import EventRecord

__all__ = [
    "AnswerResult",
    "ClaimState",
    "EventRecord",
    "Outcome",
    "RunResult",
    "aanswer",
    "acall_back",
    "acancel",
    "aclaim",
    "aevents",
    "afork",
    "answer",
    "areassign",
    "arelease",
    "aresult",
    "aresume",
    "asend",
    "astart",
    "cancel",
    "claim",
    "events",
    "fork",
    "reassign",
    "release",
    "result",
    "resume",
    "send",
    "start",
]
