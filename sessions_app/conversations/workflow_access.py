"""The access check of workflows, which a site may limit to groups or holders of a permission."""

from django.contrib.auth.models import PermissionsMixin

from sessions_app.errors import UnknownWorkflow
from sessions_app.interactions.answerers import is_active
from sessions_app.models.people import UserId, users
from sessions_app.workflows import registry
from sessions_app.workflows.config import WorkflowConfig
from sessions_app.workflows.registry import OfferedWorkflow


def usable(user: UserId) -> list[OfferedWorkflow]:
    """Return the workflows that the user may use, the default one first. Blocks."""
    offers = registry.offered_workflows()
    limited_offers = [offer for offer in offers if offer.config.is_limited]
    if not limited_offers:
        return offers
    person = _load(user)
    return [
        offer for offer in offers if not offer.config.is_limited or _belongs(person, offer.config)
    ]


def find(user: UserId, name: str | None) -> OfferedWorkflow:
    """Return the workflow `name`, or for None the first one that the user may use. Blocks.

    Raises:
        UnknownWorkflow: the workflow is not offered, or not to this user; the error does not tell
            which.
    """
    if name is None:
        for default in usable(user):
            return default
        raise UnknownWorkflow("(default)", [])
    offer = registry.find(name)
    if offer is None or (offer.config.is_limited and not _belongs(_load(user), offer.config)):
        raise UnknownWorkflow(
            name, sorted(usable_offer.workflow.name for usable_offer in usable(user))
        )
    return offer


def _load(user: UserId) -> PermissionsMixin | None:
    person = users().filter(pk=user).first()
    return person if isinstance(person, PermissionsMixin) else None


def _belongs(person: PermissionsMixin | None, config: WorkflowConfig) -> bool:
    """Return whether a person may use the workflow; superusers may use all."""
    if person is None or not is_active(person):
        return False
    if person.is_superuser or (config.permission and person.has_perm(config.permission)):
        return True
    return person.groups.filter(name__in=config.groups).exists()
