"""Everything goes wrong at random, in both forms, and what is left is held against what is allowed.

`chaos` is the program: people (`tests.cluster.people`) use a cluster, or one process
(`one_process`), a `nemesis` of that form hurts it, and `tests.cluster.checker` has the rules.
`settings` have the servers obey an `interference` with their clock and their messages. `soak` is
the other program: nothing goes wrong in it, and nothing may grow.
"""
