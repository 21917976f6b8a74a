"""What PyIceberg writes Spark reads, what Spark writes PyIceberg changes, and both take turns on one table."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    PrimitiveType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from lake import Lake, on_both_stores, smoke_and_on_s3

ZERO = datetime.datetime(2026, 1, 1)

PRIMITIVES: dict[str, tuple[PrimitiveType, list[Any]]] = {
    "boolean": (BooleanType(), [True, False]),
    "integer": (IntegerType(), [2**31 - 1, -(2**31)]),
    "long": (LongType(), [2**63 - 1, -(2**63)]),
    "float": (FloatType(), [1.5, float("-inf")]),
    "double": (DoubleType(), [0.1, float("nan")]),
    "small": (DecimalType(9, 2), [decimal.Decimal("1234567.89"), decimal.Decimal("-0.01")]),
    "middle": (DecimalType(18, 0), [decimal.Decimal(10**18 - 1), decimal.Decimal(0)]),
    "large": (DecimalType(38, 10), [decimal.Decimal("1234567890123456789012345678.0123456789"), decimal.Decimal("0E-10")]),
    "date": (DateType(), [datetime.date(1969, 12, 31), datetime.date(9999, 12, 31)]),
    "local": (TimestampType(), [ZERO, datetime.datetime(1900, 1, 1, 0, 0, 0, 1)]),
    "instant": (TimestamptzType(), [ZERO.replace(tzinfo=datetime.UTC), datetime.datetime(1969, 12, 31, 23, tzinfo=datetime.UTC)]),
    "string": (StringType(), ["snø ❄", ""]),
    "uuid": (UUIDType(), [uuid.UUID(int=1).bytes, uuid.UUID(int=2**128 - 1).bytes]),
    "fixed": (FixedType(3), [b"\x00\xff\x01", b"abc"]),
    "binary": (BinaryType(), [b"\x00\xff", b""]),
}


def create(lake: Lake, name: str, schema: Schema, rows: list[dict[str, Any]], **options: Any) -> None:
    table = lake.catalog.create_table((lake.namespace, name), schema, **options)
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))


@pytest.mark.smoke
@pytest.mark.parametrize("format_version", ["1", "2"])
def test_spark_reads_every_primitive_type_that_pyiceberg_writes(lake: Lake, format_version: str) -> None:
    """Of formats 1 and 2, as PyIceberg 0.12 writes no manifests of format 3."""
    fields = [NestedField(1, "id", LongType(), required=True)]
    fields += [NestedField(2 + number, name, kind) for number, (name, (kind, _)) in enumerate(PRIMITIVES.items())]
    rows: list[dict[str, Any]] = [
        {"id": number, **{name: values[number] for name, (_, values) in PRIMITIVES.items()}} for number in (0, 1)
    ]
    rows.append({"id": 2, **dict.fromkeys(PRIMITIVES)})
    create(lake, "kinds", Schema(*fields), rows, properties={"format-version": format_version})

    first, second, third = lake.rows("kinds")
    assert lake.load("kinds").format_version == int(format_version)
    assert first["uuid"] == "00000000-0000-0000-0000-000000000001"
    assert (first["fixed"], first["large"], first["integer"]) == (b"\x00\xff\x01", rows[0]["large"], 2**31 - 1)
    assert first["instant"] == rows[0]["instant"]
    assert (second["double"], second["float"], second["local"]) == ("NaN", float("-inf"), rows[1]["local"])
    assert third == rows[2]


@smoke_and_on_s3
def test_spark_reads_nested_rows_of_partitions_that_pyiceberg_writes_and_changes_them(lake: Lake) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "country", StringType()),
        NestedField(3, "at", TimestampType()),
        NestedField(4, "tags", ListType(5, StringType(), element_required=False)),
        NestedField(6, "counts", MapType(7, StringType(), 8, LongType(), value_required=False)),
        NestedField(9, "place", StructType(NestedField(10, "city", StringType()), NestedField(11, "lat", DoubleType()))),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "country"),
        PartitionField(3, 1001, DayTransform(), "day"),
        PartitionField(1, 1002, BucketTransform(2), "bucket"),
    )
    rows = [
        {
            "id": number,
            "country": ["no", "se", None][number % 3],
            "at": ZERO + datetime.timedelta(hours=number * 8),
            "tags": ["a", None][: number % 3],
            "counts": [("n", number), ("none", None)][: number % 3],
            "place": {"city": f"city {number}", "lat": number / 4} if number % 4 else None,
        }
        for number in range(12)
    ]
    create(lake, "visits", schema, rows, partition_spec=spec)

    before = {row["id"]: row for row in lake.rows("visits")}
    assert before == {row["id"]: row for row in rows}
    found = lake.sql("SELECT id FROM visits WHERE country = 'no' AND at >= TIMESTAMP_NTZ'2026-01-03 00:00:00' ORDER BY id")
    assert [row["id"] for row in found] == [6, 9]
    lake.sql("UPDATE visits SET place = named_struct('city', 'elsewhere', 'lat', 0.0D) WHERE id IN (3, 4)")
    lake.sql("DELETE FROM visits WHERE country IS NULL")
    after = {row["id"]: row for row in lake.rows("visits")}
    assert sorted(after) == [0, 1, 3, 4, 6, 7, 9, 10]
    assert after[3] == {**rows[3], "place": {"city": "elsewhere", "lat": 0.0}}


def test_spark_reads_a_table_that_pyiceberg_evolved(lake: Lake) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "word", StringType()),
        NestedField(3, "gone", StringType()),
        NestedField(4, "place", StructType(NestedField(5, "city", StringType()))),
    )
    create(lake, "words", schema, [{"id": 1, "word": "a", "gone": "x", "place": {"city": "Oslo"}}])
    table = lake.load("words")
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.rename_column("word", "term")
        update.delete_column("gone")
        update.add_column(("place", "country"), StringType())
        update.add_column("score", DoubleType(), "How good")
        update.move_first("score")
    with table.update_spec() as update_spec:
        update_spec.add_field("term", TruncateTransform(1), "letter")
    table.append(
        pa.Table.from_pylist(
            [{"id": 2**40, "term": "bc", "place": {"city": "Bergen", "country": "no"}, "score": 0.5}],
            schema=table.schema().as_arrow(),
        )
    )
    with table.update_spec() as update_spec:
        update_spec.remove_field("letter")
        update_spec.add_field("id", BucketTransform(4), "bucket")
    lake.sql("INSERT INTO words VALUES (1.5, 3, 'cd', NULL)")

    assert lake.rows("words") == [
        {"score": 0.5, "id": 2**40, "term": "bc", "place": {"city": "Bergen", "country": "no"}},
        {"score": 1.5, "id": 3, "term": "cd", "place": None},
        {"score": None, "id": 1, "term": "a", "place": {"city": "Oslo", "country": None}},
    ]
    assert lake.one("SELECT count(*) FROM words WHERE term LIKE 'b%'") == 1
    assert lake.sql("DESCRIBE words")[0] == {"col_name": "score", "data_type": "double", "comment": "How good"}


def test_pyiceberg_changes_a_table_that_spark_made(lake: Lake) -> None:
    lake.sql(
        """CREATE TABLE words (id BIGINT, word STRING) PARTITIONED BY (bucket(2, id))
        TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')"""
    )
    lake.sql("INSERT INTO words SELECT /*+ COALESCE(1) */ id, concat('w', id) FROM range(8)")
    lake.sql("DELETE FROM words WHERE id = 2")
    table = lake.load("words")
    rows = pa.Table.from_pylist([{"id": 8, "word": "w8"}], schema=table.schema().as_arrow())
    table.append(rows)
    assert lake.ids("words") == [0, 1, 3, 4, 5, 6, 7, 8]
    table = lake.load("words")
    table.delete("id == 5")
    assert lake.ids("words") == [0, 1, 3, 4, 6, 7, 8]
    table = lake.load("words")
    upserted = table.upsert(
        pa.Table.from_pylist([{"id": 1, "word": "W1"}, {"id": 9, "word": "W9"}], schema=table.schema().as_arrow()), join_cols=["id"]
    )
    assert (upserted.rows_updated, upserted.rows_inserted) == (1, 1)
    lake.sql("DELETE FROM words WHERE id = 9")

    assert {row["id"]: row["word"] for row in lake.rows("words")} == {0: "w0", 1: "W1", 3: "w3", 4: "w4", 6: "w6", 7: "w7", 8: "w8"}


