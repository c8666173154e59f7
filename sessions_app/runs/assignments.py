"""What a project does to prompts that are assigned: claim them for a user, hand them on."""

from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser

from sessions_app.errors import NotFound
from sessions_app.interactions import audit, claims
from sessions_app.interactions.claims import Claimed
from sessions_app.interactions.settlement import find_interactions
from sessions_app.models.people import Person
from sessions_app.prompts.assignment import To, assignees
from sessions_app.runs.requests import VIA
from sessions_app.storage.transaction import Transaction
from sessions_app.storage.writer import Work, writer


def claim(interaction: UUID, *, by: AbstractBaseUser) -> Claimed:
    """Claim an assigned prompt for a user, if nobody else has: nobody else answers it then.

    Raises:
        NotFound: it is none of those that this user may answer.
    """
    return writer.write_within(_changing("claim", interaction, by))


async def aclaim(interaction: UUID, *, by: AbstractBaseUser) -> Claimed:
    """See `claim`: from a coroutine, in a transaction of its own."""
    return await writer.write(_changing("claim", interaction, by))


def release(interaction: UUID, *, by: AbstractBaseUser) -> Claimed:
    """Give the user's claim up: others may answer. Raises NotFound as `claim`."""
    return writer.write_within(_changing("release", interaction, by))


async def arelease(interaction: UUID, *, by: AbstractBaseUser) -> Claimed:
    """See `release`: from a coroutine, in a transaction of its own."""
    return await writer.write(_changing("release", interaction, by))


def reassign(interaction: UUID, *, to: To, by: AbstractBaseUser) -> bool:
    """Have others answer a prompt, whosever it was, and nobody else; a claim holds no more.

    Args:
        interaction: its id, of the rows `Interaction.objects.filter(run=…, status="pending")`.
        to: as of `context.ask`.
        by: who wants it; the audit says so. Their rights are the caller's matter.

    Returns:
        False if it is settled.

    Raises:
        NotFound: there is no such interaction.
        Invalid: one of them does not exist, or they are too few for the prompt's rules.
        ValueError: nobody is named.
    """
    return writer.write_within(_reassigning(interaction, to, by))


async def areassign(interaction: UUID, *, to: To, by: AbstractBaseUser) -> bool:
    """See `reassign`: from a coroutine, in a transaction of its own."""
    return await writer.write(_reassigning(interaction, to, by))


def _changing(what: str, interaction: UUID, by: AbstractBaseUser) -> Work[Claimed]:
    return claims.changing(what, str(interaction), by=Person.of(by), via=VIA)


def _reassigning(interaction: UUID, to: To, by: AbstractBaseUser) -> Work[bool]:
    named = assignees(to)

    def work(tx: Transaction) -> bool:
        for found in find_interactions(interaction=interaction):
            return claims.reassign(tx, found, named, by=Person.of(by), via=VIA)
        raise NotFound("There is no such interaction.")

    return audit.from_here(work)
