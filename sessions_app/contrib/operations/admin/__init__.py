"""The operators' pages. Django imports this module, which registers all pages."""

from django.contrib import admin

# Import these three modules, which import all others with pages: each import registers pages.
from sessions_app.contrib.operations.admin import host_pages, prompt_pages, run_pages

__all__ = ["host_pages", "prompt_pages", "run_pages"]

# Add the overview to the admin's first page, unless the project has set its own template.
if admin.site.index_template is None:
    admin.site.index_template = "admin/sessions_app/index.html"
