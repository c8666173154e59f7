"""The session API: a `SessionManager` opens sessions on one workflow, and a `Session` runs it.

The names are those of the NeMo Agent Toolkit's runtime; docs/nat.md maps them. This API is
for scripts and tests; hosting and `replay` directly use the pool under this API.
"""

from sessions_app.pool.builders import PerUserBuilderInfo
from sessions_app.sessions.manager import Session, SessionManager
from sessions_app.workflows.context import RuntimeTypeEnum

__all__ = ["PerUserBuilderInfo", "RuntimeTypeEnum", "Session", "SessionManager"]
