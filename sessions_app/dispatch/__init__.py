"""The choice of the process that hosts a key: this one (`local`), or a worker that takes a job.

`operations` imports it, and the admin for the state of the queues.
"""
