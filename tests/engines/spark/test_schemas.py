"""Columns added, dropped, renamed, widened and moved, and the rows that were there before."""

from __future__ import annotations

import pytest
from pyiceberg.types import DecimalType, DoubleType, IntegerType, LongType

from lake import Lake, on_both_stores

TABLE = """CREATE TABLE events (id BIGINT NOT NULL, name STRING, amount INT,
    place STRUCT<city: STRING, at: STRUCT<lat: FLOAT, lon: FLOAT>>, tags ARRAY<STRUCT<k: STRING>>,
    seen MAP<STRING, STRUCT<n: INT>>)"""


def events(lake: Lake) -> None:
    """Two rows. The second has no null in place of a list or a map of structs, which PyIceberg 0.12 takes for an empty one."""
    lake.sql(TABLE)
    lake.sql(
        """INSERT INTO events VALUES (1, 'a', 10, struct('Oslo', struct(59.5F, 10.5F)), array(struct('x')), map('m', struct(1))),
        (2, NULL, NULL, NULL, array(), map())"""
    )


def names(lake: Lake, table: str = "events") -> list[str]:
    return [field.name for field in lake.load(table).schema().fields]


@pytest.mark.smoke
def test_columns_that_are_added_are_null_in_the_rows_from_before(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events ADD COLUMNS (kind STRING COMMENT 'What it was', score DOUBLE)")
    lake.sql("ALTER TABLE events ADD COLUMN first STRING FIRST")
    lake.sql("ALTER TABLE events ADD COLUMN after_id INT AFTER id")
    lake.sql("INSERT INTO events (id, kind, after_id, tags, seen) VALUES (3, 'new', 7, array(), map())")

    assert names(lake) == ["first", "id", "after_id", "name", "amount", "place", "tags", "seen", "kind", "score"]
    assert lake.load("events").schema().find_field("kind").doc == "What it was"
    rows = {row["id"]: row for row in lake.rows("events")}
    assert (rows[1]["kind"], rows[1]["after_id"], rows[1]["amount"]) == (None, None, 10)
    assert (rows[3]["kind"], rows[3]["after_id"], rows[3]["amount"]) == ("new", 7, None)


def test_columns_inside_of_structs_lists_and_maps_are_added(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events ADD COLUMN place.at.height INT")
    lake.sql("ALTER TABLE events ADD COLUMN place.country STRING AFTER city")
    lake.sql("ALTER TABLE events ADD COLUMN tags.element.v STRING")
    lake.sql("ALTER TABLE events ADD COLUMN seen.value.last DATE")

    row = {row["id"]: row for row in lake.rows("events")}[1]
    assert row["place"] == {"city": "Oslo", "country": None, "at": {"lat": 59.5, "lon": 10.5, "height": None}}
    assert list(row["place"]) == ["city", "country", "at"]
    assert row["tags"] == [{"k": "x", "v": None}]
    assert row["seen"] == [("m", {"n": 1, "last": None})]


@on_both_stores
def test_a_renamed_column_keeps_its_values(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events RENAME COLUMN name TO title")
    lake.sql("ALTER TABLE events RENAME COLUMN place.at.lat TO latitude")
    lake.sql("ALTER TABLE events RENAME COLUMN tags.element.k TO word")

    row = {row["id"]: row for row in lake.rows("events")}[1]
    assert row["title"] == "a"
    assert row["place"]["at"] == {"latitude": 59.5, "lon": 10.5}
    assert row["tags"] == [{"word": "x"}]


def test_a_dropped_column_is_gone_and_its_name_free_for_another(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events DROP COLUMN amount")
    lake.sql("ALTER TABLE events DROP COLUMN place.at.lon")
    assert "amount" not in names(lake)
    assert {row["id"]: row for row in lake.rows("events")}[1]["place"]["at"] == {"lat": 59.5}

    lake.sql("ALTER TABLE events ADD COLUMN amount STRING")
    assert [row["amount"] for row in lake.rows("events")] == [None, None]


@pytest.mark.parametrize(
    ("before", "after", "value", "expected"),
    [
        ("INT", "BIGINT", "2147483647", LongType()),
        ("FLOAT", "DOUBLE", "1.5", DoubleType()),
        ("DECIMAL(9, 2)", "DECIMAL(20, 2)", "1234567.89", DecimalType(20, 2)),
    ],
)
def test_a_type_is_widened_and_the_values_stay(lake: Lake, before: str, after: str, value: str, expected: object) -> None:
    lake.sql(f"CREATE TABLE numbers (id BIGINT, n {before}, s STRUCT<n: {before}>)")
    lake.sql(f"INSERT INTO numbers SELECT 1, CAST({value} AS {before}), named_struct('n', CAST({value} AS {before}))")
    lake.sql(f"ALTER TABLE numbers ALTER COLUMN n TYPE {after}")
    lake.sql(f"ALTER TABLE numbers ALTER COLUMN s.n TYPE {after}")
    lake.sql(f"INSERT INTO numbers SELECT 2, CAST({value} AS {after}), NULL")

    assert lake.load("numbers").schema().find_field("n").field_type == expected
    assert lake.load("numbers").schema().find_field("s.n").field_type == expected
    first, second = lake.rows("numbers")
    assert first["n"] == second["n"] == first["s"]["n"]
    assert str(first["n"]) == value


def test_a_type_is_not_narrowed(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, n BIGINT)")
    lake.sql("INSERT INTO numbers VALUES (1, 2)")
    with pytest.raises(Exception, match="NOT_SUPPORTED_CHANGE_COLUMN"):
        lake.sql("ALTER TABLE numbers ALTER COLUMN n TYPE INT")
    assert lake.rows("numbers") == [{"id": 1, "n": 2}]
    assert lake.load("numbers").schema().find_field("n").field_type == LongType()


def test_columns_are_moved(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events ALTER COLUMN amount FIRST")
    lake.sql("ALTER TABLE events ALTER COLUMN id AFTER seen")
    lake.sql("ALTER TABLE events ALTER COLUMN place.at FIRST")

    assert names(lake) == ["amount", "name", "place", "tags", "seen", "id"]
    row = {row["id"]: row for row in lake.rows("events")}[1]
    assert list(row["place"]) == ["at", "city"]
    assert (row["amount"], row["place"]["city"]) == (10, "Oslo")


def test_a_required_column_becomes_optional_and_comments_change(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events ALTER COLUMN id DROP NOT NULL")
    lake.sql("ALTER TABLE events ALTER COLUMN amount COMMENT 'In øre'")
    lake.sql("INSERT INTO events (id, amount, tags, seen) VALUES (NULL, 5, array(), map())")

    schema = lake.load("events").schema()
    assert not schema.find_field("id").required
    assert schema.find_field("amount").doc == "In øre"
    assert (None, 5) in [(row["id"], row["amount"]) for row in lake.rows("events")]
    with pytest.raises(Exception, match="Cannot change nullable column to non-nullable: amount"):
        lake.sql("ALTER TABLE events ALTER COLUMN amount SET NOT NULL")


def test_identifier_fields_are_set_and_dropped(lake: Lake) -> None:
    lake.sql("CREATE TABLE people (id BIGINT NOT NULL, code STRING NOT NULL, name STRING)")
    lake.sql("INSERT INTO people VALUES (1, 'x', 'Ada')")
    lake.sql("ALTER TABLE people SET IDENTIFIER FIELDS id, code")
    assert lake.load("people").schema().identifier_field_names() == {"id", "code"}
    lake.sql("ALTER TABLE people DROP IDENTIFIER FIELDS code")
    assert lake.load("people").schema().identifier_field_names() == {"id"}
    with pytest.raises(Exception, match="Cannot delete identifier field"):
        lake.sql("ALTER TABLE people DROP COLUMN id")
    assert lake.rows("people") == [{"id": 1, "code": "x", "name": "Ada"}]


def test_an_old_snapshot_is_read_with_the_columns_it_had(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, n INT, old STRING)")
    lake.sql("INSERT INTO numbers VALUES (1, 2, 'x')")
    before = lake.current("numbers")
    lake.sql("ALTER TABLE numbers DROP COLUMN old")
    lake.sql("ALTER TABLE numbers RENAME COLUMN n TO m")
    lake.sql("INSERT INTO numbers VALUES (2, 3)")

    assert lake.rows("numbers", before) == [{"id": 1, "n": 2, "old": "x"}]
    assert lake.rows("numbers") == [{"id": 1, "m": 2}, {"id": 2, "m": 3}]


def test_a_table_accepts_any_schema_of_a_writer_where_it_says_so(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, n INT) TBLPROPERTIES ('write.spark.accept-any-schema' = 'true')")
    lake.spark.sql("SELECT 1L AS id, 1 AS n").writeTo(f"{lake}.numbers").append()
    frame = lake.spark.sql("SELECT 2L AS id, 3L AS n, 'x' AS word")
    frame.writeTo(f"{lake}.numbers").option("mergeSchema", "true").append()

    assert lake.rows("numbers") == [{"id": 1, "n": 1, "word": None}, {"id": 2, "n": 3, "word": "x"}]
    assert lake.load("numbers").schema().find_field("n").field_type in (LongType(), IntegerType())


def test_properties_of_a_table_are_set_and_removed(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT) COMMENT 'Numbers' TBLPROPERTIES ('a' = '1', 'b' = '2')")
    lake.sql("INSERT INTO numbers VALUES (1)")
    lake.sql("ALTER TABLE numbers SET TBLPROPERTIES ('b' = '3', 'c' = '4')")
    lake.sql("ALTER TABLE numbers UNSET TBLPROPERTIES ('a')")
    lake.sql("COMMENT ON TABLE numbers IS 'More numbers'")

    properties = lake.load("numbers").properties
    assert "a" not in properties
    assert (properties["b"], properties["c"], properties["comment"]) == ("3", "4", "More numbers")
    assert lake.sql("SHOW TBLPROPERTIES numbers ('c')") == [{"key": "c", "value": "4"}]
    assert lake.ids("numbers") == [1]
