"""A conversation that is more than a connection takes, and connections that are not read from."""

import fcntl
import json
import socket
import struct
import termios
import time
from pathlib import Path
from uuid import uuid4

from tests.support.polling import PATIENCE
from tests.support.server import Server


def until_full(readers: list[socket.socket], timeout: float = PATIENCE) -> None:
    """Wait until the server can send no more to any of them."""
    waiting: list[int] = []
    deadline = time.monotonic() + timeout
    while (now := [unread(reader) for reader in readers]) != waiting or not all(now):
        waiting = now
        assert time.monotonic() < deadline
        time.sleep(0.3)


def unread(reader: socket.socket) -> int:
    (size,) = struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, bytes(4)))
    return int(size)


def fill_log(server: Server, *, events: int, size: int) -> int:
    """Write a conversation "big" of `ann` straight into the database."""
    (ann,) = server.rows("SELECT id FROM auth_user WHERE username = 'ann'")
    conversation, run = uuid4().hex, uuid4().hex
    now = "2026-01-13 10:00:00"
    insert(
        server,
        "sessions_app_conversation",
        id=conversation,
        owner_id=ann["id"],
        conversation_id="big",
        workflow="probe",
        title="",
        last_sequence=events,
        created_at=now,
        updated_at=now,
        listed_at=now,
    )
    insert(
        server,
        "sessions_app_run",
        id=run,
        conversation_id=conversation,
        key="none",
        workflow="probe",
        message_id="m",
        text="",
        client_format="chat_stream",
        metadata="{}",
        status="suspended",
        generation=0,
        crashes=0,
        sequence=1,
        created_at=now,
    )
    message = json.dumps({"message_id": "m", "text": "x", "client_format": "chat_stream"})
    text = json.dumps({"text": "x" * size})
    rows = [("user_message", message), *[("text", text)] * (events - 1)]
    server.store.execute_many(
        "INSERT INTO sessions_app_event (conversation_id, run_id, first_sequence, sequence, type,"
        " payload, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(conversation, run, at, at, *row, now) for at, row in enumerate(rows, start=1)],
    )
    return events


def insert(server: Server, table: str, **values: object) -> None:
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - names of this file
    server.execute(statement, *values.values())


def memory(server: Server) -> int:
    """Return the web process's resident memory in KiB."""
    status = Path(f"/proc/{server.web.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])
