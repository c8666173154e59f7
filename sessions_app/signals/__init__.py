"""Signals of Django's, sent after the commit and at least once: also if the process is killed in
between.

    from django.dispatch import receiver
    from sessions_app.signals import run_finished

    @receiver(run_finished)
    def close_order(sender, run, **kwargs): ...

They are sent by a process that hosts runs. That one is to be sent is stored with what it is about,
and only where a receiver is connected: connect yours in `AppConfig.ready`, so that all processes
have them. See docs/from-django.md.
"""

from django.dispatch import Signal

# A run has completed, failed or was cancelled. `run` is its row; the sender is `Run`.
run_finished = Signal()
# A question was asked. `interaction` is its row, as it stands now; the sender is `Interaction`.
interaction_opened = Signal()
# A question has its answer, has expired or was cancelled. As above.
interaction_settled = Signal()

# A question that waits was delegated, reassigned or escalated. As above; `about["sequence"]`: the
# change's place in the conversation's log.
interaction_assigned = Signal()
# A question that waits is due soon, as its author wants it told. As above; `about["before"]`: in
# how many seconds.
interaction_due_soon = Signal()
# What a receiver of the others has put off, by `pending_signals.put_off`: `interaction` as above,
# `about` what it said then.
notice_due = Signal()

SIGNALS = {
    "run_finished": run_finished,
    "interaction_opened": interaction_opened,
    "interaction_settled": interaction_settled,
    "interaction_assigned": interaction_assigned,
    "interaction_due_soon": interaction_due_soon,
    "notice_due": notice_due,
}
