"""The notifications by the channel layer: new events, work for a host, perhaps ended sign-ins.

No other folder of the runtime uses the channel layer. Any message may be lost, late or doubled; the
cost is a query of the database. Everything above the event log may import this package.
"""
