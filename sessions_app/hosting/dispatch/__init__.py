"""The assignment of each key to a hosting process: this one (`local`), or a worker with a job.

`lifecycle` starts the dispatcher; the command `worker` chooses the dispatcher of a worker.
"""
