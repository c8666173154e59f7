"""The choice of the process that hosts a key: this process (`local`), or a worker with a job.

`lifecycle` starts the dispatcher; the command `worker` chooses the dispatcher of a worker.
"""
