"""Interactions: read, answered in the operator's name, or expired before their time."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from sessions_app.admin.forms.answer import AnswerForm
from sessions_app.admin.read_only import USERNAME, LastRows, ReadOnlyAdmin
from sessions_app.admin.texts import questions
from sessions_app.admin.texts.cells import short
from sessions_app.conversations.answers import Outcome
from sessions_app.errors import Invalid
from sessions_app.models import Interaction
from sessions_app.models.people import Person
from sessions_app.operations import operators


class _Words:
    title = staticmethod(questions.title)
    question = staticmethod(questions.question)
    details = staticmethod(questions.details)
    wanted = staticmethod(questions.wanted)
    state = staticmethod(questions.state)
    reply = staticmethod(questions.answer)
    whole_answer = staticmethod(questions.whole_answer)
    settled_by = staticmethod(questions.settled_by)
    at_deadline = staticmethod(questions.at_deadline)
    expires = staticmethod(questions.expires)
    asked = staticmethod(questions.asked)
    run_link = staticmethod(questions.run_link)


class InteractionsInline(_Words, LastRows):
    """The last interactions of a run."""

    model = Interaction
    fk_name = "run"
    verbose_name_plural = "interactions (the last 100, in order)"
    classes = ("collapse",)
    fields = readonly_fields = (
        "position",
        "title",
        "state",
        "reply",
        "settled_by",
        "expires",
        "difference",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interaction]:
        """With who answered."""
        return super().get_queryset(request).select_related("answered_by")


SENTENCES = (
    "question",
    "details",
    "wanted",
    "state",
    "whole_answer",
    "settled_by",
    "at_deadline",
    "run_link",
)
STORED = (
    ("id", "conversation"),
    ("position", "sequence", "version"),
    ("name", "answer_id"),
    "difference",
    "prompt",
    "response",
)


@admin.register(Interaction)
class InteractionAdmin(_Words, ReadOnlyAdmin):
    """What was asked, in words, and what became of it."""

    list_display = (
        "title",
        "state",
        "reply",
        "settled_by",
        "expires",
        "asked",
        "run_link",
    )
    list_filter = ("status", "answered_via", "conversation__workflow")
    list_select_related = ("run__conversation", "answered_by")
    search_fields = (
        "prompt__text",
        "run__text",
        "conversation__title",
        f"conversation__owner__{USERNAME}",
        "id__exact",
        "run__id__exact",
    )
    fieldsets = (
        (None, {"fields": SENTENCES}),
        ("As it is stored", {"fields": STORED, "classes": ("collapse",)}),
    )
    readonly_fields = SENTENCES
    actions = ("answer", "expire")

    def applies(self, action: str, row: Interaction) -> bool:
        """To what waits."""
        return row.status == Interaction.Status.PENDING

    def get_ordering(self, request: HttpRequest) -> Any:
        """What waits comes by its deadline, else the newest first."""
        waiting = request.GET.get("status__exact") == Interaction.Status.PENDING
        return questions.BY_DEADLINE if waiting else ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        """The page of the answer beside those of Django."""
        view = self.admin_site.admin_view(self.answer_view)
        own = path("<uuid:pk>/answer/", view, name="sessions_app_interaction_answer")
        return [own, *super().get_urls()]

    @admin.action(description="Answer", permissions=["operate"])
    def answer(self, request: HttpRequest, queryset: QuerySet[Interaction]) -> HttpResponse | None:
        """Go to the page of the answer."""
        chosen = list(queryset[:2])
        if len(chosen) != 1:
            self.message_user(request, "Answer one at a time.", messages.WARNING)
            return None
        return HttpResponseRedirect(
            reverse("admin:sessions_app_interaction_answer", args=[chosen[0].pk])
        )

    @admin.action(description="Expire now", permissions=["operate"])
    def expire(self, request: HttpRequest, queryset: QuerySet[Interaction]) -> None:
        """Settle as if the deadline had passed: with the default, else the workflow is told."""
        self.operate(
            request,
            queryset,
            lambda interaction: operators.expire(interaction.pk),
            done="expired",
            refused="It was settled before.",
        )

    def answer_view(self, request: HttpRequest, pk: Any) -> HttpResponse:
        """Ask for the answer, and give it in the operator's name."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        interaction = get_object_or_404(Interaction, pk=pk)
        form = AnswerForm(request.POST or None, prompt=interaction.prompt)
        if request.method == "POST" and form.is_valid():
            if self._give(request, interaction, form):
                page = "admin:sessions_app_interaction_change"
                return HttpResponseRedirect(reverse(page, args=[interaction.pk]))
        elif interaction.status != Interaction.Status.PENDING:
            self.message_user(request, "It is settled already.", messages.WARNING)
        context = {
            **self.admin_site.each_context(request),
            "title": interaction.prompt.get("text", ""),
            "opts": self.opts,
            "original": interaction,
            "form": form,
        }
        return TemplateResponse(request, "admin/sessions_app/answer.html", context)

    def _give(self, request: HttpRequest, interaction: Interaction, form: AnswerForm) -> bool:
        """Answer; False if the prompt does not take it, and the form says why."""
        given = form.cleaned_data["answer"]
        person = cast(AbstractBaseUser, request.user)  # admin_view lets nobody else in
        try:
            settled = operators.answer(interaction.pk, person=Person.of(person), given=given)
        except Invalid as error:
            form.add_error("answer", str(error))
            return False
        if settled.outcome == Outcome.ACCEPTED:
            self.log_change(request, interaction, f"answered by an operator: {given}")
            self.message_user(request, "Answered.", messages.SUCCESS)
        else:
            by = f" by {settled.by} at {settled.at:%Y-%m-%d %H:%M:%S} UTC" if settled.by else ""
            message = f"Too late: it was {settled.status}{by} with {short(settled.response)}."
            self.message_user(request, message, messages.WARNING)
        return True
