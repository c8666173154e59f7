"""The texts of the page's script, kept in Python to be translated with all other texts."""

from django.utils.translation import pgettext_lazy

WORDS = {
    "connecting": pgettext_lazy("hitl", "Connecting"),
    "connected": pgettext_lazy("hitl", "Connected"),
    "waiting": pgettext_lazy("hitl", "Reconnecting in {seconds} s"),
    "offline": pgettext_lazy("hitl", "You’re offline. Your text is kept."),
    "signedOut": pgettext_lazy("hitl", "Signed out. Your draft is kept."),
    "expired": pgettext_lazy("hitl", "Signed out. Your draft is kept."),
    "otherPerson": pgettext_lazy("hitl", "{person} is signed in now. Your draft is kept."),
    "notAllowed": pgettext_lazy("hitl", "You have no access to this conversation."),
    "restarting": pgettext_lazy("hitl", "The server restarts."),
    "away": pgettext_lazy("hitl", "The database does not respond."),
    "tooFast": pgettext_lazy("hitl", "Too many messages at once."),
    "idle": pgettext_lazy("hitl", "This page could not keep up."),
    "lost": pgettext_lazy("hitl", "Connection lost. Your text is kept."),
    "tooLarge": pgettext_lazy("hitl", "Too large for the server"),
    "notTaken": pgettext_lazy("hitl", "Server error {status}. Try again."),
    "sending": pgettext_lazy("hitl", "Sending"),
    "willSend": pgettext_lazy("hitl", "Will be sent when connected"),
    "notSent": pgettext_lazy("hitl", "Not sent: {reason}"),
    "tooLong": pgettext_lazy(
        "hitl",
        "The message has {length} characters; at most {most} are allowed. Shorten it or send it in "
        "parts.",
    ),
    "notAttached": pgettext_lazy("hitl", "Not attached: {reason}"),
    "noFiles": pgettext_lazy("hitl", "Files are not accepted here."),
    "notPasted": pgettext_lazy("hitl", "Not pasted: {reason}"),
    "noNews": pgettext_lazy(
        "hitl", "No news for {seconds} s. You are connected; this may take longer."
    ),
    "noNewsOffline": pgettext_lazy("hitl", "No news: this page is not connected."),
    "working": pgettext_lazy("hitl", "Working"),
    "complete": pgettext_lazy("hitl", "Answer complete, {words} words"),
    "stopped": pgettext_lazy("hitl", "Stopped"),
    "failed": pgettext_lazy("hitl", "The run failed"),
    "question": pgettext_lazy("hitl", "A question for you: {question}"),
    "needsYou": pgettext_lazy("hitl", "Needs you"),
    "turn": pgettext_lazy("hitl", "{number} of {total}"),
    "voted": pgettext_lazy("hitl", "Your vote counts"),
    "answering": pgettext_lazy("hitl", "Answering: {question}"),
    "answerHere": pgettext_lazy("hitl", "Answer here"),
    "messageInstead": pgettext_lazy("hitl", "Write a message instead"),
    "yourAnswer": pgettext_lazy("hitl", "Your answer"),
    "questionGone": pgettext_lazy("hitl", "“{question}” is closed. What you wrote is kept there."),
    "steps": pgettext_lazy("hitl", "{count} steps · {seconds} s"),
    "deleted": pgettext_lazy("hitl", "Deleted."),
    "undo": pgettext_lazy("hitl", "Undo"),
    "copied": pgettext_lazy("hitl", "Copied"),
    "notCopied": pgettext_lazy("hitl", "Copying failed. Try again."),
    "olderFailed": pgettext_lazy("hitl", "Earlier messages could not be loaded. Try again."),
}

# Texts for the script on pages that take files.
FILES = {
    "uploading": pgettext_lazy("hitl", "uploading, {percent} %"),
    "pastedAsFile": pgettext_lazy(
        "hitl", "The pasted text is too long for a message. It is attached as a file."
    ),
    "uploadFailed": pgettext_lazy("hitl", "The upload of {name} was interrupted. Attach it again."),
    "remove": pgettext_lazy("hitl", "Remove {name}"),
    "attached": pgettext_lazy("hitl", "Attached: {name}"),
}

# Texts for the inbox's script.
INBOX = {
    "notYours": pgettext_lazy("hitl", "This question is no longer waiting for you."),
    "selected": pgettext_lazy("hitl", "{number} selected"),
    "next": pgettext_lazy("hitl", "Next question"),
}

# Texts for the script of the switches for sounds and notifications.
ATTENTION = {
    "notSecure": pgettext_lazy("hitl", "Browsers allow this only over HTTPS."),
    "noChime": pgettext_lazy("hitl", "This browser cannot play a sound."),
    "noNotification": pgettext_lazy("hitl", "This browser shows no notifications from pages."),
    "refused": pgettext_lazy(
        "hitl",
        "The browser blocks notifications from this page. Allow them in its settings for this "
        "site, then switch this on.",
    ),
    "saved": pgettext_lazy("hitl", "Saved"),
    "sample": pgettext_lazy("hitl", "New questions are announced like this."),
}
