"""The procedures that keep a table in order: expiry, compaction, orphans, files that are taken in."""

from __future__ import annotations

import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lake import Lake, on_both_stores


def table(lake: Lake, commits: int = 4) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING) TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    for number in range(commits):
        lake.sql(f"INSERT INTO numbers SELECT id, concat('w', id) FROM range({number * 5}, {number * 5 + 5}, 1, 1)")


def call(lake: Lake, procedure: str) -> dict[str, object]:
    (answer,) = lake.sql(f"CALL {lake.name}.system.{procedure}")
    return answer


@on_both_stores
def test_expired_snapshots_are_gone_and_the_rows_stay(lake: Lake) -> None:
    table(lake)
    lake.sql("DELETE FROM numbers WHERE id < 10")
    lake.sql("ALTER TABLE numbers CREATE TAG kept AS OF VERSION " + str(lake.snapshots("numbers")[0]))
    call(lake, "rewrite_data_files(table => 'numbers', options => map('rewrite-all', 'true'))")
    kept, *_, current = lake.snapshots("numbers")

    answer = call(lake, "expire_snapshots(table => 'numbers', older_than => TIMESTAMP'2100-01-01 00:00:00', retain_last => 1)")
    assert answer["deleted_data_files_count"] == 3
    assert answer["deleted_manifest_lists_count"] == 4
    assert lake.snapshots("numbers") == [kept, current]
    assert lake.ids("numbers") == list(range(10, 20))
    assert lake.ids("numbers", "kept") == list(range(5))


def test_a_snapshot_is_expired_by_its_id_and_one_that_a_branch_needs_is_not(lake: Lake) -> None:
    table(lake)
    first, second, third, fourth = lake.snapshots("numbers")
    call(lake, f"expire_snapshots(table => 'numbers', snapshot_ids => ARRAY({second}))")
    assert lake.snapshots("numbers") == [first, third, fourth]
    with pytest.raises(Exception, match=f"Cannot expire {fourth}. Still referenced by refs: .main."):
        call(lake, f"expire_snapshots(table => 'numbers', snapshot_ids => ARRAY({fourth}))")
    assert lake.ids("numbers") == list(range(20))
    assert lake.ids("numbers", third) == list(range(15))


@on_both_stores
def test_small_files_become_one_and_deletes_are_applied(lake: Lake) -> None:
    table(lake)
    lake.sql("DELETE FROM numbers WHERE id IN (1, 6)")
    # A delete file goes when all data files are younger than it is.
    lake.sql("INSERT INTO numbers VALUES (20, 'w20')")
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.data_files") == 5
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.delete_files") == 2
    before = lake.rows("numbers")

    answer = call(
        lake,
        "rewrite_data_files(table => 'numbers', options => map('rewrite-all', 'true', 'remove-dangling-deletes', 'true'))",
    )
    assert answer["added_data_files_count"] == 1
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.data_files") == 1
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.delete_files") == 0
    assert lake.rows("numbers") == before


def test_files_are_rewritten_in_an_order_and_for_a_part_of_the_rows(lake: Lake) -> None:
    table(lake)
    rewrite = "rewrite_data_files(table => 'numbers', options => map('rewrite-all', 'true'), strategy => 'sort'"
    call(lake, f"{rewrite}, sort_order => 'id DESC')")
    assert [row["id"] for row in lake.sql("SELECT id FROM numbers")] == list(range(19, -1, -1))
    call(lake, f"{rewrite}, sort_order => 'zorder(id, word)')")
    assert lake.ids("numbers") == list(range(20))


def test_position_deletes_are_compacted(lake: Lake) -> None:
    lake.sql(
        """CREATE TABLE numbers (id BIGINT)
        TBLPROPERTIES ('write.delete.mode' = 'merge-on-read', 'write.delete.granularity' = 'partition')"""
    )
    lake.sql("INSERT INTO numbers SELECT /*+ COALESCE(1) */ id FROM range(20)")
    for number in (3, 7, 11):
        lake.sql(f"DELETE FROM numbers WHERE id = {number}")
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.delete_files") == 3
    answer = call(lake, "rewrite_position_delete_files(table => 'numbers', options => map('rewrite-all', 'true'))")
    assert (answer["rewritten_delete_files_count"], answer["added_delete_files_count"]) == (3, 1)
    assert lake.ids("numbers") == [n for n in range(20) if n not in (3, 7, 11)]


@on_both_stores
def test_manifests_become_one(lake: Lake) -> None:
    table(lake)
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.manifests") == 4
    answer = call(lake, "rewrite_manifests('numbers')")
    assert answer == {"rewritten_manifests_count": 4, "added_manifests_count": 1}
    assert lake.one(f"SELECT count(*) FROM {lake}.numbers.manifests") == 1
    assert lake.ids("numbers") == list(range(20))


