"""Filters of the chat's templates."""

from django import template

from chat_app.page.texts import markdown

register = template.Library()
register.filter("markdown", markdown.render)
register.filter("visible", markdown.visible)
