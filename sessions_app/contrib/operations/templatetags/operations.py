"""The parts that the admin shows above its lists and in a run's page."""

from collections.abc import Iterable, Sequence
from typing import Any

from django import template
from django.contrib.admin.views.main import ChangeList
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from sessions_app.contrib.operations.admin import question_texts
from sessions_app.contrib.operations.admin import timeline as timelines
from sessions_app.contrib.operations.admin.cells import due, moment, pretty
from sessions_app.contrib.operations.admin.overview import count_waiting as look_who
from sessions_app.contrib.operations.admin.overview import overview as look
from sessions_app.json_types import JsonObject
from sessions_app.models import Run

register = template.Library()
NO_VALUE = _("none")


@register.inclusion_tag("admin/sessions_app/overview.html", takes_context=True)
def overview(context: template.Context) -> JsonObject:
    """Render the state of the deployment, for people who may see its processes."""
    may_view = context["request"].user.has_perm("sessions_app.view_process")
    return {"overview": look() if may_view else None}


@register.inclusion_tag("admin/sessions_app/waiting.html", takes_context=True)
def waiting(context: template.Context) -> JsonObject:
    """Render the pending prompts by deadline, for people who may read interactions."""
    user = context["request"].user
    names = ("sessions_app.view_interaction", "sessions_app.change_interaction")
    return {"waiting": look_who() if any(map(user.has_perm, names)) else None}


@register.inclusion_tag("admin/sessions_app/filter.html")
def folded_filter(changes: ChangeList, spec: Any) -> JsonObject:
    """Render a filter of a list, folded; the choice for rows without a value is named, too."""
    choices = list(spec.choices(changes))
    selected = [choice["display"] or NO_VALUE for choice in choices[1:] if choice["selected"]]
    return {
        "title": spec.title,
        "choices": choices,
        "none": NO_VALUE,
        "is_active": bool(selected),
        "selected": selected[0] if selected else "",
    }


@register.filter
def labelled(rows: Iterable[Sequence[str]], headers: Iterable[JsonObject]) -> list[list[str]]:
    """Write on each cell of a list the heading of its column, which narrow screens show in it."""
    labels = [capfirst(strip_tags(header["text"])) for header in headers]
    return [
        [
            # Behind the name of its element.
            format_html('{} data-label="{}"{}', SafeString(cell[:3]), label, SafeString(cell[3:]))
            for cell, label in zip(row, labels, strict=True)
        ]
        for row in rows
    ]


@register.inclusion_tag("admin/sessions_app/facts.html")
def facts(fieldset: Any) -> JsonObject:
    """Render the fields of a row that hold something, as they are stored or in words."""
    rows = ((field.field["label"], _contents(field)) for line in fieldset for field in line)
    return {
        "title": fieldset.name,
        "element": "details" if "collapse" in fieldset.classes else "section",
        "facts": [(label, contents) for label, contents in rows if contents],
    }


def _contents(field: Any) -> str:
    value = getattr(field.form.instance, str(field.field["field"]), None)
    if isinstance(value, dict | list):
        return pretty(value) if value else ""
    contents: str = field.contents()
    return contents if contents.strip() else ""


@register.inclusion_tag("admin/sessions_app/timeline.html")
def timeline(run: Run) -> JsonObject:
    """Render what a run did, for people who may read it."""
    moments = timelines.timeline(run)
    return {"moments": moments, "slowest": timelines.slowest(moments)}


register.filter("question_link", question_texts.link)
register.filter("whom", question_texts.whom)
register.filter("due", due)
register.filter("moment", moment)
register.filter("consequence", question_texts.consequence)
