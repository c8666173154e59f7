"""The facts about a run that its context is made of."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from pydantic import BaseModel

from sessions_app.errors import NoPerson
from sessions_app.models import AttachedFile
from sessions_app.workflows.request_context import RequestContext


@dataclass(frozen=True, slots=True)
class Message:
    """The user message that started the run. `text` is what the person wrote, `files` what they
    attached.
    """

    text: str
    client_format: str = ""
    id: str = ""
    files: tuple[AttachedFile, ...] = ()


class RuntimeTypeEnum(StrEnum):
    """The purpose of a run."""

    RUN_OR_SERVE = "run_or_serve"
    EVALUATE = "evaluate"
    OTHER = "other"


AuthCallback = Callable[..., Awaitable[Any]]

# That of the session that is open here, and of those within it.
user_auth_callback: ContextVar[AuthCallback | None] = ContextVar("user_auth_callback", default=None)


async def refuse(*_: object) -> NoReturn:
    """Raise NoPerson, in the place of a callback that is not there."""
    raise NoPerson


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts about a run: its user, request and input.

    `message` is as it was given to the run, of any type that the workflow takes; `parent` is the id
    and name of the step that called it. `authenticate` signs the person in; else nobody can.
    """

    message: Any
    request: RequestContext
    run_id: str
    builder: object
    options: BaseModel
    parent: tuple[str | None, str | None] = (None, None)
    authenticate: AuthCallback = refuse
    runtime_type: RuntimeTypeEnum = RuntimeTypeEnum.RUN_OR_SERVE
