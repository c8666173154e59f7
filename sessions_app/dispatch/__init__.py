"""Which process hosts a key: this one (`local`), or a worker that takes it as a job
(`procrastinate`).

`operations` imports it, and the admin for how the queues stand.
"""
