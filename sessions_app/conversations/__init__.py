"""The changes of a conversation: messages in, stops, forks, children, deletion.

Each function is one transaction. Front ends, `hosting` and `runs` import this package.
"""
