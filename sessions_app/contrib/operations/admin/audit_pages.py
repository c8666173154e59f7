"""The audit: what happened to assigned prompts. It is read, and exported."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations import audit_trail
from sessions_app.contrib.operations.admin import question_texts, run_texts
from sessions_app.contrib.operations.admin.audit_sentences import read_sentences
from sessions_app.contrib.operations.admin.cells import moment
from sessions_app.contrib.operations.admin.prompt_filters import Via
from sessions_app.contrib.operations.admin.read_only import DeclaredWorkflow, ReadOnlyAdmin, keys_by
from sessions_app.models import AuditEntry, Interaction
from sessions_app.storage.spool import pieces, spool

# In one file from here; the command has no such bound.
AT_MOST = 50_000


STORED_FIELDS = ("action", "by", "by_name", "via", "question", "interaction", "run", "detail")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The admin pages of audit entries, the newest first."""

    list_display = ("time", "sentence", "workflow", "address")
    list_display_links = ("time",)
    list_filter = ("at", "action", ("via", Via), ("workflow", DeclaredWorkflow))
    search_fields = ("interaction__exact", "by_name__exact")
    searched = _("Finds whole ids of questions and runs, and whole user names.")
    ordering = ("-at", "-pk")
    sortable_by = ("time",)
    readonly_fields = ("time", "sentence", "prompt", "run_link")
    fieldsets = (
        (None, {"fields": ("time", "prompt", "run_link", "workflow", "address")}),
        (_("As it is stored"), {"fields": STORED_FIELDS, "classes": ("collapse",)}),
    )
    actions = ("export_jsonl", "export_csv")

    def named(self, term: str) -> list[QuerySet[Any]]:
        """Return the keys of entries also of a run's prompts, while there is the run."""
        prompts = keys_by(Interaction, ("run__exact",), term)
        of_run = [AuditEntry.objects.filter(interaction__in=keys).values("pk") for keys in prompts]
        return [*super().named(term), *of_run]

    def read_beside(self, rows: Sequence[Any]) -> None:
        """Note on entries their sentences."""
        for entry, sentence in zip(rows, read_sentences(rows), strict=True):
            entry.sentence = sentence

    def title_of(self, row: Any) -> str:
        return str(row.sentence)

    @admin.display(description=_("time"), ordering="at")
    def time(self, entry: AuditEntry) -> str:
        return moment(entry.at)

    @admin.display(description=_("what happened"))
    def sentence(self, entry: Any) -> str:
        return str(entry.sentence.html)

    @admin.display(description=_("question"))
    def prompt(self, entry: Any) -> str:
        """Link the prompt, unless it was deleted."""
        return question_texts.link(entry.sentence.prompt) if entry.sentence.prompt else ""

    @admin.display(description=_("run"))
    def run_link(self, entry: Any) -> str:
        return run_texts.link(entry.sentence.prompt.run) if entry.sentence.prompt else ""

    @admin.action(description=_("Export as JSON lines"), permissions=["view"])
    def export_jsonl(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> object:
        return self._file(
            request, queryset, "jsonl", audit_trail.as_json_lines, "application/jsonl"
        )

    @admin.action(description=_("Export as CSV"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> object:
        return self._file(request, queryset, "csv", audit_trail.as_csv, "text/csv; charset=utf-8")

    def _file(
        self,
        request: HttpRequest,
        queryset: QuerySet[AuditEntry],
        extension: str,
        write: Callable[[Iterable[AuditEntry]], Iterator[str]],
        content_type: str,
    ) -> StreamingHttpResponse | None:
        if queryset.count() > AT_MOST:
            warning = gettext(
                "More than %(count)s entries: select fewer, or use manage.py export_audit."
            ) % {"count": AT_MOST}
            self.message_user(request, warning, messages.WARNING)
            return None
        headers = {"Content-Disposition": f'attachment; filename="audit.{extension}"'}
        file = spool(write(queryset.order_by("at", "pk").iterator()))
        return StreamingHttpResponse(pieces(file), content_type=content_type, headers=headers)
