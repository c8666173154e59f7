"""The session API: a `SessionManager` gives sessions on one workflow, and a `Session` runs it.

The names are those of the NeMo Agent Toolkit's runtime; docs/session-api.md maps them. Scripts and
tests use it; hosting and `replay` use the pool under it.
"""

from sessions_app.pool.builders import PerUserBuilderInfo
from sessions_app.sessions.manager import Session, SessionManager
from sessions_app.workflows.context import RuntimeTypeEnum

__all__ = ["PerUserBuilderInfo", "RuntimeTypeEnum", "Session", "SessionManager"]
