"""The example workflows. Django finds this module at start, as it finds `admin` modules.

Importing a module that uses `@workflow` declares it; `workflows.yaml` says which are offered.
"""

from importlib import import_module

from django.conf import settings

from natproject.workflows import calculator, expense_approval, parallel_review, report

__all__ = ["calculator", "expense_approval", "parallel_review", "report"]

if settings.PROBE_WORKFLOW:
    import_module("natproject.workflows.probe")
    import_module("natproject.workflows.probe_own")
