"""A form for who is to answer instead."""

from django import forms
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError as PydanticError

from sessions_app.errors import UnknownAssignee
from sessions_app.interactions import assigning
from sessions_app.json_types import JsonObject
from sessions_app.prompts import MAX_NOTE
from sessions_app.prompts.assignment import LONGEST_NAME, Assignee, group, permission, user


class ReassignForm(forms.Form):
    """Users, groups and a permission; `assignees` has all that were named."""

    users = forms.CharField(
        label=_("Users"), required=False, help_text=_("User names, with commas between them.")
    )
    groups = forms.ModelMultipleChoiceField(
        Group.objects.order_by("name"),
        label=_("Groups"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    permission = forms.CharField(
        label=_("Holders of the permission"),
        required=False,
        help_text=_("Such as app_label.codename."),
    )
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("For these people, and for who asked."),
    )

    def clean(self) -> JsonObject:
        """Check that at least one candidate is named, and that all of them exist."""
        data = {**self.cleaned_data}
        if self.errors:  # what is wrong in a field is said there
            return data
        try:
            assignees = [user(name.strip()) for name in data["users"].split(",") if name.strip()]
            assignees += [group(row.name) for row in data["groups"]]
            assignees += [permission(data["permission"])] if data["permission"] else []
            assigning.find(assignees)
        except PydanticError as error:
            text = _("A name has at most %(most)s characters.")
            raise forms.ValidationError(text, params={"most": LONGEST_NAME}) from error
        except UnknownAssignee as error:
            raise forms.ValidationError(
                _("%(name)s does not exist."), params={"name": error.assignee}
            ) from error
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        if not assignees:
            raise forms.ValidationError(_("Name somebody."))
        self.assignees: list[Assignee] = assignees
        return data
