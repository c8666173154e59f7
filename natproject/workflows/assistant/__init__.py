"""The example `assistant`: an agent that talks, remembers, and asks before it does harm.

`agent` is the workflow, `endpoint` and `script` are the two models that it may have, `tools` what
it may do. `pieces` is what a model gives, whichever it is.
"""
