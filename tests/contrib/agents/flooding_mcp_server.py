"""A server of an MCP tool over pipes, which answers a call by a line without an end."""

import json
import sys

RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "flood", "version": "1"},
    },
    "tools/list": {"tools": [{"name": "go", "inputSchema": {"type": "object"}}]},
}


def main() -> None:
    """Answer each request."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        while request["method"] not in RESULTS:
            sys.stdout.write("x" * 2**16)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": RESULTS[request["method"]]}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
