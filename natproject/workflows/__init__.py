"""The example workflows. Django finds this module at start, as it finds `admin` modules.

Importing a module that uses `@workflow` declares it; `workflows.yaml` says which are offered.
"""

from natproject.workflows import calculator, expense_approval, parallel_review, report
from natproject.workflows.assistant import agent

__all__ = ["agent", "calculator", "expense_approval", "parallel_review", "report"]
