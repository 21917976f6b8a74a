"""Every type of the format with real values, from the client's memory to storage and back."""

from __future__ import annotations

import datetime as dt
import math
import random
import uuid
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.update import AssertTableUUID, UpgradeFormatVersionUpdate
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampNanoType,
    TimestampType,
    TimestamptzNanoType,
    TimestamptzType,
    TimeType,
    UnknownType,
    UUIDType,
)

from tables import ALL_CITIES, append, cities, rows, rows_of

UTC = dt.timezone.utc
KRAKOW = 'Kraków 雪 🏔 "quoted" \\ \n\t\''

PRIMITIVES: list[tuple[IcebergType, list[Any]]] = [
    (BooleanType(), [True, False]),
    (IntegerType(), [0, -1, 2**31 - 1, -(2**31)]),
    (LongType(), [0, -1, 2**63 - 1, -(2**63)]),
    (FloatType(), [0.0, 1.5, -2.25, math.inf, -math.inf]),
    (DoubleType(), [0.0, math.pi, -1e-300, 1.7976931348623157e308, math.inf]),
    (DecimalType(9, 2), [Decimal("0.00"), Decimal("9999999.99"), Decimal("-9999999.99")]),
    (DecimalType(18, 9), [Decimal("123456789.123456789")]),
    (DecimalType(38, 10), [Decimal("9" * 28 + "." + "9" * 10), Decimal("-0.0000000001")]),
    (DateType(), [dt.date(1970, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    (TimeType(), [dt.time(0, 0), dt.time(23, 59, 59, 999999)]),
    (
        TimestampType(),
        [dt.datetime(1970, 1, 1), dt.datetime(1899, 12, 31, 1, 2, 3, 4), dt.datetime(2262, 4, 12, 0, 0, 0, 1)],
    ),
    (TimestamptzType(), [dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2038, 1, 19, 3, 14, 8, 123456, UTC)]),
    (StringType(), ["", "a", KRAKOW, "x" * 5000]),
    (UUIDType(), [uuid.UUID(int=0), uuid.UUID("f79c3e09-677c-4bbd-a479-3f349cb785e7")]),
    (FixedType(4), [b"\x00\x01\x02\xff", b"abcd"]),
    (BinaryType(), [b"", b"\x00\xff", bytes(range(256))]),
]


@pytest.mark.parametrize("format_version", ["1", "2"])
@pytest.mark.parametrize(
    ("field_type", "values"), PRIMITIVES, ids=lambda value: str(value) if isinstance(value, IcebergType) else ""
)
def test_values_of_a_primitive_type_come_back_as_they_were_written(
    catalog: RestCatalog, namespace: str, field_type: IcebergType, values: list[Any], format_version: str
) -> None:
    schema = Schema(NestedField(1, "id", IntegerType(), required=True), NestedField(2, "value", field_type))
    table = catalog.create_table((namespace, "t"), schema, properties={"format-version": format_version})
    written = [{"id": number, "value": value} for number, value in enumerate([*values, None])]
    append(table, written)
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.format_version == int(format_version)
    assert loaded.schema().find_type("value") == field_type
    assert rows(loaded) == written


def test_not_a_number_comes_back_as_not_a_number(catalog: RestCatalog, namespace: str) -> None:
    schema = Schema(NestedField(1, "f", FloatType()), NestedField(2, "d", DoubleType()))
    append(catalog.create_table((namespace, "t"), schema), [{"f": math.nan, "d": math.nan}])
    (row,) = catalog.load_table((namespace, "t")).scan().to_arrow().to_pylist()
    assert math.isnan(row["f"])
    assert math.isnan(row["d"])


def nested(name: str, field_type: IcebergType, required: bool = False) -> NestedField:
    """A field whose id is given when the table is created."""
    nested.next_id += 1
    return NestedField(nested.next_id, name, field_type, required=required)


nested.next_id = 1


def list_of(element: IcebergType) -> ListType:
    nested.next_id += 1
    return ListType(nested.next_id, element, element_required=False)


def map_of(key: IcebergType, value: IcebergType) -> MapType:
    nested.next_id += 2
    return MapType(nested.next_id - 1, key, nested.next_id, value, value_required=False)


# The client reads a null list or map of structs as an empty one, so there is a null only where it can tell.
NESTED: list[tuple[str, IcebergType, list[Any]]] = [
    (
        "struct",
        StructType(nested("a", IntegerType()), nested("b", StringType())),
        [{"a": 1, "b": "one"}, {"a": None, "b": None}, None],
    ),
    ("list", list_of(LongType()), [[1, 2, 3], [], [None, 4], None]),
    ("map", map_of(StringType(), DoubleType()), [[("a", 1.5), ("b", None)], [], None]),
    (
        "list of structs",
        list_of(StructType(nested("at", TimestamptzType()), nested("price", DecimalType(10, 2)))),
        [[{"at": dt.datetime(2024, 2, 29, tzinfo=UTC), "price": Decimal("1.50")}, {"at": None, "price": None}], []],
    ),
    ("list of lists", list_of(list_of(StringType())), [[["a"], [], ["b", None]], [], None]),
    (
        "map of lists of structs",
        map_of(IntegerType(), list_of(StructType(nested("x", FixedType(2)), nested("y", BinaryType())))),
        [[(1, [{"x": b"ab", "y": b"\x00\xff"}]), (2, [])], None],
    ),
    (
        "struct in struct in struct",
        StructType(
            nested("in", StructType(nested("in", StructType(nested("tags", map_of(StringType(), DateType()))))))
        ),
        [{"in": {"in": {"tags": [("today", dt.date(2024, 2, 29))]}}}, {"in": {"in": None}}, {"in": None}, None],
    ),
]


@pytest.mark.parametrize(("field_type", "values"), [pytest.param(*case[1:], id=case[0]) for case in NESTED])
def test_values_of_a_nested_type_come_back_as_they_were_written(
    catalog: RestCatalog, namespace: str, field_type: IcebergType, values: list[Any]
) -> None:
    schema = Schema(NestedField(1, "id", IntegerType(), required=True), NestedField(2, "value", field_type))
    table = catalog.create_table((namespace, "t"), schema)
    written = [{"id": number, "value": value} for number, value in enumerate(values)]
    append(table, written)
    assert rows_of(catalog, (namespace, "t")) == written


def test_a_table_of_all_types_at_once_round_trips(catalog: RestCatalog, namespace: str) -> None:
    columns = [(f"c{number}", field_type, values) for number, (field_type, values) in enumerate(PRIMITIVES)]
    columns += [(f"n{number}", field_type, values) for number, (_, field_type, values) in enumerate(NESTED)]
    fields = [NestedField(1000 + number, name, field_type) for number, (name, field_type, _) in enumerate(columns)]
    table = catalog.create_table(
        (namespace, "t"), Schema(NestedField(999, "id", IntegerType(), required=True), *fields)
    )
    written = [
        {"id": number, **{name: values[number % len(values)] for name, _, values in columns}} for number in range(10)
    ]
    append(table, written)
    assert rows_of(catalog, (namespace, "t")) == written


def test_a_table_made_from_an_arrow_schema_holds_the_arrow_rows(catalog: RestCatalog, namespace: str) -> None:
    data = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", "b", None], "tags": [["x"], [], ["y", "z"]]})
    table = catalog.create_table((namespace, "t"), data.schema)
    table.append(data)
    assert rows_of(catalog, (namespace, "t")) == data.to_pylist()


def test_columns_with_names_in_any_script_keep_their_rows(catalog: RestCatalog, namespace: str) -> None:
    names = ["with space", "with.dot", "with/slash", "per%cent", "quote\"'", "blåbær", "雪", "🏔", "SELECT"]
    schema = Schema(*[NestedField(number + 1, name, StringType()) for number, name in enumerate(names)])
    table = catalog.create_table((namespace, "t"), schema)
    written = [{name: f"{name} {number}" for name in names} for number in range(3)]
    append(table, written)
    assert rows_of(catalog, (namespace, "t"), key="SELECT") == written


def test_a_file_of_many_megabytes_comes_back_whole(catalog: RestCatalog, namespace: str) -> None:
    source = random.Random(4711)
    blobs = [source.randbytes(1024 * 1024) for _ in range(32)]
    schema = Schema(NestedField(1, "id", IntegerType(), required=True), NestedField(2, "blob", BinaryType()))
    table = catalog.create_table((namespace, "t"), schema, properties={"write.metadata.metrics.column.blob": "none"})
    append(table, [{"id": number, "blob": blob} for number, blob in enumerate(blobs)])
    assert [row["blob"] for row in rows_of(catalog, (namespace, "t"))] == blobs


def test_format_version_1_tables_are_written_and_read(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace, properties={"format-version": "1"})
    append(table, ALL_CITIES)
    table.delete("id = 2")
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.format_version == 1
    assert [row["id"] for row in rows(loaded)] == [1, 3, 4]


def test_upgrading_from_version_1_to_2_keeps_the_rows_and_takes_new_ones(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace, properties={"format-version": "1"})
    append(table, ALL_CITIES[:2])
    with table.transaction() as transaction:
        transaction.upgrade_table_version(2)
    assert catalog.load_table((namespace, "cities")).format_version == 2
    append(table, ALL_CITIES[2:])
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_upgrading_from_version_2_to_3_keeps_the_rows(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    # The client has no method for this step, but it can send it and read the outcome.
    catalog.commit_table(
        table, (AssertTableUUID(uuid=table.metadata.table_uuid),), (UpgradeFormatVersionUpdate(format_version=3),)
    )
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.format_version == 3
    assert loaded.metadata.next_row_id == 0
    assert rows(loaded) == ALL_CITIES


def test_a_version_3_table_has_the_types_of_version_3(catalog: RestCatalog, namespace: str) -> None:
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "at", TimestampNanoType()),
        NestedField(3, "at_utc", TimestamptzNanoType()),
        NestedField(4, "what", UnknownType()),
    )
    catalog.create_table((namespace, "t"), schema, properties={"format-version": "3"})
    loaded = catalog.load_table((namespace, "t"))
    assert loaded.format_version == 3
    assert loaded.metadata.next_row_id == 0
    assert loaded.schema().as_struct() == schema.as_struct()
    assert rows(loaded) == []


def test_a_column_added_with_a_default_has_it_in_the_rows_that_were_there(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    catalog.commit_table(
        table, (AssertTableUUID(uuid=table.metadata.table_uuid),), (UpgradeFormatVersionUpdate(format_version=3),)
    )
    table.refresh()
    with table.update_schema() as schema:
        schema.add_column("country", StringType(), default_value="Norge")
    with table.update_schema() as schema:
        schema.set_default_value("country", "Noreg")
    loaded = catalog.load_table((namespace, "cities"))
    country = loaded.schema().find_field("country")
    assert (country.initial_default, country.write_default) == ("Norge", "Noreg")
    assert rows(loaded) == [{**row, "country": "Norge"} for row in ALL_CITIES]
