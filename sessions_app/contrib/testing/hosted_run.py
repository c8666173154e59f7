"""A run of a workflow under test: the prompts, the answers, and the result."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from django.contrib.auth.base_user import AbstractBaseUser

from sessions_app.contrib.replay.history_replay import RunHistory
from sessions_app.contrib.testing.polling import POLL_TIMEOUT, until
from sessions_app.hosting.needing_host import runs_needing_host
from sessions_app.interactions import answers
from sessions_app.journal.journal import Journal, JournalRecord
from sessions_app.models import Event, Interaction, Run
from sessions_app.models.people import Person
from sessions_app.prompts import AnyPrompt, Given, JsonAnswer
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage import reads
from sessions_app.storage.run_text import text_of

# The value of an answer: a text, an option's value, a list of values, or a form's values by field.
Answer = Given | list[Given]


@dataclass(frozen=True, slots=True)
class HostedRun:
    """A run that `Hosting` executes. Nearly all methods first wait until it is idle or ended."""

    id: UUID
    # The default answerer, the owner of the conversation.
    person: Person = field(repr=False)
    # Timeout in seconds for waits until the run is idle.
    patience: float = field(default=POLL_TIMEOUT, repr=False)

    async def prompts(self) -> list[AnyPrompt]:
        """Return the pending prompts, in the order of asking."""
        await self.rest()
        return [question.prompt for question in await reads.read(self._pending)]

    async def asked(self) -> list[AnyPrompt]:
        """Return all prompts so far, answered or not."""
        await self.rest()
        return [question.prompt for question in await reads.read(self._questions)]

    async def answer(
        self, value: Answer, to: str = "", *, by: AbstractBaseUser | None = None
    ) -> None:
        """Answer the only prompt, or the first prompt with `to` in its text.

        `by` is the answerer: a candidate, if the prompt was assigned with `ask(to=…)`; by default
        the owner of the conversation. A vote that does not decide is accepted, too.

        Raises:
            Invalid: the prompt refuses this answer.
            AssertionError: no prompt is pending or matches, or this person may not answer.
        """
        await self.rest()
        pending = await reads.read(self._pending)
        matches = [question for question in pending if to in question.text]
        if not matches or (len(matches) > 1 and not to):
            texts = [question.text for question in pending]
            raise AssertionError(f"which prompt is {value!r} for? {await self._state()}: {texts}")
        await self._answer(matches[0], value, Person.of(by) if by is not None else self.person)

    async def answer_all(
        self, script: Mapping[str, Answer], *, by: AbstractBaseUser | None = None
    ) -> None:
        """Answer prompts until none is pending; a key of the script is a part of a prompt's text.

        `by` answers prompts assigned with `ask(to=…)`; the owner of the conversation the rest.

        Raises:
            AssertionError: the script has no key for a prompt, or a prompt needs votes of others.
        """
        await self.rest()
        voted_on: UUID | None = None
        while pending := await reads.read(self._pending):
            question = pending[0]
            text, interaction = question.text, question.interaction.pk
            if interaction == voted_on:
                raise AssertionError(f"{text!r} waits for more votes: answer(value, by=user)")
            voted_on = interaction
            matching_values = [value for word, value in script.items() if word in text]
            if not matching_values:
                raise AssertionError(f"the script has no answer to {text!r}")
            answerer = by if question.assignment else None
            person = Person.of(answerer) if answerer is not None else self.person
            await self._answer(question, matching_values[0], person)
            await self.rest()

    async def output(self) -> str:
        """Return the output text so far, assembled from the log."""
        await self.rest()
        return await reads.read(text_of, self.id)

    async def until_said(self, text: str) -> None:
        """Wait until the output has the text; the run may still go on."""
        await until(lambda: text in text_of(self.id), self.patience)

    async def shown(self) -> list[str]:
        """Return the titles of completed steps shown to people, in the order of completion."""
        await self.rest()
        steps = Event.objects.filter(run=self.id, type=Event.Type.STEP).order_by("sequence")
        payloads = await reads.read(lambda: list(steps.values_list("payload", flat=True)))
        return [payload["name"] for payload in payloads if payload["state"] == "complete"]

    async def result(self) -> str:
        """Return the output of the completed run.

        Raises:
            AssertionError: the run has not completed; the message has the state and the reason.
        """
        run = await self.rest()
        if run.status != Run.Status.COMPLETED:
            raise AssertionError(f"the run has not completed: {await self._state()}")
        return await self.output()

    async def status(self) -> str:
        """Return the run's status, such as `waiting`, `completed`, `failed` or `suspended`."""
        run = await self.rest()
        return str(run.status)

    async def journal(self) -> list[JournalRecord]:
        """Return the entries of the journal, in the order of calls."""
        await self.rest()
        return await reads.read(lambda: Journal.load(self.id).entries)

    async def children(self) -> list["HostedRun"]:
        """Return the child runs in the order of calls; `prompts` of the parent includes theirs."""
        await self.rest()
        rows = Run.objects.filter(parent=self.id).order_by("parent_position")
        ids = await reads.read(lambda: list(rows.values_list("id", flat=True)))
        return [HostedRun(run, self.person, self.patience) for run in ids]

    async def record(self, file: Path) -> None:
        """Write the run's history as `manage.py export_history` does."""
        await self.rest()
        history = await reads.read(lambda: RunHistory.of(self.id))
        await asyncio.to_thread(file.write_text, f"{history.model_dump_json(indent=2)}\n")

    async def rest(self) -> Run:
        """Wait until the run has ended, or waits for people, the clock, or another run."""

        def resting() -> Run | None:
            # Query busy runs before the descendants: in between, a run may start a child, and wait
            # for it.
            busy = set(runs_needing_host().values_list("id", flat=True))
            if busy.intersection(self._family()):
                return None
            return Run.objects.get(pk=self.id)

        return await until(resting, self.patience)

    def _pending(self) -> list[QuestionView]:
        return self._questions(status=Interaction.Status.PENDING)

    def _questions(self, **where: object) -> list[QuestionView]:
        rows = Interaction.objects.filter(run__in=self._family(), **where)
        return QuestionView.of_all(rows.order_by("sequence"))

    def _family(self) -> list[UUID]:
        """Return the ids of the run and all its descendants."""
        family = new = [self.id]
        while new:
            new = list(Run.objects.filter(parent__in=new).values_list("id", flat=True))
            family = family + new
        return family

    async def _answer(self, question: QuestionView, value: Answer, by: Person) -> None:
        incoming_answer = answers.IncomingAnswer(
            answer_id=uuid4().hex,
            via="test",
            answer=JsonAnswer.of(value),
            interaction=str(question.interaction.pk),
        )
        result = await answers.answer(by=by, conversation_id=None, answer=incoming_answer)
        if result.outcome in (answers.Outcome.ACCEPTED, answers.Outcome.VOTED):
            return
        text = question.text
        if result.outcome is answers.Outcome.NOT_FOUND and question.assignment:
            raise AssertionError(
                f"{text!r} is for {question.names}, and {by.username} may not answer it: "
                "answer(value, by=user)"
            )
        raise AssertionError(f"{text!r}: the answer came {result.outcome}")

    async def _state(self) -> str:
        run = await reads.read(lambda: Run.objects.get(pk=self.id))
        error = run.error or {}
        questions = [repr(question.text) for question in await reads.read(self._pending)]
        parts = [f"it is {run.status}", error.get("message", ""), *questions]
        if run.wake_at is not None:
            parts.append(f"it sleeps until {run.wake_at:%Y-%m-%d %H:%M:%S} UTC: move the clock")
        return ", ".join(filter(None, parts)) + f"\n{error.get('detail', '')}"
