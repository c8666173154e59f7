"""The durable runtime: runs of workflows that stop to ask a person, and go on with the answer.

The runtime has no WebSocket code and none of the chat's HTML. Imports go one way, from the first of
these to the last (enforced by a contract in pyproject.toml):

    contrib                   optional applications; the runtime imports none
    management                operators' commands
    sessions                  the session API: `SessionManager` and `Session`, over `pool`
    lifecycle                 start and stop, deadlines and timers, reports, retention
    hosting, runs             hosts that drive runs, with their processes; the API for own code
    conversations, pool       messages, stops, forks; builders, slots and runs of a workflow
    questions                 a question in words and as data, for a reader
    interactions, workflows   the life of a question; the API for authors
    journal, notify           the record of a run's calls; hints to other tasks and processes
    prompts, signals          the types of questions to people; Django signals
    storage                   the event log: the writer, transactions, reads
    models, settings          rows; the dict `HITL`
    errors                    all exceptions of the runtime

Authors of workflows import `workflows`, users of the session API `sessions`, a project's own code
`runs` and `signals`, front ends `conversations`, `interactions`, `lifecycle`, `notify`, `prompts`,
`questions`, `runs`, `storage`, `workflows`, `models`, `settings` and `errors`.
"""
