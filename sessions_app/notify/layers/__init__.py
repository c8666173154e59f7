"""The backends of CHANNEL_LAYERS: `memory` for one process, `cluster` over Redis between many.

Contract: a `MemoryLayer` has the methods that Channels asks of a layer, delivers within the process
at once, and tells a listener that was too slow that messages are `LOST`. `foreign` adapts any other
backend to this contract. The tests of tests/wire/layer check the contract on all of these layers.

`cluster` is our own, as channels-redis' pub/sub layer in its place costs 26 % of the cluster's
prompts of one person, 42 to 44 % of the prompts of many persons, and 26 to 34 % of the echoes.
"""
