"""The Django signals of the runtime, sent after the commit, at least once, even after a crash.

    from django.dispatch import receiver
    from sessions_app.signals import run_finished

    @receiver(run_finished)
    def close_order(sender, run, **kwargs): ...

Signals are sent by a process that hosts runs. A pending signal is stored in the transaction of its
cause, if the process of that transaction has a receiver connected. So connect receivers in
`AppConfig.ready`, in all processes. See docs/from-django.md.
"""

from django.dispatch import Signal

# A run has completed, failed or was cancelled. `run` is its row; the sender is `Run`.
run_finished = Signal()
# A question was asked. `interaction` is its current row; the sender is `Interaction`. The signals
# declared below have the same arguments.
interaction_opened = Signal()
# A question was answered, has expired or was cancelled.
interaction_settled = Signal()

# A pending question was delegated, reassigned or escalated. `about["sequence"]` is the sequence
# number of the change in the conversation's log.
interaction_assigned = Signal()
# A pending question is due soon: a reminder declared by the author. `about["before"]` is the
# number of seconds until the question is due.
interaction_due_soon = Signal()
# A notice is due that a receiver has scheduled with `pending_signals.put_off`; `about` is the
# dictionary that was passed there.
notice_due = Signal()

SIGNALS = {
    "run_finished": run_finished,
    "interaction_opened": interaction_opened,
    "interaction_settled": interaction_settled,
    "interaction_assigned": interaction_assigned,
    "interaction_due_soon": interaction_due_soon,
    "notice_due": notice_due,
}
