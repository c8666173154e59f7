"""The event log and the way into the database: one writer, its transactions, and reads.

Everything above the rows imports it; it imports nothing else that writes.

Payloads by event type:

- `user_message`: `{"message_id": str, "text": str, "client_format": str}`; of a fork with
  `"fork": {"run": str, "position": int, "by": str}`
- `run`: `{"status": Run.Status, "reason"?: str, "error"?: {"code": str, "message": str}}`;
  with `"trace_id": str` (32 hex digits) where the run was taken up first, and `"replayed": int`
  (journal positions) where it was taken up again
- `text`: `{"text": str}`, a piece of the run's output
- `message`: `{"text": str, "lengths": [int]}`, folded `text` events; `lengths` gives the characters
  of each sequence that the message spans. Text that a restart took back is not in it; an operator
  finds it in `"taken_back": str`
- `restart`: `{"from_sequence": int}`: the run's text from there on was cut, and is begun anew
- `step`: `{"step_id": str, "name": str, "state": "in_progress" | "complete" | "failed",
  "payload": str (markdown)}`; the id is `RUN:POSITION`, of a part of a stream `RUN:POSITION:NUMBER`
- `interaction`: `{"interaction_id": str, "prompt": dict, "expires_at": str | None, "version": 1}`;
  of a child run with `"parent": str`, as its last `run` event has it
- `interaction_update`: `{"interaction_id": str, "status": Interaction.Status, "version": 2,
  "response": dict | None, "by": str | None, "at": str, "via": str}`
"""
