"""What all prompts and responses have."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import to_jsonable_python

from sessions_app.errors import Invalid

# An answer as it is given: a text, an option's value itself, or a form's values by field.
Given = str | bool | int | float | dict[str, Any]


def as_text(value: Given) -> str:
    """The value as clients that know only texts send it: true, false, 3, 0.5, {"days": 3}."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return json.dumps(value, default=to_jsonable_python)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person answered; `via` says by what door."""

    by: str
    at: datetime
    value: Any
    via: str


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `by` is a username; None with `is_default` where the deadline passed and the
    prompt's declared default stands in. `votes`: of each person, where the prompt was assigned.
    """

    value: Any
    by: str | None
    at: datetime | None
    is_default: bool
    votes: tuple[Vote, ...] = field(default=(), kw_only=True)

    @property
    def content(self) -> Self:
        """The response itself, for code that was written for the toolkit, which has one inside."""
        return self


R = TypeVar("R", bound=Response, covariant=True)


class Together(BaseModel):
    """Of prompts that are asked on one card: its title, and the first one's position."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=200)
    first: int


def _is_none(value: object) -> bool:
    return value is None


class Prompt(BaseModel, Generic[R]):
    """What is asked. `timeout` is in seconds; None waits for ever.

    At the deadline the run goes on with `default` where one is declared, else `PromptExpired` is
    raised in the workflow; `error` is the sentence shown then. `details` is shown as a table: what
    will happen, in the server's own words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=20_000)
    timeout: float | None = Field(default=None, gt=0, le=10 * 365 * 86400)
    error: str = "The time for an answer is over."
    details: dict[str, JsonValue] = Field(default_factory=dict)
    # Set by `ask_all`; nearly none has it, and it is not told of those.
    together: Together | None = Field(default=None, exclude_if=_is_none)

    def check(self, value: Given | None, values: Sequence[Given] | None) -> dict[str, Any]:
        """The answer as it is stored.

        Raises:
            Invalid: it is none that this prompt takes; says which would be.
        """
        raise NotImplementedError

    def respond(self, stored: dict[str, Any], **who: Any) -> R:
        """The typed response from what `check` returned."""
        raise NotImplementedError

    def votes_in(self, stored: dict[str, Any]) -> tuple[Vote, ...]:
        """The votes in a stored response."""
        votes = []
        for one in stored.get("votes", ()):
            at = datetime.fromisoformat(one["at"])
            vote = self.respond(one, by=one["by"], at=at, is_default=False)
            votes.append(Vote(one["by"], at, vote.value, one["via"]))
        return tuple(votes)

    def default_answer(self) -> dict[str, Any] | None:
        """The declared outcome of the deadline, as `check` would store it."""
        default = getattr(self, "default", None)
        if default is None:
            return None
        if isinstance(default, list):
            return self.check(None, default)
        return self.check(default, None)

    @model_validator(mode="after")
    def _default_is_an_answer(self) -> "Prompt[R]":
        try:
            self.default_answer()
        except Invalid as error:
            raise ValueError(f"default: {error}") from error
        return self
