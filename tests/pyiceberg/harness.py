"""The processes that the suite runs against: a nunatak server and an S3 server.

Both are real servers, started on a free port of the loopback interface with a
directory of their own and stopped with a signal.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from pyarrow.fs import S3FileSystem
from pyiceberg.catalog.rest import RestCatalog

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("NUNATAK_TOOLS", Path.home() / ".cache" / "nunatak" / "tools"))

MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"

READY_SECONDS = 120
STOP_SECONDS = 30
LOG_TAIL_LINES = 80


class HarnessError(Exception):
    """A server could not be started or misbehaved."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def shared_tmp_dir(name: str) -> Path:
    """A fresh directory which other users may traverse.

    The embedded PostgreSQL refuses to run as root and is started as another
    user then, who has to be able to reach its data.
    """
    path = Path(tempfile.mkdtemp(prefix=f"nunatak-{name}-"))
    path.chmod(0o755)
    return path


@dataclass
class Process:
    """A child process whose output goes to a file."""

    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    _child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def exited(self) -> int | None:
        assert self._child is not None, "the process was never started"
        return self._child.poll()

    def stop(self) -> int:
        """Ask the process to end and wait for it; its exit status."""
        assert self._child is not None, "the process was never started"
        if self._child.poll() is None:
            self._child.send_signal(self.stop_signal)
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise HarnessError(f"{self.command[0]} did not stop within {STOP_SECONDS} s\n{self.tail()}") from None

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- end of {self.log}", *lines[-LOG_TAIL_LINES:], "---"])


def wait_until_ready(process: Process, is_ready: Any, what: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if (status := process.exited()) is not None:
            raise HarnessError(f"{what} ended with status {status} before it was ready\n{process.tail()}")
        try:
            if is_ready():
                return
        except (requests.RequestException, OSError):
            pass
        time.sleep(0.1)
    tail = process.tail()
    process.stop()
    raise HarnessError(f"{what} was not ready within {READY_SECONDS} s\n{tail}")


@dataclass
class Server:
    """A nunatak server and the credential of its administrator."""

    uri: str
    credential: str
    process: Process | None = None
    directory: Path | None = None

    @classmethod
    def given(cls) -> Server | None:
        """The running server which the environment names, if it does."""
        uri = os.environ.get("NUNATAK_TEST_URI")
        if not uri:
            return None
        credential = os.environ.get("NUNATAK_TEST_CREDENTIAL")
        if not credential:
            raise HarnessError("NUNATAK_TEST_URI needs NUNATAK_TEST_CREDENTIAL=<client id>:<client secret>")
        return cls(uri.rstrip("/"), credential)

    @classmethod
    def start(cls, bind: str | None = None, settings: dict[str, str] | None = None) -> Server:
        """Start a server; with no `bind` on the address which is its default. `settings` are more of its variables."""
        binary = Path(os.environ.get("NUNATAK_BIN", REPOSITORY / "target" / "debug" / "nunatak"))
        if not binary.is_file():
            raise HarnessError(f"there is no server at {binary}: build it, or name it in NUNATAK_BIN")
        directory = shared_tmp_dir("server")
        data = directory / "data"
        data.mkdir(mode=0o755)
        client_id, client_secret = "pyiceberg-tests", secrets.token_urlsafe(24)
        env = {
            "NUNATAK_DATA_DIR": str(data),
            "NUNATAK_BOOTSTRAP_CLIENT_ID": client_id,
            "NUNATAK_BOOTSTRAP_CLIENT_SECRET": client_secret,
            **(settings or {}),
        }
        if bind is not None:
            env["NUNATAK_BIND"] = bind
        process = Process([str(binary), "serve"], directory / "server.log", env)
        server = cls(f"http://{bind or '127.0.0.1:8181'}", f"{client_id}:{client_secret}", process, directory)
        process.start()
        try:
            wait_until_ready(process, server.is_ready, "the server")
        except BaseException:
            if process.exited() is None:
                process.stop()
            raise
        return server

    def is_ready(self) -> bool:
        return requests.get(f"{self.uri}/health/ready", timeout=2).status_code == 200

    def stop(self) -> None:
        if self.process is None:
            return
        if (status := self.process.exited()) is not None:
            raise HarnessError(f"the server ended on its own with status {status}\n{self.process.tail()}")
        if (status := self.process.stop()) != 0:
            raise HarnessError(f"the server stopped with status {status}\n{self.process.tail()}")
        assert self.directory is not None
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_tail(self) -> str:
        return self.process.tail() if self.process else ""

    @property
    def catalog_uri(self) -> str:
        return f"{self.uri}/catalog"

    def catalog_properties(self, warehouse: str, **properties: str) -> dict[str, str]:
        return {"uri": self.catalog_uri, "credential": self.credential, "warehouse": warehouse, **properties}

    def catalog(self, warehouse: str, **properties: str) -> RestCatalog:
        return RestCatalog("nunatak", **self.catalog_properties(warehouse, **properties))

    def token(self) -> str:
        client_id, client_secret = self.credential.split(":", 1)
        response = requests.post(
            f"{self.catalog_uri}/v1/oauth/tokens",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
                "scope": "catalog",
            },
            timeout=30,
        )
        response.raise_for_status()
        return str(response.json()["access_token"])

    def create_warehouse(self, name: str, storage: dict[str, Any]) -> None:
        response = requests.post(
            f"{self.uri}/api/v1/warehouses",
            json={"name": name, "storage": storage},
            headers={"Authorization": f"Bearer {self.token()}"},
            timeout=30,
        )
        if response.status_code != 201:
            raise HarnessError(f"cannot create the warehouse {name}: {response.status_code} {response.text}")


