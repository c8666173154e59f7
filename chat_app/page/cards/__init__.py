"""Prompt cards: what a pending question shows, and what stands in its fields. The page has them."""

from chat_app.page.cards.card import Card, TypedAnswer, card, cards

__all__ = ["Card", "TypedAnswer", "card", "cards"]
