"""A workflow that is open for one request: its builder, and a place for each of its runs."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel

from sessions_app.errors import SessionsError
from sessions_app.pool.builders import PerUserBuilderInfo, UserBuilders
from sessions_app.pool.runner import Runner, Stop
from sessions_app.workflows.backend import Backend
from sessions_app.workflows.concurrency import Limit, Slot
from sessions_app.workflows.context import current_context
from sessions_app.workflows.context_variables import bind
from sessions_app.workflows.registry import Workflow
from sessions_app.workflows.request_context import RequestContext
from sessions_app.workflows.run_info import Message, RunInfo


class OpenWorkflow:
    """The use of a workflow and its builder by one request. `WorkflowPool.open` makes it.

    `limit` has the places of the runs; a null context is no limit. `info` is the record of the
    user's own builder; None where all users share one, or none is taken yet.
    """

    def __init__(
        self,
        workflow: Workflow,
        options: BaseModel,
        shared_builder: object,
        limit: Limit,
        request: RequestContext,
    ) -> None:
        self.workflow = workflow
        self.limit = limit
        self.request = request
        self.info: PerUserBuilderInfo | None = None
        self._options = options
        self._shared_builder = shared_builder
        self._runners: set[Runner] = set()
        self._ended = False
        self._stop = Stop()

    async def take_builder(self, builders: UserBuilders) -> None:
        """Take the builder and the limit of the user; runs are recorded there.

        Raises:
            BuilderFailed: it could not be built; says why.
            SessionsError: the use was stopped meanwhile.
        """
        acquisition = builders.acquire(self.request.user_id, self.request.user)
        self.info = await self._stop.guard(acquisition)
        self.limit = self.info.semaphore

    def run_info(self, message: object, run_id: str) -> RunInfo:
        """Describe a run of the message; its parent is the one that the request's headers name."""
        headers = self.request.metadata.headers
        return RunInfo(
            message=Message(message) if isinstance(message, str) else message,
            request=self.request,
            run_id=run_id,
            builder=self._shared_builder if self.info is None else self.info.builder,
            options=self._options,
            parent=(headers.get("workflow-parent-id"), headers.get("workflow-parent-name")),
        )

    @asynccontextmanager
    async def run(
        self, info: RunInfo, backend: Backend, version: int | None = None
    ) -> AsyncIterator[Runner]:
        """Take a slot under the limit, and run the workflow once.

        Args:
            info: the facts of the run, made of those that `run_info` gives.
            backend: what the context stands on.
            version: of the workflow; else the newest.

        Raises:
            UnknownVersion: the workflow is not declared in that version.
            SessionsError: the request has ended, or the pool is shut down.
        """
        self._check()
        slot = Slot(self.limit, self.request.user_id)
        backend.attach(slot)
        began, failed = time.monotonic(), False
        try:
            await self._stop.guard(slot.take())
            self._check()
            code = self.workflow if version is None else self.workflow.of_version(version)
            runner = Runner(code, info, backend, self._stop)
            self._runners.add(runner)
            try:
                with bind({current_context: runner.context}):
                    yield runner
            finally:
                self._runners.discard(runner)
                await runner.close()
                failed = runner.failed
        except Exception:
            failed = True
            raise
        finally:
            slot.end()
            if self.info is not None:
                seconds = max(time.monotonic() - began - slot.waited, 0)
                self.info.record_request(seconds * 1000, success=not failed)

    def end(self) -> None:
        """End the use: nothing runs any more, and runs may not use their context and builder."""
        self._ended = True
        for runner in self._runners:
            runner.execution.close()

    async def stop(self, reason: str) -> None:
        """End it from outside: all that waits in it gets a `SessionsError` with the reason. Returns
        when its runs use nothing any more.
        """
        self._stop.now(reason)
        try:
            # What a workflow's clean-up raises now, nobody waits for.
            runners = [runner.stop() for runner in self._runners]
            await asyncio.gather(*runners, return_exceptions=True)
        finally:
            self.end()

    def _check(self) -> None:
        self._stop.check()
        if self._ended:
            raise SessionsError("This session has ended; open another one.")
