"""The example of the README runs as it stands against a server that is not configured at all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Server
from readme import block_after

DEFAULT_PORT = 8181
EXAMPLE_SECONDS = 120


@pytest.fixture
def unconfigured_server() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError as error:
            pytest.fail(f"port {DEFAULT_PORT}, where the README expects the server, is not free: {error}")
    server = Server.start()
    try:
        yield server
    finally:
        server.stop()


def test_the_example_of_the_readme_runs_as_it_is_printed(unconfigured_server: Server, tmp_path: Path) -> None:
    code = block_after("test: pyiceberg", "python")
    expected = block_after("test: pyiceberg output", r"\w*")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("NUNATAK_", "PYICEBERG_"))}
    outcome = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**plain, "NUNATAK_CREDENTIAL": unconfigured_server.credential, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=EXAMPLE_SECONDS,
        check=False,
    )
    said = f"--- stdout\n{outcome.stdout}\n--- stderr\n{outcome.stderr}\n{unconfigured_server.log_tail()}"
    assert outcome.returncode == 0, said
    assert expected.strip(), "the README shows no output"
    assert expected.strip() in outcome.stdout, said
