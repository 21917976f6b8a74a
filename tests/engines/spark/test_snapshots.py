"""Time travel, branches and tags, and the procedures that move a table between its snapshots."""

from __future__ import annotations

import pytest

from lake import Lake, on_both_stores


def numbers(lake: Lake, *versions: str) -> list[int]:
    """A table of numbers with a snapshot for each of the rows that are given; their ids."""
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING)")
    for values in versions:
        lake.sql(f"INSERT INTO numbers VALUES {values}")
    return lake.snapshots("numbers")


def committed_at(lake: Lake, snapshot: int) -> str:
    at = lake.one(f"SELECT committed_at FROM {lake}.numbers.snapshots WHERE snapshot_id = {snapshot}")
    return str(at.strftime("%Y-%m-%d %H:%M:%S.%f"))


def references(lake: Lake) -> dict[str, tuple[str, int]]:
    return {row["name"]: (row["type"], row["snapshot_id"]) for row in lake.sql(f"SELECT * FROM {lake}.numbers.refs")}


def call(lake: Lake, procedure: str) -> list[dict[str, object]]:
    return lake.sql(f"CALL {lake.name}.system.{procedure}")


@on_both_stores
def test_a_table_is_read_as_it_was_at_a_snapshot_and_at_a_time(lake: Lake) -> None:
    first, second = numbers(lake, "(1, 'a')", "(2, 'b')")
    assert lake.ids("numbers", first) == [1]
    assert lake.ids("numbers", second) == [1, 2]
    for snapshot, count in [(first, 1), (second, 2)]:
        at = committed_at(lake, snapshot)
        assert lake.one(f"SELECT count(*) FROM numbers TIMESTAMP AS OF '{at}'") == count
    assert len(lake.sql("SELECT id FROM numbers TIMESTAMP AS OF current_timestamp()")) == 2
    with pytest.raises(Exception, match="Cannot find a snapshot older than"):
        lake.sql("SELECT * FROM numbers TIMESTAMP AS OF '2001-01-01 00:00:00'")
    frame = lake.spark.read.option("versionAsOf", first).table(f"{lake}.numbers")
    assert lake.frame(frame) == [{"id": 1, "word": "a"}]


def test_the_changes_between_two_snapshots_are_read(lake: Lake) -> None:
    first, second, third = numbers(lake, "(1, 'a')", "(2, 'b')", "(3, 'c')")
    options = {"start-snapshot-id": str(first), "end-snapshot-id": str(second)}
    appended = lake.spark.read.format("iceberg").options(**options).load(f"{lake}.numbers")
    assert lake.frame(appended) == [{"id": 2, "word": "b"}]

    lake.sql("DELETE FROM numbers WHERE id = 1")
    fourth = lake.current("numbers")
    changes = lake.sql(f"SELECT id, _change_type FROM {lake}.numbers.changes ORDER BY _change_ordinal")
    assert changes == [
        {"id": 1, "_change_type": "INSERT"},
        {"id": 2, "_change_type": "INSERT"},
        {"id": 3, "_change_type": "INSERT"},
        {"id": 1, "_change_type": "DELETE"},
    ]
    call(
        lake,
        f"create_changelog_view(table => 'numbers', changelog_view => 'changed',"
        f" options => map('start-snapshot-id', '{third}', 'end-snapshot-id', '{fourth}'))",
    )
    assert lake.sql("SELECT id, _change_type FROM changed") == [{"id": 1, "_change_type": "DELETE"}]
    # It is a view of the session, which the other tests share.
    assert lake.spark.catalog.dropTempView("changed")
    assert lake.ids("numbers") == [2, 3]