def test_orphans_are_found_and_only_removed_when_that_is_asked_for(lake: Lake) -> None:
    table(lake)
    location = Path(urlsplit(lake.load("numbers").location()).path)
    orphan = location / "data" / "orphan.parquet"
    orphan.write_bytes(b"nobody's")
    removal = "remove_orphan_files(table => 'numbers'"
    assert lake.sql(f"CALL nunatak.system.{removal}, dry_run => true)") == []
    # What is younger than three days is left alone: someone may be about to commit it.
    week_ago = time.time() - 7 * 24 * 60 * 60
    for file in location.rglob("*"):
        os.utime(file, (week_ago, week_ago))

    # Nothing that the catalog itself wrote, metadata files included, may count as an orphan.
    found = lake.sql(f"CALL nunatak.system.{removal}, dry_run => true)")
    assert [urlsplit(str(row["orphan_file_location"])).path for row in found] == [str(orphan)]
    assert orphan.is_file()
    lake.sql(f"CALL nunatak.system.{removal})")
    assert not orphan.exists()
    assert lake.ids("numbers") == list(range(20))
    lake.sql("INSERT INTO numbers VALUES (20, 'w20')")
    assert lake.ids("numbers") == list(range(21))


def test_files_of_others_are_added_to_a_table(lake: Lake, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    plain = tmp_path / "plain"
    lake.spark.sql("SELECT id, concat('w', id) AS word, CAST(id % 2 AS INT) AS part FROM range(10)").write.partitionBy(
        "part"
    ).parquet(str(plain))
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING, part INT) PARTITIONED BY (part)")

    source = f"source_table => '`parquet`.`{plain}`', partition_filter => map('part', '1')"
    answer = call(lake, f"add_files(table => 'numbers', {source})")
    assert answer["added_files_count"] == lake.one(f"SELECT count(*) FROM {lake}.numbers.files")
    assert {urlsplit(row["file_path"]).path for row in lake.sql(f"SELECT file_path FROM {lake}.numbers.files")} == {
        str(file) for file in (plain / "part=1").glob("*.parquet")
    }
    assert lake.rows("numbers") == [{"id": n, "word": f"w{n}", "part": 1} for n in (1, 3, 5, 7, 9)]
    assert "schema.name-mapping.default" in lake.load("numbers").properties


def test_a_table_that_is_not_icebergs_is_taken_over_as_a_snapshot_of_it(lake: Lake) -> None:
    source = f"spark_catalog.default.plain_{lake.namespace}"
    lake.sql(f"CREATE TABLE {source} USING parquet PARTITIONED BY (part) AS SELECT id, CAST(id % 3 AS INT) AS part FROM range(9)")
    try:
        assert call(lake, f"snapshot('{source}', '{lake.namespace}.taken')")["imported_files_count"] > 0
        assert lake.ids("taken") == list(range(9))
        lake.sql("INSERT INTO taken VALUES (9, 0)")
        lake.sql("DELETE FROM taken WHERE id = 1")
        assert lake.ids("taken") == [0, 2, 3, 4, 5, 6, 7, 8, 9]
        # The table that it was taken from is as it was.
        assert lake.one(f"SELECT count(*) FROM {source}") == 9
    finally:
        # Its files are still the source's, which takes them along.
        lake.sql("DROP TABLE taken")
        lake.sql(f"DROP TABLE {source}")


@on_both_stores
def test_a_table_that_was_dropped_is_registered_by_its_metadata(lake: Lake) -> None:
    table(lake)
    dropped = lake.load("numbers")
    lake.sql("DROP TABLE numbers")
    answer = call(lake, f"register_table('{lake.namespace}.again', '{dropped.metadata_location}')")

    snapshot = dropped.current_snapshot()
    assert (answer["current_snapshot_id"], answer["total_records_count"]) == (snapshot.snapshot_id, 20)
    assert lake.load("again").metadata.table_uuid == dropped.metadata.table_uuid
    lake.sql("INSERT INTO again VALUES (20, 'w20')")
    assert lake.ids("again") == list(range(21))
    with pytest.raises(Exception, match="(?i)already exists"):
        call(lake, f"register_table('{lake.namespace}.again', '{dropped.metadata_location}')")


def test_statistics_are_computed_and_kept_with_the_table(lake: Lake) -> None:
    table(lake)
    call(lake, "compute_table_stats(table => 'numbers', columns => array('id'))")
    (statistics,) = lake.load("numbers").metadata.statistics
    assert statistics.snapshot_id == lake.current("numbers")
    assert [blob.type for blob in statistics.blob_metadata] == ["apache-datasketches-theta-v1"]
    assert statistics.blob_metadata[0].properties["ndv"] == "20"

    assert lake.ids("numbers") == list(range(20))
