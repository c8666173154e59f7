"""What a front end may do to a conversation: send a message, stop its runs, answer a prompt.

Each function is one transaction. Front ends, hosting and operations import it.
"""
