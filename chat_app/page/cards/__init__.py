"""Prompt cards: what a pending question shows, and what stands in its fields. The page has them."""

from chat_app.page.cards.card import Card, card, cards
from chat_app.page.cards.form import TypedAnswer

__all__ = ["Card", "TypedAnswer", "card", "cards"]
