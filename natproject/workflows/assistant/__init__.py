"""The example `assistant`: an agent that talks, remembers, and asks before destructive calls.

`agent` is the workflow, `tools` has the tools, `script` replaces the model if none is configured.
"""
