"""The key `nat` of workflow files, for configurations of the NeMo Agent Toolkit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from django.utils.module_loading import import_string
from pydantic import ImportString

from sessions_app.workflows.sources import WorkflowSource, add_source


class NatSource(WorkflowSource):
    """A configuration of the toolkit, which is imported only if a workflow file names one."""

    key: ClassVar[str] = "nat"
    # Path of the toolkit's configuration, relative to the workflow file.
    nat: Path
    # A function that signs in users for the toolkit's functions; see docs/nat.md.
    authenticate: ImportString[Callable[..., Any]] | None = None

    def declare(self, name: str, folder: Path) -> None:
        """Declare the configuration as a workflow.

        Raises:
            ImproperlyConfigured: the toolkit is not installed, or refuses the file.
        """
        nat_workflow = import_string("sessions_app.contrib.agents.nat.nat_workflow")
        nat_workflow(folder / self.nat, name=name, authenticate=self.authenticate)


add_source(NatSource)
