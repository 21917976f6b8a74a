"""A Spark session, with the settings that the README gives for Spark."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.sql import SparkSession

from harness import Server
from readme import block_after

CACHE = Path(os.environ.get("NUNATAK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nunatak")
CATALOG = "spark.sql.catalog.nunatak"

# What a small machine and a quiet report need; none of it concerns the catalog.
OF_THE_TESTS = {
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.jars.ivy": str(CACHE / "engines" / "ivy"),
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def of_the_readme() -> dict[str, str]:
    lines = block_after("test: spark", "properties").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def catalog_settings(server: Server, name: str, warehouse: str, **more: str) -> dict[str, str]:
    """The README's settings for a catalog, with what a reader puts in their place. Not those for S3."""
    settings = {}
    for key, value in of_the_readme().items():
        if key.startswith(CATALOG) and ".s3." not in key:
            value = value.replace("http://127.0.0.1:8181", server.uri).replace("<client id>:<client secret>", server.credential)
            settings[key.replace(CATALOG, f"spark.sql.catalog.{name}")] = value
    prefix = f"spark.sql.catalog.{name}"
    settings[f"{prefix}.warehouse"] = warehouse
    return {**settings, **{f"{prefix}.{key.replace('_', '-')}": value for key, value in more.items()}}


def s3_settings(name: str, access_key: str, secret_key: str) -> dict[str, str]:
    """The README's settings for a warehouse on S3, which come on top."""
    settings = {key: value for key, value in of_the_readme().items() if ".s3." in key}
    filled = {key: value.replace("<key id>", access_key).replace("<key>", secret_key) for key, value in settings.items()}
    return {key.replace(CATALOG, f"spark.sql.catalog.{name}"): value for key, value in filled.items()}


def start(settings: dict[str, str], warehouse: Path) -> SparkSession:
    """Start Spark. `warehouse` is for tables outside of the catalogs, which some tests take over."""
    session_wide = {key: value for key, value in of_the_readme().items() if not key.startswith(CATALOG)}
    builder = SparkSession.builder.master("local[2]").appName("nunatak-tests")
    own = {**session_wide, **OF_THE_TESTS, **settings, "spark.sql.warehouse.dir": str(warehouse)}
    for key, value in own.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
