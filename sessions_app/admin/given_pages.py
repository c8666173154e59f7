"""What people gave beside messages and answers: feedback, and files."""

from django.contrib import admin
from django.template.defaultfilters import filesizeformat

from sessions_app.admin import run_texts
from sessions_app.admin.read_only import USERNAME, ReadOnlyAdmin
from sessions_app.models import Attachment, Feedback


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    """Reactions and comments, the newest first, with what they are about."""

    list_display = ("reaction", "comment", "about", "workflow", "owner", "given_at")
    list_display_links = ("reaction", "comment")
    list_filter = (
        ("reaction", admin.AllValuesFieldListFilter),
        ("comment", admin.EmptyFieldListFilter),
        "run__conversation__workflow",
    )
    list_select_related = ("run__conversation__owner",)
    search_fields = ("comment", "run__text", f"run__conversation__owner__{USERNAME}")
    date_hierarchy = "given_at"
    ordering = ("-given_at",)
    fields = readonly_fields = ("reaction", "comment", "about", "workflow", "owner", "given_at")

    @admin.display(description="message")
    def about(self, feedback: Feedback) -> str:
        return run_texts.link(feedback.run)

    @admin.display(description="workflow", ordering="run__conversation__workflow")
    def workflow(self, feedback: Feedback) -> str:
        return feedback.run.workflow

    @admin.display(description="user", ordering=f"run__conversation__owner__{USERNAME}")
    def owner(self, feedback: Feedback) -> str:
        return str(feedback.run.conversation.owner.get_username())


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    """Files of messages, the newest first: what they are, and not what is in them."""

    list_display = ("name", "content_type", "bytes", "owner", "about", "created_at")
    list_filter = ("content_type", ("run", admin.EmptyFieldListFilter), "is_stored")
    list_select_related = ("owner", "run")
    search_fields = ("name", f"owner__{USERNAME}", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = readonly_fields = (
        *("name", "content_type", "bytes", "owner", "about"),
        *("conversation_name", "created_at", "taken_at", "is_stored", "path"),
    )

    @admin.display(description="size", ordering="size")
    def bytes(self, attachment: Attachment) -> str:
        return filesizeformat(attachment.size)

    @admin.display(description="message")
    def about(self, attachment: Attachment) -> str:
        """The run, by its message; nothing before it is sent."""
        return run_texts.link(attachment.run) if attachment.run else ""
