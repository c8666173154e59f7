"""Tests of what the operators' pages read where many prompts wait: no table as a whole."""

from functools import partial

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.contrib.operations.many_rows import EACH, fill, id_of
from tests.inbox.many_prompts import plan_as_elsewhere
from tests.support.database.work_done import whole_tables, work_done

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

COUNT = 4_000
# The conversation that is searched for.
NUMBER = 77
LISTS = "/admin/sessions_app/"
LARGE = {
    f"sessions_app_{name}"
    for name in ("conversation", "run", "interaction", "event", "journalentry", "auditentry")
}
# Searches, and how many rows they find.
CONVERSATION, RUN, PROMPT = (str(id_of(kind, NUMBER)) for kind in "cda")
OWNER = f"user{NUMBER}"
SEARCHES = {
    "run": {RUN: 1, CONVERSATION: 1, f"chat-{NUMBER}": 1, OWNER: 10, "A message": 0, "user": 0},
    "interaction": {
        PROMPT: 1,
        RUN: 1,
        CONVERSATION: 1,
        f"chat-{NUMBER}": 1,
        "What is the name of the customer?": 0,
        "customer": 0,
        OWNER: 11,
    },
    "conversation": {CONVERSATION: 1, f"chat-{NUMBER}": 1, OWNER: 10, "A conversation": 0},
    "auditentry": {PROMPT: 1, RUN: 1, OWNER: 10, "What is the name of the customer?": 0},
    "hostlease": {RUN: 1, CONVERSATION: 1, OWNER: 10, "report": 0},
    "feedback": {str(id_of("d", 76)): 1, "👍": 0},
    "attachment": {str(id_of("b", 76)): 1, "a.pdf": 0},
}


def look(client: Client, path: str) -> None:
    assert client.get(path).status_code == 200, path


@pytest.mark.local_only("SQLite says which tables it reads without an index")
def test_no_list_and_no_first_page_reads_a_large_table_as_a_whole(admin_client: Client) -> None:
    fill(COUNT)
    models = ("run", "interaction", "conversation", "auditentry", "hostlease", "pendingsignal")
    paths = ["/admin/", *(f"{LISTS}{model}/" for model in models)]
    waits = [f"waits={state}" for state in ("nobody", "overdue", "claimed", "unclaimed")]
    paths += [f"{LISTS}interaction/?{query}" for query in ("status__exact=pending", *waits)]
    paths += [f"{LISTS}run/?status__exact=waiting"]
    read = {path: whole_tables(partial(look, admin_client, path)) for path in paths}
    assert {path: tables for path, tables in read.items() if LARGE & {*tables}} == {}


def test_a_search_finds_ids_and_names_and_reads_few_rows(
    admin_client: Client, admin_user: User
) -> None:
    plan_as_elsewhere()
    fill(COUNT)
    found, costs = {}, {}
    for model, terms in SEARCHES.items():
        for term in terms:
            rows = admin_client.get(f"{LISTS}{model}/", {"q": term}).context["cl"].queryset
            found[model, term] = rows.count()
            costs[model, term] = work_done(partial(list, rows[:50]))
    assert found == {(model, term): n for model, of in SEARCHES.items() for term, n in of.items()}
    assert {search: cost for search, cost in costs.items() if cost > COUNT // 10} == {}


@pytest.mark.parametrize("model", ["event", "journalentry", "pendingsignal", "process"])
def test_a_list_without_a_search_shows_all(admin_client: Client, model: str) -> None:
    look(admin_client, f"{LISTS}{model}/?q=ann")


@pytest.mark.parametrize("model", ["run", "interaction", "conversation", "auditentry", "event"])
def test_a_list_is_sorted_by_what_has_an_index(admin_client: Client, model: str) -> None:
    fill(EACH)
    page = admin_client.get(f"{LISTS}{model}/").content.decode()
    assert page.count('class="sortable') == (model != "event")
