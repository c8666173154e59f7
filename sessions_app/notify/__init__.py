"""The hints: a conversation has news, a host has work, an identity may have ended.

The only folder of the runtime that knows the channel layer. Any message may be lost, late or
doubled: the cost is a query of the database. Everything above the event log may import this
package.
"""
