"""Partitions by every transform, and partitioning that changes while the table lives."""

from __future__ import annotations

import pytest

from lake import Lake, smoke_and_on_s3

MANY = [
    ("identity", "word"),
    ("bucket on a number", "bucket(4, id)"),
    ("bucket on text", "bucket(4, word)"),
    ("truncate on text", "truncate(2, word)"),
    ("truncate on a number", "truncate(10, id)"),
    ("truncate on a decimal", "truncate(100, price)"),
    ("years", "years(day)"),
    ("months", "months(day)"),
    ("days", "days(at)"),
    ("days without a zone", "days(local)"),
    ("hours", "hours(at)"),
]


def fill(lake: Lake, start: int, end: int) -> None:
    lake.sql(
        f"""INSERT INTO events SELECT id, IF(id % 7 = 0, NULL, concat('wørd-', id % 4)), CAST(id * 1.25 AS DECIMAL(9, 2)),
        date_add(DATE'1969-11-15', CAST(id * 20 AS INT)),
        TIMESTAMP'1969-12-31 20:00:00' + make_interval(0, 0, 0, 0, CAST(id AS INT)),
        TIMESTAMP_NTZ'1969-12-31 20:00:00' + make_interval(0, 0, 0, 0, CAST(id * 12 AS INT)) FROM range({start}, {end})"""
    )


def events(lake: Lake, partitioned: str = "") -> None:
    lake.sql(
        f"""CREATE TABLE events (id BIGINT, word STRING, price DECIMAL(9, 2), day DATE, at TIMESTAMP, local TIMESTAMP_NTZ)
        {partitioned}"""
    )
    fill(lake, 0, 30)


def fields(lake: Lake) -> list[tuple[str, str]]:
    return [(field.name, str(field.transform)) for field in lake.load("events").spec().fields]


@pytest.mark.parametrize(("what", "transform"), MANY, ids=[what for what, _ in MANY])
def test_a_table_is_partitioned_by_each_transform_and_pruned_by_it(lake: Lake, what: str, transform: str) -> None:
    events(lake, f"PARTITIONED BY ({transform})")

    assert len(lake.load("events").spec().fields) == 1
    assert lake.one(f"SELECT count(*) FROM {lake}.events.partitions") > 1
    assert lake.ids("events") == list(range(30))
    # A filter on each source column finds what a scan without partitions would.
    every = lake.rows("events")
    for condition, holds in [
        ("id = 17", lambda row: row["id"] == 17),
        ("word = 'wørd-2'", lambda row: row["word"] == "wørd-2"),
        ("word IS NULL", lambda row: row["word"] is None),
        ("price < 10", lambda row: row["price"] < 10),
        ("day >= DATE'1970-01-01'", lambda row: str(row["day"]) >= "1970-01-01"),
        ("at < TIMESTAMP'1970-01-01 00:00:00'", lambda row: str(row["at"]) < "1970-01-01"),
        ("local < TIMESTAMP_NTZ'1970-01-01 00:00:00'", lambda row: str(row["local"]) < "1970-01-01"),
    ]:
        found = [row["id"] for row in lake.sql(f"SELECT id FROM events WHERE {condition} ORDER BY id")]
        assert found == sorted(row["id"] for row in every if holds(row)), condition


