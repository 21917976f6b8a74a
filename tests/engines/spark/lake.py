"""A catalog as Spark and PyIceberg see it: what one wrote the other must read, row for row."""

from __future__ import annotations

import datetime
import math
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]

DIFFERENCES_SHOWN = 10

# Run a test on S3 as well as on local files. Of the second's two runs the one on local files is in the smoke, which has no S3.
on_both_stores = pytest.mark.parametrize("lake", ["local", "s3"], indirect=True)
smoke_and_on_s3 = pytest.mark.parametrize("lake", [pytest.param("local", marks=pytest.mark.smoke), "s3"], indirect=True)


def plain(value: Any) -> Any:
    """A value in the one form in which it compares and sorts, whichever engine it came from."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        # Arrow gives a map as pairs, in an order that means nothing.
        is_map = bool(value) and all(isinstance(item, tuple) for item in value)
        return sorted((plain(item) for item in value), key=repr) if is_map else [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return value


def ordered(rows: list[Row]) -> list[Row]:
    return sorted((plain(row) for row in rows), key=repr)


def assert_same_rows(of_spark: list[Row], of_pyiceberg: list[Row], what: str) -> None:
    """Fails with the rows that only one of the two has; pytest's own comparison of long lists takes minutes."""
    if of_spark == of_pyiceberg:
        return
    spark, pyiceberg = Counter(map(repr, of_spark)), Counter(map(repr, of_pyiceberg))
    only_spark, only_pyiceberg = list((spark - pyiceberg).elements()), list((pyiceberg - spark).elements())
    pytest.fail(
        f"{what}: Spark reads {len(of_spark)} rows and PyIceberg {len(of_pyiceberg)}\n"
        f"Spark alone: {only_spark[:DIFFERENCES_SHOWN]}\nPyIceberg alone: {only_pyiceberg[:DIFFERENCES_SHOWN]}"
    )


@dataclass
class Lake:
    """A namespace of its own for one test, which is Spark's current one, and a PyIceberg catalog beside it."""

    spark: SparkSession
    name: str
    catalog: RestCatalog
    namespace: str

    def __str__(self) -> str:
        """The namespace's full name in Spark, for what Spark does not look up in the current namespace."""
        return f"{self.name}.{self.namespace}"

    def sql(self, statement: str) -> list[Row]:
        """Runs a statement in Spark; the rows of its answer, in their order."""
        return self.frame(self.spark.sql(statement))

    @staticmethod
    def frame(frame: DataFrame) -> list[Row]:
        return [plain(row) for row in frame.toArrow().to_pylist()]

    def one(self, statement: str) -> Any:
        """The one value that a query gives."""
        answer = self.sql(statement)
        assert len(answer) == 1 and len(answer[0]) == 1, f"not one value: {answer}"
        return next(iter(answer[0].values()))

    def load(self, table: str) -> Table:
        """The table as PyIceberg loads it from the catalog now."""
        return self.catalog.load_table((self.namespace, *table.split(".")))

    def rows(self, table: str, version: int | str | None = None) -> list[Row]:
        """All rows of a table, at a snapshot or a reference perhaps: as Spark reads them, after PyIceberg read the same."""
        loaded = self.load(table)
        if version is None:
            scan, as_of = loaded.scan(), ""
        elif isinstance(version, int):
            scan, as_of = loaded.scan(snapshot_id=version), f"VERSION AS OF {version}"
        else:
            scan, as_of = loaded.scan().use_ref(version), f"VERSION AS OF '{version}'"
        of_spark = ordered(self.sql(f"SELECT * FROM {self}.{table} {as_of}"))
        assert_same_rows(of_spark, ordered(scan.to_arrow().to_pylist()), f"{table} {as_of}")
        return of_spark

    def ids(self, table: str, version: int | str | None = None) -> list[Any]:
        return sorted(row["id"] for row in self.rows(table, version))

    def snapshots(self, table: str) -> list[int]:
        """The ids of a table's snapshots, oldest first."""
        return [row["snapshot_id"] for row in self.sql(f"SELECT snapshot_id FROM {self}.{table}.snapshots ORDER BY committed_at")]

    def current(self, table: str) -> int:
        """The id of the snapshot that is current."""
        snapshot = self.load(table).current_snapshot()
        assert snapshot is not None, f"{table} has no snapshot"
        return snapshot.snapshot_id

    def exists(self, table: str) -> bool:
        try:
            self.load(table)
        except NoSuchTableError:
            return False
        return True

    @contextmanager
    def conf(self, settings: dict[str, str]) -> Iterator[None]:
        """Settings of the Spark session for a while."""
        for name, value in settings.items():
            self.spark.conf.set(name, value)
        try:
            yield
        finally:
            for name in settings:
                self.spark.conf.unset(name)

    def compare_all(self, namespace: tuple[str, ...] | None = None) -> None:
        """Holds every table that is left in the namespace and below against what PyIceberg reads of it."""
        namespace = namespace or (self.namespace,)
        for identifier in self.catalog.list_tables(namespace):
            self.rows(".".join(identifier[1:]))
        for child in self.catalog.list_namespaces(namespace):
            self.compare_all(child)
