"""Fixtures of the Spark suite: one Spark for the whole run, a namespace for each test."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from pyspark.sql import SparkSession

import session
from harness import S3Server, Server
from lake import Lake

# Python's side of Spark turns times without a zone into local ones.
os.environ["TZ"] = "UTC"
time.tzset()


@pytest.fixture(scope="session")
def spark(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark, with the catalog `nunatak` on local files.

    The cache is off: with it Spark would look at what PyIceberg committed only half a minute later.
    """
    settings = session.catalog_settings(server, "nunatak", "default", cache_enabled="false")
    started = session.start(settings, tmp_path_factory.mktemp("spark-warehouse"))
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def s3_catalog(spark: SparkSession, server: Server, s3: S3Server) -> str:
    """The name in Spark of a catalog on S3, and of its warehouse."""
    name = f"s3_{uuid.uuid4().hex[:8]}"
    server.create_warehouse(name, s3.storage(prefix="spark"))
    settings = session.catalog_settings(server, name, name, cache_enabled="false")
    for key, value in {**settings, **session.s3_settings(name, s3.access_key, s3.secret_key)}.items():
        spark.conf.set(key, value)
    return name


@pytest.fixture
def lake(request: pytest.FixtureRequest, spark: SparkSession, server: Server, passed: Callable[[], bool]) -> Iterator[Lake]:
    """A namespace of its own, on local files unless the test says otherwise.

    Every table that a test which passed leaves behind is read by Spark and by PyIceberg, and compared.
    """
    if getattr(request, "param", "local") == "local":
        name, catalog = "nunatak", server.catalog("default")
    else:
        name, s3 = request.getfixturevalue("s3_catalog"), request.getfixturevalue("s3")
        catalog = server.catalog(name, **s3.client_properties())
    made = Lake(spark, name, catalog, f"ns_{uuid.uuid4().hex[:12]}")
    made.sql(f"CREATE NAMESPACE {made}")
    made.sql(f"USE {made}")
    yield made
    if passed():
        made.compare_all()
