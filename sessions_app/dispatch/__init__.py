"""Which process hosts a key: this one (`local`), or a worker that takes it as a job
(`procrastinate`).

Only `operations` imports it.
"""
