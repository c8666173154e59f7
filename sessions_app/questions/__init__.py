"""The view of a question, in words and as data, for one reader.

Every door formats a `QuestionView`, or an `AskedEvent` where it has the log only. Nothing else
reads what a row stores of a prompt and its assignment.
"""
