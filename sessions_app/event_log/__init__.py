"""The event log: append with group commit, read after a cursor, fold.

Payloads by event type:

- `user_message`: `{"message_id": str, "text": str, "schema_type": str}`
- `run`: `{"status": Run.Status, "reason"?: str, "error"?: {"code": str, "message": str}}`;
  with `"trace_id": str` (32 hex digits) where the run was taken up first, and `"replayed": int`
  (journal positions) where it was taken up again
- `text`: `{"text": str}`, a piece of the run's output
- `message`: `{"text": str, "lengths": [int]}`, folded `text` events; `lengths` gives the characters
  of each sequence that the message spans. Text that a restart took back is not in it; an operator
  finds it in `"taken_back": str`
- `restart`: `{"from_sequence": int}`: the run's text from there on was cut, and is begun anew
- `step`: `{"step_id": str, "name": str, "state": "in_progress" | "complete" | "failed",
  "payload": str (markdown)}`
- `interaction`: `{"interaction_id": str, "prompt": dict, "expires_at": str | None, "version": 1}`
- `interaction_update`: `{"interaction_id": str, "status": Interaction.Status, "version": 2,
  "response": dict | None, "by": str | None, "at": str, "via": str}`
"""

from sessions_app.event_log.log import read, read_records, trim
from sessions_app.event_log.records import EventRecord, InteractionSettled
from sessions_app.event_log.transaction import Transaction
from sessions_app.event_log.writer import Lane, Work, Writer, writer

__all__ = [
    "EventRecord",
    "InteractionSettled",
    "Lane",
    "Transaction",
    "Work",
    "Writer",
    "read",
    "read_records",
    "trim",
    "writer",
]
