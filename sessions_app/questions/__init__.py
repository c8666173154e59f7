"""The view of a question, in words and as data, for one reader.

Every front end formats a `QuestionView`, or an `AskedEvent` if only the log is at hand. No other
code reads the stored prompt and assignment of a row.
"""
