"""The assignment of a prompt: the candidates, and the rules for answers (`ask(to=…)`).

The terms come from WS-HumanTask: candidates may claim a prompt; the claimant is the assignee until
the claim is released, delegated or escalated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sessions_app.models.people import Person
from sessions_app.prompts import AnyPrompt

Kind = Literal["user", "group", "permission"]
LONGEST_NAME = 255


class Assignee(BaseModel):
    """A user by user name, a group by name, or all who have a permission."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    name: str = Field(min_length=1, max_length=LONGEST_NAME)

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}"


def user(name: str) -> Assignee:
    """Return an assignee: the user with this user name."""
    return Assignee(kind="user", name=name)


def group(name: str) -> Assignee:
    """Return an assignee: the Django group of this name. Members are looked up at each answer."""
    return Assignee(kind="group", name=name)


def permission(name: str) -> Assignee:
    """Return an assignee: the holders of "app_label.codename" at each answer, by `has_perm`."""
    if "." not in name:
        raise ValueError(f"{name!r} is not a permission: permissions are named app_label.codename")
    return Assignee(kind="permission", name=name)


# A user may be given as Assignee, user object or `context.user`; a group as Assignee or Group.
One = Assignee | AbstractBaseUser | Person | Group
To = One | Iterable[One]


def assignees(to: To) -> list[Assignee]:
    """Return the assignees as a list without duplicates.

    Raises:
        ValueError: nobody is named.
        TypeError: something is not an assignee.
    """
    recipients = [to] if isinstance(to, One | str) else list(to)
    assignee_list = list(dict.fromkeys(map(_assignee, recipients)))
    if not assignee_list:
        raise ValueError("to= names nobody")
    return assignee_list


def _assignee(recipient: object) -> Assignee:
    match recipient:
        case Assignee():
            return recipient
        case Group():
            return group(recipient.name)
        case Person():
            return user(recipient.username)
        case AbstractBaseUser():
            return user(recipient.get_username())
        case str():
            raise TypeError(
                f"to= accepts no text: write to=group({recipient!r}) for a group, or "
                f"to=user({recipient!r})"
            )
    raise TypeError(
        f"to= takes user(…), group(…), permission(…), a user or a group; not {recipient!r}"
    )


@dataclass(frozen=True, slots=True)
class Escalation:
    """An escalation: after `after` seconds without an answer, `to` become candidates as well.

    An escalation ends any claim.
    """

    after: float
    to: To


class Escalates(BaseModel):
    """The stored form of an `Escalation`; `after` is in seconds."""

    model_config = ConfigDict(frozen=True)

    after: float = Field(gt=0)
    to: list[Assignee]


class PromptAssignment(BaseModel):
    """The stored assignment of a prompt: the assignees `to`, and the rules.

    `due` and `after` are seconds since the prompt was asked, `remind` are seconds before the due
    time. `votes` is the number of people that must give the same answer. `four_eyes` excludes the
    conversation's owner. `share` lets assignees read the conversation while the prompt waits.
    """

    model_config = ConfigDict(frozen=True)

    to: list[Assignee]
    four_eyes: bool = False
    share: bool = False
    votes: int = Field(default=1, ge=1)
    due: float | None = Field(default=None, gt=0)
    remind: list[float] = []
    escalate: list[Escalates] = []

    @model_validator(mode="after")
    def _in_order(self) -> "PromptAssignment":
        times = [escalation.after for escalation in self.escalate]
        if times != sorted(times):
            raise ValueError("the escalations are not in the order of their times")
        for before in self.remind:
            if not 0 < before < (self.due or 0):
                raise ValueError(f"remind={before:g} is not between now and due={self.due or 0:g}")
        return self

    def check_prompt(self, prompt: AnyPrompt) -> None:
        """Raise ValueError if a prompt cannot have this assignment."""
        if self.votes > 1 and not prompt.can_agree:
            raise ValueError(f"votes= needs a prompt with options, not a {type(prompt).__name__}")
        if prompt.timeout and self.escalate and self.escalate[-1].after >= prompt.timeout:
            raise ValueError("an escalation comes after the prompt's timeout")
        if prompt.timeout and (self.due or 0) > prompt.timeout:
            raise ValueError(f"due={self.due:g} is after the prompt's timeout={prompt.timeout:g}")


class StoredAssignment(PromptAssignment):
    """An assignment as stored in the prompt's row: `names` are the display names of `to`.

    `note` has the note (`text`) of the last person (`by`) to hand the prompt on.
    """

    to: list[Assignee] = []
    names: list[str] = []
    note: dict[str, str] | None = None

    def has_named(self, username: str) -> bool:
        """Return whether a user is named as an assignee, not only by a group or permission."""
        return any(asked.kind == "user" and asked.name == username for asked in self.to)


class Assigned(Protocol):
    """The protocol of an interaction's row, of any class, with the stored assignment."""

    @property
    def assignment(self) -> Any:
        """The stored JSON; None if only the owner may answer."""


def assignment_of(row: Assigned) -> StoredAssignment | None:
    """Return the assignment of a prompt; None if only the owner may answer."""
    return None if row.assignment is None else StoredAssignment.model_validate(row.assignment)


def make_assignment(  # noqa: PLR0913 - a declaration, read like a form
    to: To | None,
    *,
    four_eyes: bool = False,
    share: bool = False,
    votes: int | Literal["all"] = 1,
    due: float | None = None,
    remind: float | Iterable[float] = (),
    escalate: Escalation | Iterable[Escalation] = (),
) -> PromptAssignment | None:
    """Build the assignment from the author's arguments; None without `to`.

    Raises:
        ValueError: the arguments contradict each other; the message gives the reason.
        TypeError: `to` has a value that is no assignee.
    """
    escalations = [escalate] if isinstance(escalate, Escalation) else list(escalate)
    reminders = [remind] if isinstance(remind, int | float) else list(remind)
    if to is None:
        if four_eyes or share or votes != 1 or escalations or reminders or due is not None:
            raise ValueError("four_eyes=, share=, votes=, due=, remind= and escalate= need to=")
        return None
    assignee_list = assignees(to)
    are_users = all(assignee.kind == "user" for assignee in assignee_list)
    if votes == "all":
        if not are_users:
            raise ValueError('votes="all" needs users by name: who belongs to a group may change')
        votes = len(assignee_list)
    if are_users and not escalations and votes > len(assignee_list):
        raise ValueError(f"votes={votes} of {len(assignee_list)} people")
    return PromptAssignment(
        to=assignee_list,
        four_eyes=four_eyes,
        share=share,
        votes=votes,
        due=due,
        remind=reminders,
        escalate=[
            Escalates(after=escalation.after, to=assignees(escalation.to))
            for escalation in escalations
        ],
    )
