"""The event log and the way into the database: one writer, its transactions, and reads.

Every layer above the models imports this package, which imports no other code that writes.

Payloads by event type:

- `user_message`: `{"message_id": str, "text": str, "client_format": str}`; of a fork with
  `"fork": {"run": str, "position": int, "by": str}`
- `run`: `{"status": Run.Status, "reason"?: str, "error"?: {"code": str, "message": str}}`;
  with `"trace_id": str` (32 hex digits) when the run starts first, and `"replayed": int`
  (journal positions) when the run is resumed
- `text`: `{"text": str}`, a piece of the run's output
- `message`: `{"text": str, "lengths": [int]}`, folded `text` events; `lengths` gives the characters
  of each sequence that the message spans. Text that a restart took back is left out; operators
  find that text in `"taken_back": str`
- `restart`: `{"from_sequence": int}`: the run's text from there on was cut, and begins anew
- `step`: `{"step_id": str, "name": str, "state": "in_progress" | "complete" | "failed",
  "payload": str (markdown)}`; the id is `RUN:POSITION`, of a part of a stream `RUN:POSITION:NUMBER`
- `interaction`: `{"interaction_id": str, "prompt": dict, "expires_at": str | None, "version": 1}`;
  of a child run with `"parent": str`, as in the child's last `run` event
- `interaction_update`: `{"interaction_id": str, "status": Interaction.Status, "version": 2,
  "response": dict | None, "by": str | None, "at": str, "via": str}`
"""
