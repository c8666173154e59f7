"""The operators' pages. Django finds this module and registers what it imports."""

from django.contrib import admin

# The three modules import the modules of all other pages.
from sessions_app.contrib.operations.admin import host_pages, prompt_pages, run_pages

__all__ = ["host_pages", "prompt_pages", "run_pages"]

# The first page has the overview, unless the project has chosen a template of its own.
if admin.site.index_template is None:
    admin.site.index_template = "admin/sessions_app/index.html"
