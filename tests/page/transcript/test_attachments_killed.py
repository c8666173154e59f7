"""The server is killed while people upload: what it said it has is there, and nothing is lost sight
of.
"""

import http.client
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from tests.http.client import Http
from tests.runtime.hosting.test_crashes import socket
from tests.support.polling import until
from tests.support.server import Server

pytestmark = pytest.mark.every_form(reason="a worker reads what a web process has written")

SIZE = 300_000
AT_ONCE = 4
TAKEN = 6  # when the server is killed
ROUNDS = 3


def upload_until_killed(server: Server) -> list[str]:
    """Upload from several at once, kill the server in the midst; the ids that it answered."""
    file_ids: list[str] = []
    numbers = count()

    def upload() -> None:
        with suppress(OSError, http.client.HTTPException):
            for number in numbers:
                file = (f"{number}.csv", str(number % 10) * SIZE)
                answer = Http(server).multipart("/c/c/files/", {"file": file})
                assert answer.status == 201, answer.text
                file_ids.append(answer.json()["id"])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        uploads = [pool.submit(upload) for _ in range(AT_ONCE)]
        until(lambda: len(file_ids) >= TAKEN, every=0.01)
        server.kill()
    for one in uploads:
        one.result()
    return file_ids


@pytest.mark.slow
async def test_files_that_were_taken_outlast_kills_and_others_can_be_found(server: Server) -> None:
    file_ids: list[str] = []
    for _ in range(ROUNDS):
        file_ids += upload_until_killed(server)
        server.restart()
    rows = server.rows("SELECT id, path, is_stored FROM sessions_app_attachment")
    rows_by_id = {str(row["id"]).replace("-", ""): row for row in rows}
    folder = server.data_dir / "files"
    assert len(file_ids) >= ROUNDS * TAKEN
    for id_ in file_ids:
        row = rows_by_id[id_.replace("-", "")]
        assert row["is_stored"]
        assert (folder / row["path"]).stat().st_size == SIZE
    # Whatever is there has a row, by which it is deleted in time.
    there = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert there <= {Path(row["path"]) for row in rows}
    async with socket(server, "c") as client:
        await client.message("describe_files()", file_ids=file_ids[:2])
        await client.until_ended("completed")
        assert client.text().count(f" text/csv {SIZE} ") == 2
        server.kill()
    server.restart()
    async with socket(server, "c", last_sequence=0) as back:
        await back.until_ended("completed")
        assert back.text() == client.text()
    for id_ in file_ids[:2]:
        assert len(Http(server).get(f"/c/c/files/{id_}/").text) == SIZE
