"""The budget of an agent's answer, after which a person is asked whether it goes on."""

from dataclasses import dataclass

from sessions_app.contrib.agents.language_model import Usage
from sessions_app.workflows import BinaryPrompt, Context, Option


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one answer; None is no limit.

    `turns` counts requests to the model, `tokens` what they took and gave, `seconds` the time since
    the agent began, without the time for the question.
    """

    turns: int | None = 10
    tokens: int | None = None
    seconds: float | None = None


class Spending:
    """The count of what an answer has spent of its budget. It starts anew when people allow it."""

    def __init__(self, budget: Budget, context: Context) -> None:
        self._budget = budget
        self._context = context
        self._start()

    def _start(self) -> None:
        self._turns = self._tokens = 0
        # The clock is read only where it matters: each reading is a call of the journal.
        self._began = self._context.now() if self._budget.seconds is not None else None

    def add_turn(self, usage: Usage | None) -> None:
        """Count a request to the model."""
        self._turns += 1
        if usage is not None:
            self._tokens += usage.prompt_tokens + usage.completion_tokens

    async def may_go_on(self) -> bool:
        """Return True while something is left of the budget, else what the person says."""
        reason = self._spent()
        if not reason:
            return True
        answer = await self._context.ask(
            BinaryPrompt(
                text=f"{reason} Shall I go on?",
                options=[
                    Option(value="continue", label="Go on"),
                    Option(value="stop", label="Stop here"),
                ],
            )
        )
        self._start()
        return bool(answer.value == "continue")

    def _spent(self) -> str:
        """Say what is spent; "" if nothing is."""
        budget = self._budget
        if budget.turns is not None and self._turns >= budget.turns:
            return f"I have asked the model {self._turns} times."
        if budget.tokens is not None and self._tokens >= budget.tokens:
            return f"I have used {self._tokens:,} tokens."
        if self._began is not None and budget.seconds is not None:
            seconds = (self._context.now() - self._began).total_seconds()
            if seconds >= budget.seconds:
                return f"I have worked for {seconds:.0f} seconds."
        return ""
