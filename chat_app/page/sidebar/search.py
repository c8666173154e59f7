"""Finding a conversation by what was said in it.

There is no index of words: each event would pay for it when it is stored. Titles are compared in
all conversations of the person; texts in the newest ones only, so that a search stays bounded.
"""

from uuid import UUID

from django.db.models import Q, QuerySet

from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.storage.storable import is_storable
from sessions_app.workflows import registry

# Conversations whose texts are looked through.
NEWEST = 500
SHORTEST = 2  # characters; less is in nearly every text


def matching(mine: QuerySet[Conversation], query: str) -> Q:
    """Which of the conversations have it in their title, their workflow's, or their texts.

    Texts: messages, questions, and output of runs that have ended.
    """
    if not is_storable(query):
        return Q(pk__in=[])
    workflows = [
        offered.workflow.name
        for offered in registry.offered()
        if query.casefold() in offered.workflow.title.casefold()
    ]
    named = Q(title__icontains=query) | Q(workflow__iexact=query) | Q(workflow__in=workflows)
    return named if len(query) < SHORTEST else named | Q(pk__in=_said(mine, query))


def _said(mine: QuerySet[Conversation], query: str) -> list[UUID]:
    # As a list: a database that knows only the number of all rows may else look through them all.
    newest = list(mine.order_by("-listed_at").values_list("pk", flat=True)[:NEWEST])
    sent = Run.objects.filter(conversation__in=newest, text__icontains=query)
    asked = Interaction.objects.filter(conversation__in=newest, prompt__text__icontains=query)
    put_out = Event.objects.filter(
        conversation__in=newest, type=Event.Type.MESSAGE, payload__text__icontains=query
    )
    others = (rows.values_list("conversation_id", flat=True) for rows in (asked, put_out))
    return list(sent.values_list("conversation_id", flat=True).union(*others))
