"""The choice of the process that hosts a key: this one (`local`), or a worker that takes a job.

`lifecycle` starts it, the command `worker` names its form.
"""
