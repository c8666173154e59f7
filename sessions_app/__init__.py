"""The durable runtime: runs of workflows that stop to ask a person, and go on with the answer.

It knows no WebSocket and none of the chat's HTML. Imports go one way, from the first of these to
the last (a contract in pyproject.toml holds it):

    admin, management    operators' pages and commands
    testing              what projects test their workflows with; nothing else imports it
    runs                 what a Django project's own code calls
    operations           what runs beside the runs: start and stop, what falls due, reports, doctor
    hosting              drives runs: hosts, leases, and `dispatch`, which gives keys to processes
    conversations        what front ends may do: messages in, answers in
    sessions             the session API: SessionManager, Session, builders
    workflows            what authors write with: workflow, Context, prompts, steps, journal
    signals              what a project's own code may connect receivers to
    notify               hints to other tasks and processes, over the channel layer
    storage              the event log: the writer, its transactions, reads
    models               rows
    settings, errors

Authors of workflows enter by `workflows`, users of the session API by `sessions`, a project's own
code by `runs` and `signals`, front ends by `conversations`, `storage`, `notify`, `models`, `errors`
and `operations`; `hosting` is nobody else's.
"""
