"""The settings that the README gives for Spark, and the ones beside them that users reach for."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

import session
from harness import S3Server, Server
from lake import Lake

Connect = Callable[..., SparkSession]


@pytest.fixture
def connect(spark: SparkSession, server: Server) -> Connect:
    """Opens a Spark session of its own, in which the catalog has the name that is given."""

    def open_session(name: str, warehouse: str = "default", **settings: str) -> SparkSession:
        own = spark.newSession()
        for key, value in session.catalog_settings(server, name, warehouse, **settings).items():
            own.conf.set(key, value)
        return own

    return open_session


def test_the_readme_settings_work_as_they_stand(connect: Connect, lake: Lake) -> None:
    """With the names filled in and nothing else changed: the rest of the suite turns the cache off."""
    own = connect("readme")
    namespace = f"readme.{lake.namespace}"
    own.sql(f"CREATE TABLE {namespace}.numbers (id BIGINT)")
    own.sql(f"INSERT INTO {namespace}.numbers VALUES (1)")
    own.sql(f"INSERT INTO {namespace}.numbers VALUES (2)")
    assert [row.id for row in own.sql(f"SELECT id FROM {namespace}.numbers ORDER BY id").collect()] == [1, 2]
    assert lake.ids("numbers") == [1, 2]

    # What others commit is there once Spark is told to look, or half a minute later.
    table = lake.load("numbers")
    table.append(pa.Table.from_pylist([{"id": 3}], schema=table.schema().as_arrow()))
    own.sql(f"REFRESH TABLE {namespace}.numbers")
    assert [row.id for row in own.sql(f"SELECT id FROM {namespace}.numbers ORDER BY id").collect()] == [1, 2, 3]


def test_the_readme_settings_for_s3_work_as_they_stand(connect: Connect, server: Server, s3: S3Server, s3_catalog: str) -> None:
    own = connect("readme", s3_catalog)
    for key, value in session.s3_settings("readme", s3.access_key, s3.secret_key).items():
        own.conf.set(key, value)
    namespace = f"readme.ns_{uuid.uuid4().hex[:12]}"
    own.sql(f"CREATE NAMESPACE {namespace}")
    own.sql(f"CREATE TABLE {namespace}.numbers AS SELECT id FROM range(10)")
    location = own.sql(f"SELECT file_path FROM {namespace}.numbers.files").first().file_path
    assert location.startswith(f"s3://{s3.bucket}/spark/")
    catalog = server.catalog(s3_catalog, **s3.client_properties())
    of_pyiceberg = catalog.load_table((namespace.split(".")[1], "numbers")).scan().to_arrow().to_pylist()
    of_spark = [row.asDict() for row in own.sql(f"SELECT * FROM {namespace}.numbers").collect()]
    assert sorted(row["id"] for row in of_pyiceberg) == sorted(row["id"] for row in of_spark) == list(range(10))


def test_a_cached_table_is_never_committed_to_as_it_was(connect: Connect, lake: Lake) -> None:
    """A commit on a table that another has changed since it was cached goes through, and loses nothing."""
    own = connect("cached")
    lake.sql("CREATE TABLE numbers (id BIGINT)")
    own.sql(f"INSERT INTO cached.{lake.namespace}.numbers VALUES (1)")
    lake.sql("INSERT INTO numbers VALUES (2)")
    own.sql(f"INSERT INTO cached.{lake.namespace}.numbers VALUES (3)")
    assert lake.ids("numbers") == [1, 2, 3]


@pytest.mark.parametrize("mode", ["all", "refs"])
def test_snapshots_are_loaded_all_at_once_or_when_they_are_needed(connect: Connect, lake: Lake, mode: str) -> None:
    own = connect("loading", snapshot_loading_mode=mode, cache_enabled="false")
    table = f"loading.{lake.namespace}.numbers"
    own.sql(f"CREATE TABLE {table} (id BIGINT)")
    for number in range(4):
        own.sql(f"INSERT INTO {table} VALUES ({number})")
    ids = [row.snapshot_id for row in own.sql(f"SELECT snapshot_id FROM {table}.snapshots ORDER BY committed_at").collect()]
    assert ids == lake.snapshots("numbers")
    assert len(ids) == 4
    assert own.sql(f"SELECT count(*) AS n FROM {table} VERSION AS OF {ids[1]}").first().n == 2
    assert lake.ids("numbers") == [0, 1, 2, 3]


def test_pages_are_followed_to_the_end(connect: Connect, lake: Lake) -> None:
    own = connect("paged", rest_page_size="2")
    for number in range(5):
        lake.sql(f"CREATE NAMESPACE {lake}.child_{number}")
        lake.sql(f"CREATE TABLE table_{number} (id BIGINT)")
    children = [row.namespace for row in own.sql(f"SHOW NAMESPACES IN paged.{lake.namespace}").collect()]
    tables = [row.tableName for row in own.sql(f"SHOW TABLES IN paged.{lake.namespace}").collect()]
    assert sorted(children) == [f"{lake.namespace}.child_{number}" for number in range(5)]
    assert sorted(tables) == [f"table_{number}" for number in range(5)]


def test_a_warehouse_that_does_not_exist_is_said_not_to(connect: Connect) -> None:
    own = connect("missing", "nowhere")
    with pytest.raises(Exception, match="NoSuchWarehouseException: Warehouse does not exist: nowhere"):
        own.sql("SHOW NAMESPACES IN missing").collect()
