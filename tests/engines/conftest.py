"""Fixtures that all engines share: one server and one S3 server for the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness import S3Server, Server, free_port

PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Append the end of the server's log to the report of a test that failed, and remember for fixtures that it did."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.stash[PASSED] = report.passed
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("server log", server.log_tail()))


@pytest.fixture
def passed(request: pytest.FixtureRequest) -> Callable[[], bool]:
    """Tells a fixture that is being torn down whether its test passed."""
    return lambda: request.node.stash.get(PASSED, False)


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
