"""Write, audit, publish: rows are staged, looked at, and only then made part of the table."""

from __future__ import annotations

import pytest

from lake import Lake, on_both_stores


def table(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT) TBLPROPERTIES ('write.wap.enabled' = 'true')")
    lake.sql("INSERT INTO numbers VALUES (1)")


@on_both_stores
def test_rows_that_are_staged_under_an_id_show_when_they_are_published(lake: Lake) -> None:
    table(lake)
    with lake.conf({"spark.wap.id": "load-7"}):
        lake.sql("INSERT INTO numbers VALUES (2), (3)")
    staged = lake.one(f"SELECT snapshot_id FROM {lake}.numbers.snapshots WHERE summary['wap.id'] = 'load-7'")
    assert lake.ids("numbers") == [1]
    assert lake.ids("numbers", staged) == [1, 2, 3]

    lake.sql("INSERT INTO numbers VALUES (4)")
    lake.sql(f"CALL {lake.name}.system.publish_changes('numbers', 'load-7')")
    assert lake.ids("numbers") == [1, 2, 3, 4]
    with pytest.raises(Exception, match="Duplicate request to cherry pick wap id that was published already: load-7"):
        lake.sql(f"CALL {lake.name}.system.publish_changes('numbers', 'load-7')")
    with pytest.raises(Exception, match="unknown WAP ID"):
        lake.sql(f"CALL {lake.name}.system.publish_changes('numbers', 'load-8')")


@on_both_stores
def test_rows_that_are_staged_on_a_branch_show_when_main_is_forwarded_to_it(lake: Lake) -> None:
    table(lake)
    lake.sql("ALTER TABLE numbers CREATE BRANCH staging")
    with lake.conf({"spark.wap.branch": "staging"}):
        lake.sql("INSERT INTO numbers VALUES (2), (3)")
        lake.sql("DELETE FROM numbers WHERE id = 1")
        # This session reads what it has staged.
        assert lake.sql("SELECT id FROM numbers ORDER BY id") == [{"id": 2}, {"id": 3}]

    assert lake.ids("numbers") == [1]
    assert lake.ids("numbers", "staging") == [2, 3]
    lake.sql(f"CALL {lake.name}.system.fast_forward('numbers', 'main', 'staging')")
    assert lake.ids("numbers") == [2, 3]
    lake.sql("ALTER TABLE numbers DROP BRANCH staging")
    assert lake.ids("numbers") == [2, 3]
