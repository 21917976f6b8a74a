"""Fixtures: one server for the whole session, a catalog per kind of warehouse, a namespace per test."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from pyiceberg.catalog.rest import RestCatalog

from harness import S3Server, Server, free_port

Connect = Callable[..., RestCatalog]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Append the end of the server's log to the report of a test that failed."""
    outcome = yield
    report = outcome.get_result()
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server) and server.process is not None:
        report.sections.append(("server log", server.log_tail()))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    given = Server.given()
    if given is not None:
        yield given
        return
    started = Server.start(bind=f"127.0.0.1:{free_port()}")
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    started = S3Server.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session", params=["local", "s3"])
def connect(request: pytest.FixtureRequest, server: Server) -> Connect:
    """Open another catalog client of the warehouse under test."""
    if request.param == "local":
        return lambda **properties: server.catalog("default", **properties)
    s3: S3Server = request.getfixturevalue("s3")
    warehouse = f"s3-{uuid.uuid4().hex[:8]}"
    server.create_warehouse(warehouse, s3.storage(prefix="wh"))
    return lambda **properties: server.catalog(warehouse, **s3.client_properties(), **properties)


@pytest.fixture(scope="session")
def catalog(connect: Connect) -> RestCatalog:
    return connect()


@pytest.fixture
def namespace(catalog: RestCatalog) -> str:
    """A fresh top-level namespace."""
    name = f"ns_{uuid.uuid4().hex}"
    catalog.create_namespace(name)
    return name
