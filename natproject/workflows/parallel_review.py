"""Three reviews of one text, requested at the same time and answered in any order.

Shows `ask_all`: all prompts are open at once, and the run goes on when the last is settled. Each
prompt has a deadline with a declared default, so that an absent reviewer delays the decision, but
never blocks it.
"""

from collections.abc import AsyncGenerator

from pydantic import BaseModel, Field

from sessions_app.workflows import Context, Message, Option, RadioPrompt, TextPrompt, workflow

VERDICTS = [
    Option(value="approve", label="Approve"),
    Option(value="change", label="Ask for changes", description="Say which in the next question."),
    Option(value="reject", label="Reject"),
]
ABSTAIN = Option(
    value="abstain", label="Abstain", description="This counts if nobody answers in time."
)
TEXTS = {"approve": "approved", "change": "asks for changes", "reject": "rejected"}


class ReviewOptions(BaseModel, extra="forbid"):
    """The options of the review in `workflows.yaml`."""

    reviewers: list[str] = Field(["Legal", "Security", "Editorial"], min_length=1, max_length=10)
    timeout: float = Field(7 * 86400, gt=0, description="seconds that a reviewer has")


@workflow(
    name="parallel_review",
    title="Parallel review",
    description="Collects verdicts at once; no answer counts as an abstention.",
    icon="people",
    starters=("We will publish the customer list on the web site.", "Release 2.0 on Friday"),
    asks=("each reviewer for a verdict",),
    options=ReviewOptions,
)
async def parallel_review(message: Message, context: Context) -> AsyncGenerator[str, None]:
    """Collect the verdicts, ask once for the changes wanted, and conclude."""
    options: ReviewOptions = context.options
    yield f"I ask {len(options.reviewers)} reviewers at once.\n\n"

    prompts = [
        RadioPrompt(
            text=f"{reviewer}: what is your verdict?",
            details={"To review": message.text},
            options=[*VERDICTS, ABSTAIN],
            timeout=options.timeout,
            default=ABSTAIN.value,
            error="The time for reviews is over; this one counts as an abstention.",
        )
        for reviewer in options.reviewers
    ]
    # Responses are in the order of the prompts, regardless of the order of the answers.
    responses = await context.ask_all(prompts)

    yield "| Reviewer | Verdict | By |\n| --- | --- | --- |\n"
    for reviewer, response in zip(options.reviewers, responses, strict=True):
        by = "nobody in time" if response.is_default else response.by
        yield f"| {reviewer} | {TEXTS.get(response.value, 'abstained')} | {by} |\n"

    verdicts = [response.value for response in responses]
    if "reject" in verdicts:
        yield "\n**Rejected.** One rejection is enough."
    elif "change" in verdicts:
        changes = await context.ask(TextPrompt(text="Which changes are wanted?"))
        yield f"\n**To be changed:** {changes.text}"
    elif "approve" in verdicts:
        yield "\n**Approved.**"
    else:
        yield "\n**Not decided:** everybody abstained."
