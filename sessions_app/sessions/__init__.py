"""The session API: a `SessionManager` gives sessions on one workflow, and a `Session` runs it.

The names are those of the NeMo Agent Toolkit's runtime; docs/session-api.md maps them. Hosting,
`replay` and plain scripts import it.
"""

from sessions_app.sessions.builder import PerUserBuilderInfo
from sessions_app.sessions.manager import SessionManager
from sessions_app.sessions.session import Session
from sessions_app.workflows.run_info import RuntimeTypeEnum

__all__ = ["PerUserBuilderInfo", "RuntimeTypeEnum", "Session", "SessionManager"]
