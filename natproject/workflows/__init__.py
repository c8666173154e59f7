"""The example workflows. Django finds this module at start, as it finds `admin` modules.

Importing a module that uses `@workflow` declares it; `workflows.yaml` says which are offered.
"""

from django.conf import settings

from natproject.workflows import calculator, expense_approval, parallel_review, report
from natproject.workflows.assistant import agent

__all__ = ["agent", "calculator", "expense_approval", "parallel_review", "report"]

if settings.EXAMPLE_AGENTS:
    from natproject.workflows import agents  # noqa: F401 - it declares them
