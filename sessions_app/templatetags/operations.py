"""What the admin shows above its lists."""

from typing import Any

from django import template

from sessions_app.admin.overview import overview as look

register = template.Library()


@register.inclusion_tag("admin/sessions_app/overview.html", takes_context=True)
def overview(context: template.Context) -> dict[str, Any]:
    """How the deployment stands, for those who may see its processes."""
    allowed = context["request"].user.has_perm("sessions_app.view_process")
    return {"overview": look() if allowed else None}
