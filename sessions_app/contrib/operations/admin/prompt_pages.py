"""The admin pages of questions: to read, answer in one's own name, reassign, expire early."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import OrderBy, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path
from django.utils.translation import pgettext, pgettext_lazy
from pydantic import ValidationError as PydanticError

from sessions_app.contrib.operations import repairs
from sessions_app.contrib.operations.admin import (
    answers_page,
    audit_pages,
    notice_pages,
    question_texts,
)
from sessions_app.contrib.operations.admin.attention import PENDING, nobody_can_answer, overdue
from sessions_app.contrib.operations.admin.cells import colored, moment, short
from sessions_app.contrib.operations.admin.read_only import (
    USERNAME,
    ConditionFilter,
    ReadOnlyAdmin,
    Via,
    column,
    operation,
)
from sessions_app.errors import FormChanged, Invalid, SessionsError, UnknownAssignee
from sessions_app.interactions import assigning
from sessions_app.interactions.answers import TAKEN, AnswerResult, Outcome
from sessions_app.json_types import JsonObject
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.prompts import APPROVE, MAX_NOTE, AnyPrompt, PageAnswer, read_posted
from sessions_app.prompts.assignment import LONGEST_NAME, Assignee, group, permission, user
from sessions_app.questions.late_words import late_words
from sessions_app.questions.question_view import QuestionView
from sessions_app.runs import requests

SENTENCE_FIELDS = (
    question_texts.question,
    question_texts.details,
    question_texts.possible_answers,
    "state",
    question_texts.whom,
    question_texts.whole_answer,
    question_texts.settled_by,
    question_texts.at_deadline,
    question_texts.run_link,
)
ASSIGNMENT_FIELDS = (
    question_texts.who_can_answer,
    question_texts.candidates,
    question_texts.rules,
    "is_due",
    question_texts.votes,
    audit_pages.audit_table,
    notice_pages.of_prompt,
)
# Maximum number of questions named on the page that reassigns several.
TITLES_SHOWN = 20
STORED_FIELDS = (
    ("id", "conversation"),
    ("position", "sequence", "version"),
    ("name", "answer_id"),
    "difference",
    "prompt",
    "response",
)

ASSIGNED = PENDING & Q(assignment__isnull=False)
# Maximum number of rows that a filter yields: 200,000 pending questions would take seconds.
MAX_FILTERED_ROWS = 2_000


def _first(condition: Q, *order: OrderBy | str) -> Q:
    """Return the condition that a prompt is among the first rows in the given, indexed order."""
    first = Interaction.objects.filter(condition).order_by(*order)
    return Q(pk__in=first.values("pk")[:MAX_FILTERED_ROWS])


class Waits(ConditionFilter):
    """A filter of pending prompts by their state, the most urgent state first."""

    title = pgettext_lazy("hitl", "what waits")
    parameter_name = "waits"
    conditions: ClassVar = {
        "nobody": (pgettext_lazy("hitl", "nobody can answer"), nobody_can_answer),
        "overdue": (pgettext_lazy("hitl", "overdue"), overdue),
        "claimed": (
            pgettext_lazy("hitl", "claimed"),
            lambda: _first(PENDING & Q(assignee__isnull=False), "assignee"),
        ),
        "unclaimed": (
            pgettext_lazy("hitl", "assigned, and not claimed"),
            lambda: _first(ASSIGNED & Q(assignee__isnull=True), *question_texts.BY_DEADLINE),
        ),
    }


class AnswerForm(forms.Form):
    """A form with the field `answer` of the prompt's type: a text, or a list of values for a
    checkbox. For a prompt with options that may need a note, there is also the field `note`.

    The prompt validates the answer on submission, as on every other front end.
    """

    def __init__(self, *args: Any, prompt: AnyPrompt, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = prompt.field()
        field.label = field.label or pgettext_lazy("hitl", "Answer")
        self.fields["answer"] = field
        if hasattr(prompt, "note_options"):
            area = forms.Textarea(attrs={"rows": 2})
            self.fields["note"] = forms.CharField(
                label=pgettext_lazy("hitl", "Note"), required=False, widget=area
            )


def answer_form(prompt: AnyPrompt, data: QueryDict | None) -> forms.BaseForm:
    """Build the form for a prompt: its own form, if it has one, or else an AnswerForm.

    Raises:
        FormChanged: the class of that form is gone.
        Invalid: the prompt takes files, which the admin does not.
    """
    if prompt.takes_files:
        text = pgettext_lazy(
            "hitl", "This needs a file: reassign it to yourself, and answer it in your inbox."
        )
        raise Invalid(text)
    own_form = prompt.make(None if data is None else read_posted(data))
    return AnswerForm(data, prompt=prompt) if own_form is None else own_form


def answer_in(form: forms.BaseForm, data: QueryDict) -> PageAnswer | None:
    """Return the answer in a posted form, or None if the form has errors to show."""
    if not isinstance(form, AnswerForm):
        values = data.getlist("value")
        if values == [APPROVE] and not form.is_valid():
            return None
        return PageAnswer(values=values, fields=read_posted(data))
    if not form.is_valid():
        return None
    answer: str | list[str] = form.cleaned_data["answer"]
    texts = answer if isinstance(answer, list) else [_unify_lines(answer)]
    return PageAnswer(values=texts, note=_unify_lines(form.cleaned_data.get("note", "")))


def _unify_lines(text: str) -> str:
    """Return a text with line ends as LF, whatever the browser has sent."""
    return text.replace("\r\n", "\n")


class ReassignForm(forms.Form):
    """A form for users, groups and a permission; after validation, `assignees` lists them all."""

    users = forms.CharField(
        label=pgettext_lazy("hitl", "Users"),
        required=False,
        help_text=pgettext_lazy("hitl", "User names, with commas between them."),
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        label=pgettext_lazy("hitl", "Groups"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    permission = forms.CharField(
        label=pgettext_lazy("hitl", "Holders of the permission"),
        required=False,
        help_text=pgettext_lazy("hitl", "Such as app_label.codename."),
    )
    note = forms.CharField(
        label=pgettext_lazy("hitl", "Note"),
        required=False,
        max_length=MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=pgettext_lazy("hitl", "For these people, and for who asked."),
    )

    def clean(self) -> JsonObject:
        """Check that at least one candidate is named, and that all candidates exist."""
        data = {**self.cleaned_data}
        if self.errors:  # stop: the fields show their errors
            return data
        try:
            assignees = [user(name.strip()) for name in data["users"].split(",") if name.strip()]
            assignees += [group(row.name) for row in data["groups"]]
            assignees += [permission(data["permission"])] if data["permission"] else []
            assigning.find(assignees)
        except PydanticError as error:
            text = pgettext_lazy("hitl", "A name has at most %(most)s characters.")
            raise forms.ValidationError(text, params={"most": LONGEST_NAME}) from error
        except UnknownAssignee as error:
            raise forms.ValidationError(
                pgettext_lazy("hitl", "%(name)s does not exist."), params={"name": error.assignee}
            ) from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if not assignees:
            raise forms.ValidationError(pgettext_lazy("hitl", "Name somebody."))
        self.assignees: list[Assignee] = assignees
        return data


def _carry_out(
    request: Callable[..., bool], interaction: Interaction, by: AbstractBaseUser, **options: object
) -> bool:
    return repairs.carry_out(request, interaction.pk, by=by, via=repairs.VIA, **options)


@admin.register(Interaction)
class InteractionAdmin(ReadOnlyAdmin):
    """The admin pages of interactions: questions in words, with their outcomes."""

    state = column(pgettext_lazy("hitl", "status"), lambda row: colored(row.status))
    expires = column(
        pgettext_lazy("hitl", "expires"), lambda row: question_texts.until(row, row.expires_at)
    )
    is_due = column(pgettext_lazy("hitl", "due"), lambda row: question_texts.until(row, row.due_at))
    asked = column(
        pgettext_lazy("hitl", "asked"), lambda row: moment(row.created_at), ordering="created_at"
    )
    list_display = (
        *(question_texts.title, "state", question_texts.whom, question_texts.reply),
        *("expires", "asked", question_texts.run_link),
    )
    list_filter = ("status", Waits, ("answered_via", Via))
    sortable_by = ("asked",)
    related = ("run__conversation__owner", "answered_by", "assignee")
    search_fields = (
        *("pk__exact", "run__exact", "conversation__exact"),
        "conversation__conversation_id__exact",
        f"conversation__owner__{USERNAME}__exact",
        f"assignee__{USERNAME}__exact",
        f"candidates__user__{USERNAME}__exact",
    )
    searched = pgettext_lazy(
        "hitl",
        "Search whole IDs (question, run, conversation) and user names (owner, asked, claimed)",
    )
    fieldsets = (
        (None, {"fields": SENTENCE_FIELDS}),
        (pgettext_lazy("hitl", "Recipients and history"), {"fields": ASSIGNMENT_FIELDS}),
        (pgettext_lazy("hitl", "Raw record"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )
    readonly_fields = (*SENTENCE_FIELDS, *ASSIGNMENT_FIELDS)
    actions = ("answer", "reassign", "escalate", "expire")
    pages = ("answer",)

    def title_of(self, row: Any) -> str:
        return question_texts.title(row)

    def get_urls(self) -> list[URLPattern]:
        """Add the page Answers."""
        view = self.admin_site.admin_view(self.answers_view)
        answers = path("answers/", view, name="sessions_app_interaction_answers")
        return [answers, *super().get_urls()]

    def answers_view(self, request: HttpRequest) -> HttpResponse:
        """Show the speed of people and steps, overdue questions, and waiting notices."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        with_steps = bool(request.user.has_perm("sessions_app.view_journalentry"))
        tables = answers_page.tables(with_steps=with_steps)
        title = pgettext("hitl", "Answers of the last %(days)s days") % {"days": answers_page.DAYS}
        return self.form_page(request, "answers", title, tables=tables)

    def applies(self, action: str, row: Interaction) -> bool:
        """Return whether the interaction is pending and, for `escalate`, has an escalation.

        An interaction without a run stands for all with its status, in a filtered list.
        """
        escalates = row.run_id is None or bool(QuestionView.of(row).rules.escalate)
        return row.status == Interaction.Status.PENDING and (action != "escalate" or escalates)

    def get_ordering(self, request: HttpRequest) -> tuple[str | Combinable, ...]:
        """Order pending interactions by deadline, all others with the newest first."""
        if request.GET.get("waits") == "overdue":
            return ("due_at",)
        pending_only = request.GET.get("status__exact") == Interaction.Status.PENDING
        return question_texts.BY_DEADLINE if pending_only else ("-created_at",)

    @admin.action(description=pgettext_lazy("hitl", "Answer"), permissions=["operate"])
    def answer(self, request: HttpRequest, queryset: QuerySet[Interaction]) -> HttpResponse | None:
        return self.go_to(request, "answer", queryset, pgettext("hitl", "Answer one at a time."))

    @admin.action(description=pgettext_lazy("hitl", "Reassign"), permissions=["operate"])
    def reassign(
        self, request: HttpRequest, queryset: QuerySet[Interaction]
    ) -> HttpResponse | None:
        """Ask for new candidates on a page, and replace the present ones by them."""
        form = ReassignForm(request.POST if "apply" in request.POST else None)
        if not form.is_valid():
            return self._render_candidates_form(request, queryset, form)

        note, changed_ids = form.cleaned_data["note"], []

        def reassign_one(interaction: Interaction, by: AbstractBaseUser) -> bool:
            is_changed = _carry_out(
                requests.reassign, interaction, by, to=form.assignees, note=note
            )
            changed_ids.extend([interaction.pk] * is_changed)
            return is_changed

        operation(
            pgettext_lazy("hitl", "Reassign"),
            reassign_one,
            done=pgettext_lazy("hitl", "reassigned"),
            refusal=pgettext_lazy(
                "hitl", "It is settled already, or these people may not answer it."
            ),
        )(self, request, queryset)
        if note and len(changed_ids) < queryset.count():
            text = pgettext("hitl", "Your unsent note: %(note)s") % {"note": note}
            self.message_user(request, text, messages.WARNING)
        return None

    def _render_candidates_form(
        self, request: HttpRequest, queryset: QuerySet[Interaction], form: ReassignForm
    ) -> HttpResponse:
        """Render the page that asks for new candidates, whose form calls the action again."""
        count = queryset.count()
        return self.form_page(
            request,
            "reassign",
            pgettext("hitl", "Reassign %(count)s") % {"count": count},
            form=form,
            shown=[question_texts.title(interaction) for interaction in queryset[:TITLES_SHOWN]],
            more=max(count - TITLES_SHOWN, 0),
            select_across=request.POST.get("select_across", "0"),
            chosen=request.POST.getlist(ACTION_CHECKBOX_NAME),
        )

    escalate = operation(
        pgettext_lazy("hitl", "Escalate now"),
        partial(_carry_out, requests.escalate),
        done=pgettext_lazy("hitl", "escalated"),
        refusal=pgettext_lazy("hitl", "It is settled already, or has no further escalation."),
    )
    expire = operation(
        pgettext_lazy("hitl", "Expire now"),
        partial(_carry_out, requests.expire),
        done=pgettext_lazy("hitl", "expired"),
        refusal=pgettext_lazy("hitl", "It is settled already."),
    )

    def answer_view(self, request: HttpRequest, interaction: Interaction) -> HttpResponse:
        """Ask for an answer, and give it in the name of the operator."""
        page, view = self.link("change", interaction.pk), QuestionView.of(interaction)
        try:
            form = answer_form(view.prompt, request.POST if request.method == "POST" else None)
        except (FormChanged, Invalid) as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(page)
        if request.method == "POST":
            if self._give(request, interaction, form):
                return HttpResponseRedirect(page)
        elif interaction.status != Interaction.Status.PENDING:
            self.message_user(request, pgettext("hitl", "It is settled already."), messages.WARNING)
        context = {"original": interaction, "view": view, "form": form}
        return self.form_page(request, "answer", view.shown_text, **context)

    def _give(self, request: HttpRequest, interaction: Interaction, form: forms.BaseForm) -> bool:
        """Give the operator's answer; on a refusal, add the error to the form and return False."""
        answer = answer_in(form, request.POST)
        if answer is None:
            return False
        person = cast(AbstractBaseUser, request.user)  # never anonymous: staff-only page
        try:
            answer_result = repairs.answer(interaction.pk, person=Person.of(person), value=answer)
        except SessionsError as error:
            form.full_clean()  # `add_error` below needs a full_clean
            form.add_error("answer" if "answer" in form.fields else None, str(error))
            return False
        if answer_result.outcome in TAKEN:
            text = pgettext("hitl", "answered by an operator: %(answer)s") % {"answer": answer.text}
            self.log_change(request, interaction, text)
            is_vote = answer_result.outcome == Outcome.VOTED
            text = (
                pgettext("hitl", "Your vote counts") if is_vote else pgettext("hitl", "Answered.")
            )
            self.message_user(request, text, messages.SUCCESS)
        else:
            unused = pgettext("hitl", "Your answer was: %(typed)s") % {"typed": answer.text}
            # The reason may begin with a lower-case user name, so another text comes first.
            self.message_user(request, f"{unused} – {_too_late(answer_result)}", messages.WARNING)
        return True


def _too_late(result: AnswerResult) -> str:
    """Return the reason why an answer was refused, with the answer that came first and its time."""
    at = f"{result.at:%Y-%m-%d %H:%M:%S} UTC" if result.at else ""
    facts = ", ".join(filter(None, (at, short(result.response))))
    return f"{late_words(result)} ({facts})" if facts else late_words(result)
