"""The life of a question: asked, assigned, claimed, voted on, answered, settled, audited.

Each write is one transaction. Front ends and `conversations`, `hosting`, `lifecycle`, `questions`
and `runs` import this package.
"""
