"""The changes of a conversation by front ends: send a message, stop runs, answer a prompt.

Each function is one transaction. Front ends, hosting and operations import it.
"""
