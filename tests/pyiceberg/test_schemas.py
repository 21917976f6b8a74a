"""Schemas and sort orders that change while the rows stay."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from tables import ALL_CITIES, BERGEN, NOWHERE, OSLO, TROMSO, append, arrow, cities, ids, rows, rows_of

PEOPLE = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(
        2,
        "home",
        StructType(NestedField(3, "street", StringType()), NestedField(4, "number", IntegerType())),
    ),
    NestedField(5, "jobs", ListType(6, StructType(NestedField(7, "title", StringType())))),
    NestedField(
        8,
        "scores",
        MapType(9, StringType(), 10, StructType(NestedField(11, "points", IntegerType())), value_required=True),
    ),
)
KARI = {
    "id": 1,
    "home": {"street": "Storgata", "number": 7},
    "jobs": [{"title": "pilot"}],
    "scores": [("chess", {"points": 3})],
}


def test_an_added_column_is_null_in_old_rows(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.add_column("founded", DateType(), doc="when it all began")
    append(table, [{**BERGEN, "founded": None}])
    loaded = catalog.load_table((namespace, "cities"))
    field = loaded.schema().find_field("founded")
    assert (field.field_id, field.required, field.doc) == (4, False, "when it all began")
    assert loaded.metadata.last_column_id == 4
    assert rows(loaded) == [{**OSLO, "founded": None}, {**BERGEN, "founded": None}]


def test_a_renamed_column_keeps_its_values(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.rename_column("city", "name")
    append(table, [{"id": 2, "name": "Bergen", "people": 291}])
    assert rows_of(catalog, (namespace, "cities")) == [
        {"id": 1, "name": "Oslo", "people": 717},
        {"id": 2, "name": "Bergen", "people": 291},
    ]
    assert catalog.load_table((namespace, "cities")).schema().find_field("name").field_id == 2


def test_a_dropped_column_is_gone_and_its_name_starts_anew(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.delete_column("people")
    assert rows_of(catalog, (namespace, "cities")) == [{"id": 1, "city": "Oslo"}]
    with table.update_schema() as schema:
        schema.add_column("people", IntegerType())
    append(table, [BERGEN])
    loaded = catalog.load_table((namespace, "cities"))
    assert rows(loaded) == [{**OSLO, "people": None}, BERGEN]
    assert loaded.schema().find_field("people").field_id == 4
    assert len(loaded.schemas()) == 3


def test_columns_are_widened(catalog: RestCatalog, namespace: str) -> None:
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=True),
        NestedField(2, "f", FloatType()),
        NestedField(3, "d", DecimalType(6, 2)),
    )
    table = catalog.create_table((namespace, "t"), schema)
    append(table, [{"id": 1, "f": 1.5, "d": Decimal("1234.56")}])
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.update_column("f", DoubleType())
        update.update_column("d", DecimalType(20, 2))
    append(table, [{"id": 2**40, "f": 1e300, "d": Decimal("123456789012345678.90")}])
    loaded = catalog.load_table((namespace, "t"))
    assert [field.field_type for field in loaded.schema().fields] == [LongType(), DoubleType(), DecimalType(20, 2)]
    assert rows(loaded) == [
        {"id": 1, "f": 1.5, "d": Decimal("1234.56")},
        {"id": 2**40, "f": 1e300, "d": Decimal("123456789012345678.90")},
    ]


def test_columns_are_reordered(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    with table.update_schema() as schema:
        schema.move_first("people")
        schema.move_after("id", "city")
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.schema().column_names == ["people", "city", "id"]
    assert loaded.scan().to_arrow().column_names == ["people", "city", "id"]
    assert rows(loaded) == ALL_CITIES
    with table.update_schema() as schema:
        schema.move_before("id", "people")
    assert catalog.load_table((namespace, "cities")).schema().column_names == ["id", "people", "city"]


def test_a_required_column_becomes_optional(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.make_column_optional("id")
    append(table, [{"id": None, "city": "Odda", "people": 7}])
    loaded = catalog.load_table((namespace, "cities"))
    assert not loaded.schema().find_field("id").required
    assert rows(loaded, key="city") == [{"id": None, "city": "Odda", "people": 7}, OSLO]


def test_fields_inside_structs_lists_and_maps_change(catalog: RestCatalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "people"), PEOPLE)
    append(table, [KARI])
    with table.update_schema() as schema:
        schema.add_column(("home", "city"), StringType())
        schema.rename_column(("home", "street"), "road")
        schema.update_column(("home", "number"), LongType())
        schema.add_column(("jobs", "element", "years"), IntegerType())
        schema.add_column(("scores", "value", "rank"), IntegerType())
    ola = {
        "id": 2,
        "home": {"road": "Lilleveien", "number": 2**40, "city": "Odda"},
        "jobs": [{"title": "cook", "years": 3}, {"title": None, "years": None}],
        "scores": [("go", {"points": 1, "rank": 2})],
    }
    append(table, [ola])
    assert rows_of(catalog, (namespace, "people")) == [
        {
            "id": 1,
            "home": {"road": "Storgata", "number": 7, "city": None},
            "jobs": [{"title": "pilot", "years": None}],
            "scores": [("chess", {"points": 3, "rank": None})],
        },
        ola,
    ]
    with table.update_schema() as schema:
        schema.delete_column(("home", "number"))
        schema.delete_column(("jobs", "element", "title"))
    assert [(row["home"], row["jobs"]) for row in rows_of(catalog, (namespace, "people"))] == [
        ({"road": "Storgata", "city": None}, [{"years": None}]),
        ({"road": "Lilleveien", "city": "Odda"}, [{"years": 3}, {"years": None}]),
    ]


def test_a_struct_column_is_added_with_all_its_fields(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.add_column(
            "mayor", StructType(NestedField(1, "name", StringType()), NestedField(2, "since", IntegerType()))
        )
    append(table, [{**BERGEN, "mayor": {"name": "Marit", "since": 2023}}])
    loaded = catalog.load_table((namespace, "cities"))
    assert rows(loaded) == [{**OSLO, "mayor": None}, {**BERGEN, "mayor": {"name": "Marit", "since": 2023}}]
    assert loaded.metadata.last_column_id == 6


def test_identifier_fields_are_set_and_changed(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN])
    with table.update_schema() as schema:
        schema.set_identifier_fields("id")
    table = catalog.load_table((namespace, "cities"))
    assert table.schema().identifier_field_names() == {"id"}
    table.upsert(arrow(table, [{**OSLO, "people": 720}, TROMSO]))
    assert rows_of(catalog, (namespace, "cities")) == [{**OSLO, "people": 720}, BERGEN, TROMSO]
    with table.update_schema() as schema:
        schema.set_identifier_fields()
    assert catalog.load_table((namespace, "cities")).schema().identifier_field_names() == set()


def test_a_schema_is_merged_with_another_by_name(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    with table.update_schema() as schema:
        schema.union_by_name(Schema(NestedField(9, "people", LongType()), NestedField(8, "county", StringType())))
    append(table, [{**BERGEN, "people": 2**40, "county": "Vestland"}])
    assert rows_of(catalog, (namespace, "cities")) == [
        {**OSLO, "county": None},
        {**BERGEN, "people": 2**40, "county": "Vestland"},
    ]


def test_a_schema_that_was_used_before_is_reused(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    for name in ("b", "city", "b", "city"):
        with table.update_schema() as schema:
            schema.rename_column("city" if name == "b" else "b", name)
    loaded = catalog.load_table((namespace, "cities"))
    assert len(loaded.schemas()) == 2
    assert rows(loaded) == ALL_CITIES


def test_a_change_that_the_format_forbids_is_refused(catalog: RestCatalog, namespace: str) -> None:
    from pyiceberg.exceptions import ResolveError, ValidationError

    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    with pytest.raises((ValidationError, ResolveError)), table.update_schema() as schema:
        schema.update_column("city", IntegerType())
    with pytest.raises(ValueError, match="required"), table.update_schema() as schema:
        schema.add_column("needed", IntegerType(), required=True)
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.schema().column_names == ["id", "city", "people"]
    assert rows(loaded) == ALL_CITIES


def test_a_sort_order_given_at_creation_is_kept(catalog: RestCatalog, namespace: str) -> None:
    order = SortOrder(
        SortField(
            source_id=2, transform=IdentityTransform(), direction=SortDirection.DESC, null_order=NullOrder.NULLS_LAST
        ),
        SortField(
            source_id=1, transform=BucketTransform(4), direction=SortDirection.ASC, null_order=NullOrder.NULLS_FIRST
        ),
    )
    append(cities(catalog, namespace, sort_order=order), ALL_CITIES)
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.sort_order().fields == order.fields
    assert rows(loaded) == ALL_CITIES


def test_a_sort_order_is_replaced_and_removed(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN])
    with table.update_sort_order() as order:
        order.asc("city", IdentityTransform(), NullOrder.NULLS_LAST)
        order.desc("people", IdentityTransform(), NullOrder.NULLS_FIRST)
    table = catalog.load_table((namespace, "cities"))
    assert [(field.source_id, field.direction, field.null_order) for field in table.sort_order().fields] == [
        (2, SortDirection.ASC, NullOrder.NULLS_LAST),
        (3, SortDirection.DESC, NullOrder.NULLS_FIRST),
    ]
    append(table, [TROMSO, NOWHERE])
    with table.update_sort_order():
        pass
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.sort_order().is_unsorted
    assert len(loaded.sort_orders()) == 2
    assert ids(rows(loaded)) == [1, 2, 3, 4]
