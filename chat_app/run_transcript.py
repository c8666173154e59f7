"""The transcript of a run, for a file and for the people that a workflow shares the run with."""

from datetime import datetime
from uuid import UUID

from sessions_app.conversations.run_parts import read_parts
from sessions_app.json_types import JsonObject
from sessions_app.models import Event, Feedback, Interaction, Run
from sessions_app.prompts import load_prompt
from sessions_app.questions.question_view import QuestionView
from sessions_app.storage.attachments import shown_file
from sessions_app.storage.branches import ancestors
from sessions_app.storage.records import read_records
from sessions_app.workflows.history import ended_runs

TranscriptPart = JsonObject

MOST_SHARED_RUNS = 20  # maximum number of runs of a conversation that are shared, the newest ones


def read_shared(prompt: Interaction) -> list[TranscriptPart]:
    """Read the runs that a prompt's workflow shares with the people asked. Blocks.

    The result has the conversation's runs up to the prompt, oldest first; it is empty if the
    workflow shares none, or once the prompt is settled.
    """
    view = QuestionView.of(prompt)
    if not (view.is_pending and view.rules.share):
        return []
    run = ancestors(prompt.run_id)[-1]
    earlier = ended_runs(run, prompt.conversation_id, MOST_SHARED_RUNS)
    runs = [read_run(UUID(earlier_id)) for earlier_id in reversed(earlier)] + [read_run(run)]
    for transcript in runs:
        transcript["said"] = [
            part for part in transcript["said"] if part.get("interaction_id") != str(prompt.pk)
        ]
    return runs


def in_words(part: TranscriptPart) -> str:
    """Format one part of a run (a text, a step or a question) as Markdown."""
    if part["type"] == "text":
        return str(part["text"])
    if part["type"] == "step":
        return f"- {part['name']} ({part['state']})"
    response = part["response"]
    answer = load_prompt(part["prompt"]).answer_text(response) if response else ""
    at = part["answered_at"]
    at = f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M %Z}" if at else ""
    by = f" ({part['answered_by']}, {at})" if part["answered_by"] else ""
    return f"**{part['question']}**\n\n{part['status']}{': ' if answer else ''}{answer}{by}"


def read_run(run_id: UUID) -> TranscriptPart:
    """Read a run with its message and, as `said`, its transcript. Blocks: call this in a thread."""
    run = Run.objects.get(pk=run_id)
    return {
        "run": str(run.pk),
        "replaces": str(run.forked_from_id) if run.forked_from_id else None,
        "follows": str(run.follows_id) if run.follows_id else None,
        "message_id": run.message_id,
        "message": run.text,
        "files": [shown_file(file) for file in run.metadata.get("files", ())],
        "status": run.status,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "feedback": Feedback.objects.filter(run=run).values("reaction", "comment").first(),
        "said": _transcript(run_id),
    }


def _transcript(run: UUID) -> list[TranscriptPart]:
    """Return a run's texts, steps and questions, in the order in which they began."""
    interactions = Interaction.objects.filter(run=run).select_related("answered_by")
    questions = {str(interaction.pk): _question(interaction) for interaction in interactions}
    parts: list[TranscriptPart] = []
    for part in read_parts(read_records(Event.objects.filter(run=run))):
        payload = part.payload
        if part.type == Event.Type.STEP:
            step = {name: payload[name] for name in ("name", "state", "payload")}
            parts.append({"type": "step", **step})
        elif part.type == Event.Type.INTERACTION:
            parts.append(questions[payload["interaction_id"]])
        elif text := part.text:
            if parts and parts[-1]["type"] == "text":  # append to the previous text
                parts[-1]["text"] += text
            else:
                parts.append({"type": "text", "text": text})
    return parts


def _question(interaction: Interaction) -> TranscriptPart:
    view = QuestionView.of(interaction)
    return {
        "type": "question",
        "interaction_id": str(interaction.pk),
        "question": view.text,
        "prompt": interaction.prompt,
        "status": interaction.status,
        "response": interaction.response,
        "answered_by": view.answered_by,
        "answered_at": interaction.answered_at.isoformat() if interaction.answered_at else None,
    }
