"""A whole cluster whose processes, database and Redis are killed, frozen and restarted.

`cluster` starts one, `people` use it over sockets, and `faults` happen to it: in each situation
(`matrix`) or at random (`nemesis`, `chaos`). `checker` holds what is left (`history`) against what
is allowed.
"""
