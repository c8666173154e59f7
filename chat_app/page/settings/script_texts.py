"""The texts of the page's script, kept in Python to be translated with all other texts."""

from django.utils.translation import gettext_lazy as _

WORDS = {
    "connecting": _("Connecting"),
    "connected": _("Connected"),
    "waiting": _("Reconnecting in {seconds} s"),
    "offline": _("You’re offline. Your text is kept."),
    "signedOut": _("Signed out. Your draft is kept."),
    "expired": _("Signed out. Your draft is kept."),
    "otherPerson": _("{person} is signed in now. Your draft is kept."),
    "notAllowed": _("You have no access to this conversation."),
    "restarting": _("The server restarts."),
    "away": _("The database does not respond."),
    "tooFast": _("Too many messages at once."),
    "idle": _("This page could not keep up."),
    "lost": _("Connection lost. Your text is kept."),
    "tooLarge": _("Too large for the server"),
    "notTaken": _("Server error {status}. Try again."),
    "sending": _("Sending"),
    "willSend": _("Will be sent when connected"),
    "notSent": _("Not sent: {reason}"),
    "tooLong": _(
        "The message has {length} characters; at most {most} are allowed. Shorten it or send it in "
        "parts."
    ),
    "notPasted": _("Not pasted: {reason}"),
    "noNews": _("No news for {seconds} s. You are connected; this may take longer."),
    "noNewsOffline": _("No news: this page is not connected."),
    "working": _("Working"),
    "complete": _("Answer complete, {words} words"),
    "stopped": _("Stopped"),
    "failed": _("The run failed"),
    "question": _("A question for you: {question}"),
    "needsYou": _("Needs you"),
    "turn": _("{number} of {total}"),
    "voted": _("Your vote counts"),
    "answering": _("Answering: {question}"),
    "answerHere": _("Answer here"),
    "messageInstead": _("Write a message instead"),
    "yourAnswer": _("Your answer"),
    "questionGone": _("“{question}” is closed. What you wrote is kept there."),
    "steps": _("{count} steps · {seconds} s"),
    "deleted": _("Deleted."),
    "undo": _("Undo"),
    "copied": _("Copied"),
    "notCopied": _("Copying failed. Try again."),
    "olderFailed": _("Earlier messages could not be loaded. Try again."),
}

# Texts for the script on pages that take files.
FILES = {
    "uploading": _("uploading, {percent} %"),
    "pastedAsFile": _("The pasted text is too long for a message. It is attached as a file."),
    "notAttached": _("Not attached: {reason}"),
    "uploadFailed": _("The upload of {name} was interrupted. Attach it again."),
    "remove": _("Remove {name}"),
    "attached": _("Attached: {name}"),
}

# Texts for the inbox's script.
INBOX = {
    "notYours": _("This question is no longer waiting for you."),
    "selected": _("{number} selected"),
    "next": _("Next question"),
}

# Texts for the script of the switches for sounds and notifications.
ATTENTION = {
    "notSecure": _("Browsers allow this only over HTTPS."),
    "noChime": _("This browser cannot play a sound."),
    "noNotification": _("This browser shows no notifications from pages."),
    "refused": _(
        "The browser blocks notifications from this page. Allow them in its settings for this "
        "site, then switch this on."
    ),
    "saved": _("Saved"),
    "sample": _("New questions are announced like this."),
}
