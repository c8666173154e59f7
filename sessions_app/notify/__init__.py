"""The hints: a conversation has news, a host has work, an identity may have ended.

The only folder of the runtime that knows the channel layer. All that it sends may be lost, late or
doubled: that costs its reader a look into the database. Everything above `storage` may import it.
"""