@on_both_stores
def test_a_branch_is_written_to_apart_from_main(lake: Lake) -> None:
    (first,) = numbers(lake, "(1, 'a')")
    lake.sql("ALTER TABLE numbers CREATE BRANCH audit")
    lake.sql(f"INSERT INTO {lake}.numbers.branch_audit VALUES (2, 'b')")
    lake.sql(f"UPDATE {lake}.numbers.branch_audit SET word = 'A' WHERE id = 1")
    lake.sql("INSERT INTO numbers VALUES (3, 'c')")

    assert lake.ids("numbers") == [1, 3]
    assert lake.rows("numbers", "audit") == [{"id": 1, "word": "A"}, {"id": 2, "word": "b"}]
    assert lake.sql(f"SELECT id FROM {lake}.numbers.branch_audit ORDER BY id") == [{"id": 1}, {"id": 2}]
    assert references(lake)["audit"][0] == "BRANCH"
    assert first not in (references(lake)["audit"][1], references(lake)["main"][1])
    lake.sql("ALTER TABLE numbers DROP BRANCH audit")
    assert set(references(lake)) == {"main"}


def test_a_branch_is_made_replaced_and_given_a_retention(lake: Lake) -> None:
    first, second = numbers(lake, "(1, 'a')", "(2, 'b')")
    lake.sql(
        f"ALTER TABLE numbers CREATE BRANCH kept AS OF VERSION {first} RETAIN 7 DAYS WITH SNAPSHOT RETENTION 3 SNAPSHOTS 2 DAYS"
    )
    kept = lake.sql(f"SELECT * FROM {lake}.numbers.refs WHERE name = 'kept'")
    day = 24 * 60 * 60 * 1000
    assert kept == [
        {
            "name": "kept",
            "type": "BRANCH",
            "snapshot_id": first,
            "max_reference_age_in_ms": 7 * day,
            "min_snapshots_to_keep": 3,
            "max_snapshot_age_in_ms": 2 * day,
        }
    ]
    lake.sql("ALTER TABLE numbers CREATE BRANCH IF NOT EXISTS kept")
    assert references(lake)["kept"] == ("BRANCH", first)
    with pytest.raises(Exception, match="already exists"):
        lake.sql("ALTER TABLE numbers CREATE BRANCH kept")
    lake.sql(f"ALTER TABLE numbers REPLACE BRANCH kept AS OF VERSION {second} RETAIN 1 DAYS")
    assert references(lake)["kept"] == ("BRANCH", second)
    lake.sql(f"ALTER TABLE numbers CREATE OR REPLACE BRANCH kept AS OF VERSION {first}")
    assert lake.ids("numbers", "kept") == [1]


@on_both_stores
def test_a_tag_names_a_snapshot_until_it_is_replaced_or_dropped(lake: Lake) -> None:
    first, second = numbers(lake, "(1, 'a')", "(2, 'b')")
    lake.sql(f"ALTER TABLE numbers CREATE TAG `end-of-year` AS OF VERSION {first} RETAIN 365 DAYS")
    assert lake.ids("numbers", "end-of-year") == [1]
    retained = lake.one(f"SELECT max_reference_age_in_ms FROM {lake}.numbers.refs WHERE name = 'end-of-year'")
    assert retained == 365 * 24 * 60 * 60 * 1000
    with pytest.raises(Exception, match="already exists"):
        lake.sql("ALTER TABLE numbers CREATE TAG `end-of-year`")

    lake.sql(f"ALTER TABLE numbers REPLACE TAG `end-of-year` AS OF VERSION {second}")
    assert lake.ids("numbers", "end-of-year") == [1, 2]
    lake.sql("INSERT INTO numbers VALUES (3, 'c')")
    assert lake.ids("numbers", "end-of-year") == [1, 2]
    with pytest.raises(Exception, match="Cannot write to table with time travel"):
        lake.sql(f"INSERT INTO {lake}.numbers.`tag_end-of-year` VALUES (4, 'd')")
    lake.sql("ALTER TABLE numbers DROP TAG `end-of-year`")
    lake.sql("ALTER TABLE numbers DROP TAG IF EXISTS `end-of-year`")
    assert set(references(lake)) == {"main"}


