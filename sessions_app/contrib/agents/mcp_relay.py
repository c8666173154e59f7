"""The program that relays an MCP server's output to this process, and limits it.

Without imports from the project, the program starts fast, once for each connection. The client of
the `mcp` package buffers a line until its end, however long the line is.
"""

import os
import re
import signal
import subprocess
import sys

# Patterns for an escape in a JSON string, and for a string without escapes (or line breaks).
ESCAPE, STRING = re.compile(rb"\\[^\r\n]"), re.compile(rb'"[^"\r\n]*"')
PIECE_BYTES = 2**16


class Meter:
    """A meter of the bytes and JSON values that a server has sent over a connection.

    Values have a limit of their own: a megabyte of text is read fast, but a megabyte of empty
    objects takes seconds.
    """

    def __init__(self, max_bytes: int, max_values: int) -> None:
        self._bytes, self._values = max_bytes, max_values
        self._held = b""

    def add(self, data: bytes) -> bool:
        """Count a piece, and return whether the server is still within its limits."""
        self._bytes -= len(data)
        data = self._held + data
        escapes = len(data) - len(data.rstrip(b"\\"))
        data, self._held = (data[:-1], b"\\") if escapes % 2 else (data, b"")
        outside = STRING.sub(b"", ESCAPE.sub(b"", data))
        if b'"' in outside[max(outside.rfind(b"\n"), outside.rfind(b"\r")) + 1 :]:
            self._held = b'"' + self._held  # the string goes on in the next piece: keep its quote
            outside, _, _ = outside.rpartition(b'"')
        self._values -= sum(map(outside.count, (b",", b"[", b"{")))
        return self._bytes >= 0 and self._values >= 0


def main(max_bytes: str, max_values: str, *command: str) -> int:
    """Run a command, pass on its output up to the limits, and return its status."""
    meter, (reads, writes) = Meter(int(max_bytes), int(max_values)), os.pipe()
    try:
        process = subprocess.Popen(command, stdout=writes)  # noqa: S603 - the author's command
    except OSError as error:
        sys.exit(f"The MCP server is not started: {error}")
    # Ignore SIGTERM, which is meant for the server: this program waits for the server's end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.close(writes)
    with process:
        while data := os.read(reads, PIECE_BYTES):
            if not meter.add(data):
                process.kill()
                sys.exit(
                    f"The MCP server is ended: more than {max_bytes} bytes, or {max_values} values"
                )
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
