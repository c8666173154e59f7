"""The changes of a conversation: incoming messages, stops, forks, child runs, deletion.

Each function is one transaction. Front ends, `hosting`, `lifecycle` and `runs` import
this package.
"""
