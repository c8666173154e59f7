"""A question in words and as data, for one reader: all that a page, an interface or a channel
tells of it.

Every door formats a `QuestionView`, or an `AskedEvent` where it has the log only. Nothing else
reads what a row stores of a prompt and its assignment.
"""
