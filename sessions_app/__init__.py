"""The durable runtime: runs of workflows that stop to ask a person, and go on with the answer.

It knows no WebSocket and none of the chat's HTML. Imports go one way, from the first of these to
the last (a contract in pyproject.toml holds it):

    contrib                   applications that a project may leave out; the runtime imports none
    management                operators' commands
    sessions                  the session API: `SessionManager` and `Session`, over `pool`
    lifecycle                 start and stop, what falls due, reports, retention
    hosting, runs             hosts that drive runs, and the process of each; a project's own calls
    conversations, pool       messages, stops, forks; builders, places and runs of a workflow
    questions                 a question in words and as data, for a reader
    interactions, workflows   the life of a question; what authors write with
    journal, notify           what is recorded of a call; hints to other tasks and processes
    prompts, signals          what a person can be asked; what a project connects receivers to
    storage                   the event log: the writer, its transactions, reads
    models, settings          rows; the dict `HITL`
    errors                    all that the runtime raises

Authors of workflows enter by `workflows`, users of the session API by `sessions`, a project's own
code by `runs` and `signals`, front ends by `conversations`, `interactions`, `lifecycle`, `notify`,
`prompts`, `questions`, `runs`, `storage`, `workflows`, `models`, `settings` and `errors`.
"""
