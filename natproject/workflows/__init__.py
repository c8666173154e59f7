"""The example workflows. Django imports this module at start, like `admin` modules.

Importing a module with `@workflow` declares the workflow; `workflows.yaml` lists the offered ones.
"""

from django.conf import settings

from natproject.workflows import calculator, expense_approval, parallel_review, report
from natproject.workflows.assistant import agent

__all__ = ["agent", "calculator", "expense_approval", "parallel_review", "report"]

if settings.EXAMPLE_AGENTS:
    from natproject.workflows import agents  # noqa: F401 - declares the workflows
