"""The cost of a change: what a server does for an echo, a prompt, a step and a streamed piece.

`test_cost` compares them with `figures.json`, and `python -m tests.cost` prints them (`make cost`).
`hook` counts inside of the server's processes, `counted_server` starts these and collects the
counts, `trips` has what the client does, `figures` the file, the comparison and the table. No
count depends on how fast or busy the machine is.

Counted are, in all processes of the server and all of their threads:

- `statements`: SQL statements, BEGIN and COMMIT included.
- `queries`: calls of the database's driver, which show the folders that statements come from.
- `commits`: COMMIT statements, and writing statements outside of a transaction.
- `thread changes`: work put into the queue of another thread (executors, the writer), and calls
  handed to an event loop by another thread.
- `JSON parses`, `JSON dumps`: calls of `json`, Pydantic and msgspec.
- `bytes`: bytes of the frames that the client receives, uncompressed.
- `calls`: calls of Python functions, libraries included, and each time that a coroutine or a
  generator resumes. Those of the event loop itself and of weak references are left out: how many
  they are depends on the machine. Only calls differ by the versions of Python and of packages.
"""
