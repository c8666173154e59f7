"""The life of a question: asked, assigned, claimed, voted on, answered, settled, audited.

Each write is one transaction. Conversations, hosting and front ends import it.
"""
