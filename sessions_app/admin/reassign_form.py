"""A form for who is to answer instead."""

from django import forms
from django.contrib.auth.models import Group

from sessions_app.errors import UnknownAssignee
from sessions_app.interactions import assigning
from sessions_app.json_types import JsonObject
from sessions_app.prompts import MAX_NOTE
from sessions_app.prompts.assignment import Assignee, group, permission, user


class ReassignForm(forms.Form):
    """Users, groups and a permission; `assignees` has all that were named."""

    users = forms.CharField(
        label="Users", required=False, help_text="User names, with commas between them."
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple
    )
    permission = forms.CharField(
        label="Holders of the permission",
        required=False,
        help_text="Such as app_label.codename.",
    )
    note = forms.CharField(
        required=False,
        max_length=MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For these people, and for who asked.",
    )

    def clean(self) -> JsonObject:
        """Check that at least one candidate is named, and that all of them exist."""
        data = {**self.cleaned_data}
        try:
            assignees = [user(name.strip()) for name in data["users"].split(",") if name.strip()]
            assignees += [group(row.name) for row in data.get("groups", ())]
            assignees += [permission(data["permission"])] if data["permission"] else []
            assigning.find(assignees)
        except UnknownAssignee as error:
            raise forms.ValidationError(f"{error.assignee} does not exist.") from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if not assignees:
            raise forms.ValidationError("Name somebody.")
        self.assignees: list[Assignee] = assignees
        return data
