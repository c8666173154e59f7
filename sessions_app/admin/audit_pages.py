"""The audit: what happened to assigned prompts. It is read, and exported."""

from collections.abc import Callable, Iterable, Iterator

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from sessions_app.admin.cells import moment, pretty, short
from sessions_app.admin.read_only import ReadOnlyAdmin
from sessions_app.interactions import audit_trail
from sessions_app.models import AuditEntry
from sessions_app.storage.spool import pieces, spool

# In one file from here; the command has no such bound.
AT_MOST = 50_000


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """The admin pages of audit entries, the newest first."""

    list_display = ("time", "action", "by_name", "via", "address", "question", "workflow", "more")
    list_display_links = ("time", "question")
    list_filter = ("action", "via", "workflow")
    search_fields = ("question", "by_name", "address", "interaction__exact", "run__exact")
    date_hierarchy = "at"
    ordering = ("-at", "-pk")
    fields = readonly_fields = (
        *("time", "action", "by_name", "by", "via", "address"),
        *("question", "workflow", "interaction", "run", "all_of_it"),
    )
    actions = ("export_jsonl", "export_csv")

    @admin.display(description="at", ordering="at")
    def time(self, entry: AuditEntry) -> str:
        return moment(entry.at)

    @admin.display(description="detail")
    def more(self, entry: AuditEntry) -> str:
        return short(entry.detail or None)

    @admin.display(description="detail")
    def all_of_it(self, entry: AuditEntry) -> str:
        return pretty(entry.detail)

    @admin.action(description="Export as JSON lines", permissions=["view"])
    def export_jsonl(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> object:
        return self._file(
            request, queryset, "jsonl", audit_trail.as_json_lines, "application/jsonl"
        )

    @admin.action(description="Export as CSV", permissions=["view"])
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
            warning = f"More than {AT_MOST} entries: select fewer, or use manage.py export_audit."
            self.message_user(request, warning, messages.WARNING)
            return None
        headers = {"Content-Disposition": f'attachment; filename="audit.{extension}"'}
        file = spool(write(queryset.order_by("at", "pk").iterator()))
        return StreamingHttpResponse(pieces(file), content_type=content_type, headers=headers)