def test_a_table_is_rolled_back_to_a_snapshot_and_to_a_time(lake: Lake) -> None:
    first, second, third = numbers(lake, "(1, 'a')", "(2, 'b')", "(3, 'c')")
    assert call(lake, f"rollback_to_snapshot('numbers', {second})") == [
        {"previous_snapshot_id": third, "current_snapshot_id": second}
    ]
    assert lake.ids("numbers") == [1, 2]

    call(lake, f"rollback_to_timestamp('numbers', TIMESTAMP'{committed_at(lake, second)}')")
    assert lake.ids("numbers") == [1]
    assert lake.current("numbers") == first
    lake.sql("INSERT INTO numbers VALUES (4, 'd')")
    assert lake.ids("numbers") == [1, 4]
    ancestors = [row["snapshot_id"] for row in call(lake, "ancestors_of('numbers')")]
    assert ancestors == [lake.current("numbers"), first]
    with pytest.raises(Exception, match="not an ancestor"):
        call(lake, f"rollback_to_snapshot('numbers', {third})")


def test_the_current_snapshot_is_set_to_one_that_is_no_ancestor_and_to_a_tag(lake: Lake) -> None:
    first, second = numbers(lake, "(1, 'a')", "(2, 'b')")
    call(lake, f"rollback_to_snapshot('numbers', {first})")
    call(lake, f"set_current_snapshot('numbers', {second})")
    assert lake.ids("numbers") == [1, 2]

    lake.sql(f"ALTER TABLE numbers CREATE TAG start AS OF VERSION {first}")
    call(lake, "set_current_snapshot(table => 'numbers', ref => 'start')")
    assert lake.ids("numbers") == [1]
    history = lake.sql(f"SELECT snapshot_id, is_current_ancestor FROM {lake}.numbers.history ORDER BY made_current_at")
    assert [row["snapshot_id"] for row in history] == [first, second, first, second, first]
    assert [row["is_current_ancestor"] for row in history] == [True, False, True, False, True]


def test_a_snapshot_of_another_branch_is_cherry_picked(lake: Lake) -> None:
    numbers(lake, "(1, 'a')")
    lake.sql("ALTER TABLE numbers CREATE BRANCH side")
    lake.sql(f"INSERT INTO {lake}.numbers.branch_side VALUES (2, 'b')")
    picked = references(lake)["side"][1]
    lake.sql("INSERT INTO numbers VALUES (3, 'c')")

    answer = call(lake, f"cherrypick_snapshot('numbers', {picked})")
    assert answer[0]["source_snapshot_id"] == picked
    assert lake.ids("numbers") == [1, 2, 3]
    assert lake.ids("numbers", "side") == [1, 2]
    with pytest.raises(Exception, match=f"Cannot cherrypick snapshot {picked}: already picked"):
        call(lake, f"cherrypick_snapshot('numbers', {picked})")


@on_both_stores
def test_a_branch_is_fast_forwarded_to_another(lake: Lake) -> None:
    (first,) = numbers(lake, "(1, 'a')")
    lake.sql("ALTER TABLE numbers CREATE BRANCH audit")
    lake.sql(f"INSERT INTO {lake}.numbers.branch_audit VALUES (2, 'b')")
    lake.sql(f"INSERT INTO {lake}.numbers.branch_audit VALUES (3, 'c')")

    answer = call(lake, "fast_forward('numbers', 'main', 'audit')")
    assert answer == [{"branch_updated": "main", "previous_ref": first, "updated_ref": references(lake)["audit"][1]}]
    assert lake.ids("numbers") == [1, 2, 3]
    lake.sql("INSERT INTO numbers VALUES (4, 'd')")
    with pytest.raises(Exception, match="fast-forward"):
        call(lake, "fast_forward('numbers', 'main', 'audit')")


def test_a_table_begins_on_a_branch(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING)")
    lake.sql("ALTER TABLE numbers CREATE BRANCH first")
    lake.sql(f"INSERT INTO {lake}.numbers.branch_first VALUES (1, 'a')")

    assert lake.ids("numbers") == []
    assert lake.ids("numbers", "first") == [1]
    call(lake, "fast_forward('numbers', 'main', 'first')")
    assert lake.ids("numbers") == [1]