@dataclass
class S3Server:
    """An S3 server which checks signatures, with one bucket."""

    endpoint: str
    access_key: str
    secret_key: str
    process: Process
    directory: Path
    bucket: str = "lake"
    region: str = "us-east-1"

    @classmethod
    def start(cls) -> S3Server:
        binary = os.environ.get("NUNATAK_TEST_MINIO") or shutil.which(
            "minio", path=os.pathsep.join([str(TOOLS / "bin"), os.environ.get("PATH", "")])
        )
        if not binary:
            raise HarnessError(
                f"there is no MinIO in {TOOLS / 'bin'} or on the PATH; install it with\n"
                f"  GOBIN={TOOLS / 'bin'} CGO_ENABLED=0 go install {MINIO_MODULE}\n"
                "or name it in NUNATAK_TEST_MINIO"
            )
        directory = shared_tmp_dir("s3")
        access_key, secret_key = "test-" + secrets.token_hex(8), secrets.token_urlsafe(24)
        address = f"127.0.0.1:{free_port()}"
        process = Process(
            [binary, "server", "--quiet", "--address", address, str(directory / "drive")],
            directory / "s3.log",
            {
                "MINIO_ROOT_USER": access_key,
                "MINIO_ROOT_PASSWORD": secret_key,
                "MINIO_BROWSER": "off",
                "MINIO_UPDATE": "off",
                "MINIO_CONFIG_DIR": str(directory / "config"),
            },
        )
        server = cls(f"http://{address}", access_key, secret_key, process, directory)
        process.start()
        try:
            wait_until_ready(process, server.is_ready, "MinIO")
            server.filesystem().create_dir(server.bucket)
        except BaseException:
            if process.exited() is None:
                process.stop()
            raise
        return server

    def is_ready(self) -> bool:
        return requests.get(f"{self.endpoint}/minio/health/ready", timeout=2).status_code == 200

    def filesystem(self) -> S3FileSystem:
        return S3FileSystem(
            endpoint_override=self.endpoint,
            region=self.region,
            access_key=self.access_key,
            secret_key=self.secret_key,
            allow_bucket_creation=True,
        )

    def stop(self) -> None:
        self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def storage(self, prefix: str) -> dict[str, Any]:
        """The description of this storage for the management API."""
        return {
            "type": "s3",
            "bucket": self.bucket,
            "prefix": prefix,
            "endpoint": self.endpoint,
            "region": self.region,
            "path-style": True,
            "access-key-id": self.access_key,
            "secret-access-key": self.secret_key,
        }

    def client_properties(self) -> dict[str, str]:
        """What a client needs to read and write here on its own account."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.region": self.region,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.force-virtual-addressing": "false",
        }
