"""Partitioned tables: every transform, pruning, and how partitioning changes."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    VoidTransform,
    YearTransform,
)
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    UUIDType,
)

from tables import ALL_CITIES, BERGEN, NOWHERE, OSLO, TROMSO, append, arrow, cities, ids, rows, rows_of

UTC = dt.timezone.utc
STAMPS = [dt.datetime(2023, 12, 31, 23, 59, 59), dt.datetime(2024, 1, 1), dt.datetime(2024, 2, 29, 12, 30), None]
ZONED = [stamp and stamp.replace(tzinfo=UTC) for stamp in STAMPS]
DATES = [stamp and stamp.date() for stamp in STAMPS]
WORDS = ["apple", "apricot", "banana", "", None]
NUMBERS = [0, 1, 17, -17, 1_000_000, None]

# transform, source type, values, and how many partitions these fall into (None: for the hash to say)
TRANSFORMS: list[tuple[Transform[Any, Any], IcebergType, list[Any], int | None]] = [
    (IdentityTransform(), BooleanType(), [True, False, None, True], 3),
    (IdentityTransform(), IntegerType(), NUMBERS, 6),
    (IdentityTransform(), StringType(), [*WORDS, "a/b=c d%é"], 6),
    (IdentityTransform(), DateType(), DATES, 4),
    (IdentityTransform(), DecimalType(9, 2), [Decimal("1.50"), Decimal("-1.50"), None], 3),
    (BucketTransform(8), LongType(), NUMBERS, None),
    (BucketTransform(8), StringType(), WORDS, None),
    (BucketTransform(8), DateType(), DATES, None),
    (BucketTransform(8), TimestampType(), STAMPS, None),
    (BucketTransform(8), UUIDType(), [uuid.UUID(int=number) for number in range(5)], None),
    (BucketTransform(8), BinaryType(), [b"a", b"\x00\xff", None], None),
    (TruncateTransform(10), IntegerType(), NUMBERS, 5),
    (TruncateTransform(2), StringType(), WORDS, 4),
    (TruncateTransform(100), DecimalType(9, 2), [Decimal("1.50"), Decimal("1.99"), Decimal("2.00"), None], 3),
    (YearTransform(), DateType(), DATES, 3),
    (YearTransform(), TimestampType(), STAMPS, 3),
    (MonthTransform(), DateType(), DATES, 4),
    (MonthTransform(), TimestamptzType(), ZONED, 4),
    (DayTransform(), DateType(), DATES, 4),
    (DayTransform(), TimestamptzType(), ZONED, 4),
    (HourTransform(), TimestampType(), STAMPS, 4),
    (HourTransform(), TimestamptzType(), ZONED, 4),
    (VoidTransform(), StringType(), WORDS, 1),
]


@pytest.mark.parametrize("format_version", ["1", "2"])
@pytest.mark.parametrize(
    ("transform", "source", "values", "partitions"),
    [pytest.param(*case, id=f"{case[0]} of {case[1]}") for case in TRANSFORMS],
)
def test_rows_come_back_from_a_table_partitioned_by_a_transform(
    catalog: RestCatalog,
    namespace: str,
    transform: Transform[Any, Any],
    source: IcebergType,
    values: list[Any],
    partitions: int | None,
    format_version: str,
) -> None:
    schema = Schema(NestedField(1, "id", IntegerType(), required=True), NestedField(2, "value", source))
    spec = PartitionSpec(PartitionField(2, 1000, transform, "part"))
    table = catalog.create_table(
        (namespace, "t"), schema, partition_spec=spec, properties={"format-version": format_version}
    )
    written = [{"id": number, "value": value} for number, value in enumerate(values)]
    append(table, written)
    loaded = catalog.load_table((namespace, "t"))
    assert [(field.source_id, field.name, field.transform) for field in loaded.spec().fields] == [
        (2, "part", transform)
    ]
    assert rows(loaded) == written
    found = {repr(task.file.partition[0]) for task in loaded.scan().plan_files()}
    if partitions is not None:
        assert len(found) == partitions
    assert rows(loaded, row_filter="value is null") == [row for row in written if row["value"] is None]


def test_a_table_partitioned_by_three_fields_keeps_its_rows(catalog: RestCatalog, namespace: str) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "kind", StringType()),
        NestedField(3, "at", TimestampType()),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "kind"),
        PartitionField(3, 1001, DayTransform(), "day"),
        PartitionField(1, 1002, BucketTransform(4), "id_bucket"),
    )
    table = catalog.create_table((namespace, "t"), schema, partition_spec=spec)
    written = [
        {"id": number, "kind": "abc"[number % 3], "at": dt.datetime(2024, 1, 1 + number % 4, number % 24)}
        for number in range(100)
    ]
    append(table, written[:50])
    append(table, written[50:])
    assert rows_of(catalog, (namespace, "t")) == written
    assert rows_of(catalog, (namespace, "t"), row_filter="kind = 'b' and at < '2024-01-03T00:00:00'") == [
        row for row in written if row["kind"] == "b" and row["at"] < dt.datetime(2024, 1, 3)
    ]


def test_a_filter_on_the_partition_reads_only_its_files(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "city"))
    append(cities(catalog, namespace, partition_spec=spec), ALL_CITIES)
    table = catalog.load_table((namespace, "cities"))
    assert len(list(table.scan().plan_files())) == 4
    assert len(list(table.scan(row_filter="city = 'Oslo'").plan_files())) == 1
    assert rows(table, row_filter="city = 'Oslo'") == [OSLO]
    assert rows(table, row_filter="city is null") == [NOWHERE]


def test_the_partitions_table_counts_the_rows_of_each_partition(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "city"))
    table = cities(catalog, namespace, partition_spec=spec)
    append(table, ALL_CITIES)
    append(table, [{**OSLO, "id": 5}])
    found = catalog.load_table((namespace, "cities")).inspect.partitions().to_pylist()
    assert {row["partition"]["city"]: row["record_count"] for row in found} == {
        "Oslo": 2,
        "Bergen": 1,
        "Tromsø": 1,
        None: 1,
    }


def test_a_table_may_become_partitioned_after_it_got_rows(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN])
    with table.update_spec() as spec:
        spec.add_field("city", IdentityTransform(), "by_city")
        spec.add_field("id", BucketTransform(4), "by_id")
    append(table, [TROMSO, NOWHERE])
    loaded = catalog.load_table((namespace, "cities"))
    assert [(field.name, str(field.transform)) for field in loaded.spec().fields] == [
        ("by_city", "identity"),
        ("by_id", "bucket[4]"),
    ]
    assert len(loaded.specs()) == 2
    assert loaded.metadata.last_partition_id == 1001
    assert rows(loaded) == ALL_CITIES
    assert {task.file.spec_id for task in loaded.scan().plan_files()} == set(loaded.specs())


@pytest.mark.parametrize("format_version", ["1", "2"])
def test_a_partition_field_is_replaced_renamed_and_removed(
    catalog: RestCatalog, namespace: str, format_version: str
) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, TruncateTransform(1), "initial"))
    table = cities(catalog, namespace, partition_spec=spec, properties={"format-version": format_version})
    append(table, [OSLO])
    with table.update_spec() as update:
        update.rename_field("initial", "first_letter")
    append(table, [BERGEN])
    assert [field.name for field in catalog.load_table((namespace, "cities")).spec().fields] == ["first_letter"]
    with table.update_spec() as update:
        update.remove_field("first_letter")
        update.add_field("people", TruncateTransform(100), "hundreds")
    append(table, [TROMSO])
    with table.update_spec() as update:
        update.remove_field("hundreds")
    append(table, [NOWHERE])
    loaded = catalog.load_table((namespace, "cities"))
    assert [field for field in loaded.spec().fields if field.transform != VoidTransform()] == []
    assert rows(loaded) == ALL_CITIES
    assert rows(loaded, row_filter="city = 'Bergen'") == [BERGEN]


def test_a_spec_that_was_used_before_is_reused(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    for _ in range(2):
        with table.update_spec() as update:
            update.add_identity("city")
        append(table, [OSLO])
        with table.update_spec() as update:
            update.remove_field("city")
        append(table, [BERGEN])
    loaded = catalog.load_table((namespace, "cities"))
    assert len(loaded.specs()) == 2
    assert sorted(ids(rows(loaded))) == [1, 1, 2, 2]


def test_dynamic_overwrite_replaces_just_the_partitions_it_has_rows_for(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "city"))
    table = cities(catalog, namespace, partition_spec=spec)
    append(table, ALL_CITIES)
    table.dynamic_partition_overwrite(arrow(table, [{**OSLO, "people": 720}, {**NOWHERE, "people": 1}]))
    assert rows_of(catalog, (namespace, "cities")) == [
        {**OSLO, "people": 720},
        BERGEN,
        TROMSO,
        {**NOWHERE, "people": 1},
    ]


def test_rows_deleted_from_a_partitioned_table_are_gone_from_it(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, TruncateTransform(1), "initial"))
    table = cities(catalog, namespace, partition_spec=spec)
    append(table, [*ALL_CITIES, {"id": 5, "city": "Odda", "people": 7}])
    table.delete("city = 'Oslo'")
    assert ids(rows_of(catalog, (namespace, "cities"))) == [2, 3, 4, 5]
    table.delete("city = 'Bergen'")
    assert ids(rows_of(catalog, (namespace, "cities"))) == [3, 4, 5]
