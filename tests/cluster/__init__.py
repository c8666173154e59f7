"""A whole cluster whose processes, database and Redis are killed, frozen and restarted.

`cluster` starts one, `situations` bring it to a point, `faults` happen to it, `people` use it over
sockets, and `checker` holds what is left (`history`) against what is allowed.
"""
