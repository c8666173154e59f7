"""Conversations made of hand-written rows, without a run: a log as the runtime leaves it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from sessions_app.models import Conversation, Event, Interaction, Run
from sessions_app.prompts import AnyPrompt
from sessions_app.storage.records import RunRecord
from sessions_app.storage.run_text import fold


class StoredLog:
    """A conversation of one user, with methods that store the events of its runs."""

    def __init__(
        self,
        owner: Any,
        conversation_id: str = "c",
        *,
        workflow: str = "none",
        title: str = "A log",
    ) -> None:
        now = timezone.now()
        self.conversation = Conversation.objects.create(
            owner=owner,
            conversation_id=conversation_id,
            workflow=workflow,
            title=title,
            created_at=now,
            updated_at=now,
            listed_at=now,
        )

    @property
    def last(self) -> int:
        """Return the last sequence in the log."""
        return self.conversation.last_sequence

    def append(self, run: Run, type_: str, payload: dict[str, Any]) -> int:
        self.conversation.last_sequence += 1
        self.conversation.waiting += type_ == Event.Type.INTERACTION
        self.conversation.waiting -= type_ == Event.Type.INTERACTION_UPDATE
        self.conversation.save()
        Event.objects.create(
            conversation=self.conversation,
            run=run,
            first_sequence=self.last,
            sequence=self.last,
            type=type_,
            payload=payload,
            created_at=timezone.now(),
        )
        return self.last

    def message(
        self, text: str = "hello", *, replaces: Run | None = None, follows: Run | None = None
    ) -> Run:
        """Store a user message and its working run; `replaces` or `follows` begins a branch."""
        if replaces or follows:
            self.conversation.branched = True
        place = {"forked_from": replaces, "fork_position": 1 if replaces else None}
        run = self.begin(text=text, follows=follows, **place)
        content = {"message_id": run.message_id, "text": text, "client_format": run.client_format}
        self.append(run, Event.Type.USER_MESSAGE, content)
        self.append(run, Event.Type.RUN, {"status": "running"})
        return run

    def begin(self, **fields: Any) -> Run:
        """Store a working run without a message, such as a child run."""
        return Run.objects.create(
            conversation=self.conversation,
            key=f"conversation:{self.conversation.id}:{self.conversation.workflow}",
            workflow=self.conversation.workflow,
            sequence=self.last,
            message_id=uuid4().hex,
            client_format="chat_stream",
            status=Run.Status.RUNNING,
            created_at=timezone.now(),
            started_at=timezone.now(),
            **fields,
        )

    def text(self, run: Run, *pieces: str) -> int:
        """Store output; return the sequence of its first piece."""
        sequences = [self.append(run, Event.Type.TEXT, {"text": piece}) for piece in pieces]
        return sequences[0]

    def step(self, run: Run, name: str, state: str = "complete", payload: str = "") -> int:
        """Store the beginning or the end of a step that people see."""
        content = {"step_id": f"{run.pk}:{name}", "name": name, "state": state, "payload": payload}
        return self.append(run, Event.Type.STEP, content)

    def ask(self, run: Run, prompt: AnyPrompt) -> Interaction:
        """Store a prompt, for which the run then waits."""
        now = timezone.now()
        interaction = Interaction.objects.create(
            run=run,
            conversation=self.conversation,
            position=Interaction.objects.filter(run=run).count(),
            sequence=self.last + 1,
            prompt=prompt.model_dump(mode="json"),
            name=prompt.kind,
            created_at=now,
            expires_at=now + timedelta(seconds=prompt.timeout) if prompt.timeout else None,
        )
        content = {"interaction_id": str(interaction.pk), "prompt": interaction.prompt}
        self.append(run, Event.Type.INTERACTION, {**content, "expires_at": None, "version": 1})
        Run.objects.filter(pk=run.pk).update(status=Run.Status.WAITING)
        return interaction

    def settle(
        self,
        interaction: Interaction,
        response: dict[str, Any] | None,
        *,
        status: str = "answered",
        by: Any = None,
        via: str = "websocket",
    ) -> int:
        """Settle the prompt with its final status; the run continues."""
        Interaction.objects.filter(pk=interaction.pk).update(
            status=status,
            version=2,
            response=response,
            answered_by=by,
            answered_at=timezone.now(),
            answered_via=via,
        )
        Run.objects.filter(pk=interaction.run_id).update(status=Run.Status.RUNNING)
        content = {"interaction_id": str(interaction.pk), "status": status}
        return self.append(interaction.run, Event.Type.INTERACTION_UPDATE, content)

    def end(self, run: Run, status: str = "completed", reason: str = "") -> int:
        """End the run, and fold its text into one row."""
        error = {"code": "error", "message": reason} if reason else None
        sequence = self.append(run, Event.Type.RUN, {"status": status, "error": error})
        Run.objects.filter(pk=run.pk).update(status=status, error=error)
        fold(run.id, run.conversation_id)
        return sequence


def log_record(run: Run) -> RunRecord:
    return RunRecord(run.id, run.conversation_id, run.message_id, run.client_format)