@pytest.mark.smoke
def test_pyiceberg_reads_the_position_deletes_and_deletion_vectors_of_spark(lake: Lake) -> None:
    for version, file_format in (("2", "PARQUET"), ("3", "PUFFIN")):
        name = f"format_{version}"
        lake.sql(
            f"""CREATE TABLE {name} (id BIGINT) TBLPROPERTIES ('format-version' = '{version}',
            'write.delete.mode' = 'merge-on-read', 'write.parquet.row-group-size-bytes' = '1024')"""
        )
        lake.sql(f"INSERT INTO {name} SELECT /*+ COALESCE(1) */ id FROM range(20000)")
        lake.sql(f"DELETE FROM {name} WHERE id % 3 = 0")
        lake.sql(f"DELETE FROM {name} WHERE id % 5 = 0")
        formats = {row["file_format"] for row in lake.sql(f"SELECT file_format FROM {lake}.{name}.delete_files")}
        assert formats == {file_format}
        assert lake.ids(name) == [n for n in range(20000) if n % 3 and n % 5]


@on_both_stores
def test_both_engines_take_turns_with_branches_and_tags(lake: Lake) -> None:
    lake.sql("CREATE TABLE words (id BIGINT, word STRING)")
    lake.sql("INSERT INTO words VALUES (1, 'spark')")
    table = lake.load("words")
    table.manage_snapshots().create_branch(table.current_snapshot().snapshot_id, "side").create_tag(
        table.current_snapshot().snapshot_id, "start"
    ).commit()
    lake.sql(f"INSERT INTO {lake}.words.branch_side VALUES (2, 'spark on a branch')")
    table = lake.load("words")
    table.append(pa.Table.from_pylist([{"id": 3, "word": "pyiceberg"}], schema=table.schema().as_arrow()), branch="side")

    assert lake.ids("words") == [1]
    assert lake.ids("words", "start") == [1]
    assert lake.ids("words", "side") == [1, 2, 3]
    lake.sql(f"CALL {lake.name}.system.fast_forward('words', 'main', 'side')")
    assert lake.ids("words") == [1, 2, 3]
