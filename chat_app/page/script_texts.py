"""What the page's script says, so that it is translated with everything else."""

from django.utils.translation import gettext_lazy as _

WORDS = {
    "connecting": _("Connecting"),
    "connected": _("Connected"),
    "reconnecting": _("Reconnecting in {seconds} s"),
    "trying": _("Reconnecting"),
    "offline": _("Offline. Your text stays here."),
    "signedOut": _("Signed out. Your draft is kept."),
    "notAllowed": _("You may not use this conversation."),
    "restarting": _("The server restarts."),
    "tooFast": _("Too many messages at once; the connection was closed for a moment."),
    "idle": _("The connection was closed because this page did not keep up."),
    "lost": _("Connection lost. Your text stays here."),
    "sending": _("Sending"),
    "willSend": _("Will be sent when connected"),
    "notSent": _("Not sent: {reason}"),
    "tooLong": _(
        "The message has {length} characters; at most {most} are taken. Shorten it or send it in "
        "parts."
    ),
    "noNews": _("No news for {seconds} s. The connection is up; the work may take longer."),
    "noNewsOffline": _("No news: this page is not connected."),
    "working": _("Working"),
    "complete": _("Answer complete, {words} words"),
    "stopped": _("Stopped"),
    "failed": _("The run failed"),
    "question": _("A question for you: {question}"),
    "needsYou": _("Needs you"),
    "settled": _("This question is settled. What you gave below was not used."),
    "settledAs": _("Already settled: {outcome} ({who}). What you gave below was not used."),
    "noAnswerYet": _("Choose or write an answer first."),
    "timeOver": _("the time is over"),
    "inSeconds": _("in {n} s"),
    "olderFailed": _("The earlier part could not be loaded. Try again."),
}
