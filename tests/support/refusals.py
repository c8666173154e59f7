"""Answers that mean no, or nothing, in the forms that people and programs write."""

from sessions_app.contrib.testing.hosted_run import Answer

NO: list[Answer] = [
    *("no", "No", "No, never!", "false", "0", "reject", '"no"', "", "null"),
    *(False, 0, {"decision": "reject"}, {"pay": False}),
]
