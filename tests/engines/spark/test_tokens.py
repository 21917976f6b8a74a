"""Sessions that outlive their tokens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

import session
from harness import Server, free_port

LIFETIME_SECONDS = 8
LIFETIMES = 3


@pytest.fixture(scope="module")
def brief(spark: SparkSession) -> Iterator[Server]:
    """A server whose tokens are valid for a few seconds. `spark` comes first, so that it belongs to the other server."""
    server = Server.start(bind=f"127.0.0.1:{free_port()}", settings={"NUNATAK_TOKEN_LIFETIME_SECONDS": str(LIFETIME_SECONDS)})
    try:
        yield server
    finally:
        server.stop()


def connect(spark: SparkSession, server: Server, **settings: str) -> tuple[SparkSession, str]:
    """A session with a catalog of its own; the full name of a fresh namespace there."""
    name = f"brief_{uuid.uuid4().hex[:8]}"
    own = spark.newSession()
    for key, value in session.catalog_settings(server, name, "default", cache_enabled="false", **settings).items():
        own.conf.set(key, value)
    namespace = f"{name}.ns_{uuid.uuid4().hex[:8]}"
    own.sql(f"CREATE NAMESPACE {namespace}")
    return own, namespace


def rows_of_pyiceberg(server: Server, namespace: str) -> list[int]:
    table = server.catalog("default").load_table((namespace.split(".")[1], "numbers"))
    return sorted(row["id"] for row in table.scan().to_arrow().to_pylist())


@pytest.mark.parametrize(
    "settings",
    [{}, {"token_exchange_enabled": "true"}, {"token_exchange_enabled": "false"}],
    ids=["as the README has it", "tokens exchanged", "tokens asked for anew"],
)
def test_a_session_that_commits_all_the_time_outlives_its_tokens(
    spark: SparkSession, brief: Server, settings: dict[str, str]
) -> None:
    own, namespace = connect(spark, brief, **settings)
    own.sql(f"CREATE TABLE {namespace}.numbers (id BIGINT)")
    end, count = time.monotonic() + LIFETIME_SECONDS * LIFETIMES + 2, 0
    while time.monotonic() < end:
        own.sql(f"INSERT INTO {namespace}.numbers VALUES ({count})")
        count += 1
        time.sleep(0.5)

    found = [row.id for row in own.sql(f"SELECT id FROM {namespace}.numbers ORDER BY id").collect()]
    assert count > LIFETIMES * 3
    assert found == list(range(count)) == rows_of_pyiceberg(brief, namespace)


def test_a_session_that_slept_for_several_lifetimes_goes_on(spark: SparkSession, brief: Server) -> None:
    own, namespace = connect(spark, brief)
    own.sql(f"CREATE TABLE {namespace}.numbers (id BIGINT)")
    own.sql(f"INSERT INTO {namespace}.numbers VALUES (1)")
    time.sleep(LIFETIME_SECONDS * LIFETIMES + 1)
    own.sql(f"INSERT INTO {namespace}.numbers VALUES (2)")

    assert [row.id for row in own.sql(f"SELECT id FROM {namespace}.numbers ORDER BY id").collect()] == [1, 2]
    assert rows_of_pyiceberg(brief, namespace) == [1, 2]


def test_without_refresh_a_session_ends_with_its_token(spark: SparkSession, brief: Server) -> None:
    """Which shows that the tokens in the other tests really expired."""
    own, namespace = connect(spark, brief, token_refresh_enabled="false")
    own.sql(f"CREATE TABLE {namespace}.numbers (id BIGINT)")
    time.sleep(LIFETIME_SECONDS + 1)
    with pytest.raises(Exception, match="NotAuthorizedException"):
        own.sql(f"INSERT INTO {namespace}.numbers VALUES (1)")
    assert rows_of_pyiceberg(brief, namespace) == []


def test_a_wrong_secret_is_refused(spark: SparkSession, brief: Server) -> None:
    name = f"wrong_{uuid.uuid4().hex[:8]}"
    own = spark.newSession()
    settings = session.catalog_settings(brief, name, "default", credential=f"{brief.credential.split(':')[0]}:wrong-secret")
    for key, value in settings.items():
        own.conf.set(key, value)
    with pytest.raises(Exception, match="NotAuthorizedException"):
        own.sql(f"SHOW NAMESPACES IN {name}").collect()