@smoke_and_on_s3
def test_partition_fields_are_added_replaced_and_dropped_and_old_rows_stay(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events ADD PARTITION FIELD bucket(4, id)")
    fill(lake, 30, 40)
    lake.sql("ALTER TABLE events ADD PARTITION FIELD months(day) AS month")
    fill(lake, 40, 50)
    lake.sql("ALTER TABLE events REPLACE PARTITION FIELD month WITH years(day) AS year")
    fill(lake, 50, 60)
    assert fields(lake) == [("id_bucket_4", "bucket[4]"), ("year", "year")]
    lake.sql("ALTER TABLE events DROP PARTITION FIELD bucket(4, id)")
    lake.sql("ALTER TABLE events DROP PARTITION FIELD year")
    fill(lake, 60, 70)

    assert fields(lake) == []
    assert lake.ids("events") == list(range(70))
    specs = {row["spec_id"] for row in lake.sql(f"SELECT spec_id FROM {lake}.events.files")}
    assert len(specs) == 4
    found = lake.sql("SELECT id FROM events WHERE id IN (5, 35, 45, 55, 65) ORDER BY id")
    assert [row["id"] for row in found] == [5, 35, 45, 55, 65]


def test_every_transform_is_added_to_one_table_and_rows_are_deleted_across_all_specs(lake: Lake) -> None:
    events(lake)
    for number, (_, transform) in enumerate(MANY):
        lake.sql(f"ALTER TABLE events ADD PARTITION FIELD {transform} AS part_{number}")
        fill(lake, 30 + number * 2, 32 + number * 2)
        lake.sql(f"ALTER TABLE events DROP PARTITION FIELD part_{number}")
    count = 30 + 2 * len(MANY)

    assert lake.ids("events") == list(range(count))
    lake.sql("DELETE FROM events WHERE id % 3 = 0")
    assert lake.ids("events") == [number for number in range(count) if number % 3]


def test_a_partition_field_that_is_dropped_and_added_again_is_the_same_field(lake: Lake) -> None:
    events(lake, "PARTITIONED BY (bucket(4, id))")
    before = lake.load("events").spec().fields[0].field_id
    lake.sql("ALTER TABLE events DROP PARTITION FIELD bucket(4, id)")
    lake.sql("ALTER TABLE events ADD PARTITION FIELD bucket(4, id)")

    assert lake.load("events").spec().fields[0].field_id == before
    assert lake.ids("events") == list(range(30))


def test_partitioning_of_a_format_1_table_changes_too(lake: Lake) -> None:
    lake.sql("CREATE TABLE old (id BIGINT, word STRING) PARTITIONED BY (word) TBLPROPERTIES ('format-version' = '1')")
    lake.sql("INSERT INTO old VALUES (1, 'a'), (2, 'b')")
    lake.sql("ALTER TABLE old DROP PARTITION FIELD word")
    lake.sql("ALTER TABLE old ADD PARTITION FIELD bucket(2, id)")
    lake.sql("INSERT INTO old VALUES (3, 'c'), (4, 'd')")

    # Format 1 keeps a dropped field as one that says nothing.
    assert [str(field.transform) for field in lake.load("old").spec().fields] == ["void", "bucket[2]"]
    assert lake.load("old").format_version == 1
    assert lake.ids("old") == [1, 2, 3, 4]


def test_rows_are_written_in_the_order_that_the_table_asks_for(lake: Lake) -> None:
    events(lake)
    lake.sql("ALTER TABLE events WRITE ORDERED BY word DESC NULLS LAST, bucket(3, id), price")
    order = lake.load("events").sort_order()
    assert [(str(field.transform), field.direction.name, field.null_order.name) for field in order.fields] == [
        ("identity", "DESC", "NULLS_LAST"),
        ("bucket[3]", "ASC", "NULLS_FIRST"),
        ("identity", "ASC", "NULLS_FIRST"),
    ]
    assert lake.load("events").properties["write.distribution-mode"] == "range"
    lake.sql("DELETE FROM events")
    lake.sql("ALTER TABLE events WRITE LOCALLY ORDERED BY id DESC")
    fill(lake, 0, 30)
    assert {row["sort_order_id"] for row in lake.sql(f"SELECT sort_order_id FROM {lake}.events.files")} == {
        lake.load("events").sort_order().order_id
    }
    for file in lake.sql(f"SELECT file_path FROM {lake}.events.files"):
        # What a file has, in the order in which it has it.
        stored = [row["id"] for row in lake.sql(f"SELECT id FROM events WHERE input_file_name() = '{file['file_path']}'")]
        assert stored == sorted(stored, reverse=True)
        assert stored

    lake.sql("ALTER TABLE events WRITE UNORDERED")
    assert lake.load("events").sort_order().order_id == 0
    assert lake.ids("events") == list(range(30))


def test_rows_are_distributed_by_partition(lake: Lake) -> None:
    events(lake, "PARTITIONED BY (bucket(4, id))")
    lake.sql("ALTER TABLE events WRITE DISTRIBUTED BY PARTITION LOCALLY ORDERED BY id")
    lake.sql("DELETE FROM events")
    fill(lake, 0, 30)

    assert lake.load("events").properties["write.distribution-mode"] == "hash"
    # One file a partition, as the rows of each came to one task.
    files = lake.one(f"SELECT count(*) FROM {lake}.events.files")
    assert files == lake.one(f"SELECT count(*) FROM {lake}.events.partitions")
    assert lake.ids("events") == list(range(30))
