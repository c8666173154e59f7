"""The example `assistant`: an agent that talks, remembers, and asks before it does harm.

`agent` is the workflow, `tools` what it may do, `script` plays a model where none is configured.
"""
