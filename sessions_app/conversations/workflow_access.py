"""The check of who may use a workflow: some are for groups, or for holders of a permission."""

from django.contrib.auth.models import PermissionsMixin

from sessions_app.errors import UnknownWorkflow
from sessions_app.models.people import UserId, users
from sessions_app.workflows import registry
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.registry import OfferedWorkflow


def usable(user: UserId) -> list[OfferedWorkflow]:
    """Return the workflows that the user may use, the default one first. Blocks."""
    offered = registry.offered_workflows()
    limited = [one for one in offered if one.config.is_limited]
    if not limited:
        return offered
    person = _load(user)
    return [one for one in offered if not one.config.is_limited or _belongs(person, one.config)]


def find(user: UserId, name: str | None) -> OfferedWorkflow:
    """Return the workflow of a name, or without one the first that the user may use. Blocks.

    Raises:
        UnknownWorkflow: it is not offered, or not to this user, who is not told which.
    """
    if name is None:
        for one in usable(user):
            return one
        raise UnknownWorkflow("(default)", [])
    offered = registry.find(name)
    if offered is None or (offered.config.is_limited and not _belongs(_load(user), offered.config)):
        raise UnknownWorkflow(name, sorted(one.workflow.name for one in usable(user)))
    return offered


def _load(user: UserId) -> PermissionsMixin | None:
    person = users().filter(pk=user).first()
    return person if isinstance(person, PermissionsMixin) else None


def _belongs(person: PermissionsMixin | None, config: WorkflowConfig) -> bool:
    """Return whether a person may use the workflow; superusers may use all."""
    if person is None:
        return False
    if person.is_superuser or (config.permission and person.has_perm(config.permission)):
        return bool(getattr(person, "is_active", True))
    return person.groups.filter(name__in=config.groups).exists()
