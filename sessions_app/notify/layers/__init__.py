"""The backends of CHANNEL_LAYERS: `memory` for one process, `cluster` over Redis between many.

Contract: a `MemoryLayer` has the methods that Channels asks of a layer, delivers within the process
at once, and tells a listener that was too slow that messages are `LOST`. `foreign` gives any other
backend this contract. The tests of tests/wire/layer hold all of them to it.

`cluster` is our own, as channels-redis' pub/sub layer in its place costs 26 % of the cluster's
prompts of one person, 42 to 44 % of those of many, and 26 to 34 % of the echoes.
"""
