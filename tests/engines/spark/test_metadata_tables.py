"""What a table tells about itself in Spark, and that PyIceberg tells the same."""

from __future__ import annotations

import pytest

from lake import Lake, ordered


def changed(lake: Lake) -> None:
    """A table with two partitions, three snapshots, a delete file and a tag."""
    lake.sql(
        """CREATE TABLE cities (id BIGINT, country STRING) PARTITIONED BY (country)
        TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')"""
    )
    lake.sql("INSERT INTO cities SELECT /*+ COALESCE(1) */ * FROM VALUES (1, 'no'), (2, 'no'), (3, 'se')")
    lake.sql("INSERT INTO cities VALUES (4, 'se')")
    lake.sql("DELETE FROM cities WHERE id = 1")
    lake.sql("ALTER TABLE cities CREATE TAG done")


def metadata(lake: Lake, name: str, columns: str = "*") -> list[dict[str, object]]:
    return lake.sql(f"SELECT {columns} FROM {lake}.cities.{name}")


def test_snapshots_and_history(lake: Lake) -> None:
    changed(lake)
    snapshots = lake.sql(f"SELECT * FROM {lake}.cities.snapshots ORDER BY committed_at")
    assert [row["operation"] for row in snapshots] == ["append", "append", "delete"]
    assert [row["parent_id"] for row in snapshots] == [None, *(row["snapshot_id"] for row in snapshots[:2])]
    assert dict(snapshots[1]["summary"])["added-records"] == "1"
    of_pyiceberg = lake.load("cities").inspect.snapshots().to_pylist()
    assert [row["snapshot_id"] for row in snapshots] == [row["snapshot_id"] for row in of_pyiceberg]
    assert [row["manifest_list"] for row in snapshots] == [row["manifest_list"] for row in of_pyiceberg]

    history = metadata(lake, "history")
    assert [row["snapshot_id"] for row in history] == [row["snapshot_id"] for row in snapshots]
    assert all(row["is_current_ancestor"] for row in history)
    log = metadata(lake, "metadata_log_entries", "file, latest_snapshot_id")
    # One for the creation, for each snapshot, and for the tag.
    assert len(log) == 5
    assert log[-1]["file"] == lake.load("cities").metadata_location


def test_files_manifests_and_entries(lake: Lake) -> None:
    changed(lake)
    files = metadata(lake, "files", "content, file_path, record_count, partition")
    assert sorted((row["content"], row["partition"]["country"], row["record_count"]) for row in files) == [
        (0, "no", 2),
        (0, "se", 1),
        (0, "se", 1),
        (1, "no", 1),
    ]
    of_pyiceberg = lake.load("cities").inspect.files().to_pylist()
    assert {row["file_path"] for row in files} == {row["file_path"] for row in of_pyiceberg}
    assert {row["file_path"] for row in metadata(lake, "data_files", "file_path")} == {
        row["file_path"] for row in files if row["content"] == 0
    }
    manifests = metadata(lake, "manifests", "path, content, added_data_files_count, added_delete_files_count")
    assert sorted(row["content"] for row in manifests) == [0, 0, 1]
    assert {row["path"] for row in manifests} == {row["path"] for row in lake.load("cities").inspect.manifests().to_pylist()}
    assert len(metadata(lake, "entries", "status")) == 4
    assert len(metadata(lake, "all_entries", "status")) >= 4
    assert len(metadata(lake, "all_data_files", "file_path")) >= 3
    assert len(metadata(lake, "all_manifests", "path")) >= 3


def test_partitions_references_and_positions(lake: Lake) -> None:
    changed(lake)
    partitions = metadata(lake, "partitions", "partition, record_count, file_count, position_delete_record_count")
    assert ordered(partitions) == [
        {"partition": {"country": "no"}, "record_count": 2, "file_count": 1, "position_delete_record_count": 1},
        {"partition": {"country": "se"}, "record_count": 2, "file_count": 2, "position_delete_record_count": 0},
    ]
    references = metadata(lake, "refs", "name, type, snapshot_id")
    current = lake.current("cities")
    assert ordered(references) == [
        {"name": "done", "type": "TAG", "snapshot_id": current},
        {"name": "main", "type": "BRANCH", "snapshot_id": current},
    ]
    deletes = metadata(lake, "position_deletes", "pos")
    assert len(deletes) == 1


@pytest.mark.parametrize("name", ["snapshots", "history", "files", "manifests", "partitions", "refs", "entries"])
def test_an_empty_table_has_empty_metadata(lake: Lake, name: str) -> None:
    lake.sql("CREATE TABLE cities (id BIGINT)")
    assert lake.sql(f"SELECT * FROM {lake}.cities.{name}") == []


def test_hidden_columns_say_where_a_row_is(lake: Lake) -> None:
    changed(lake)
    rows = lake.sql("SELECT id, _file, _pos, _spec_id, _partition.country AS part FROM cities ORDER BY id")
    assert [(row["id"], row["part"], row["_spec_id"]) for row in rows] == [(2, "no", 0), (3, "se", 0), (4, "se", 0)]
    files = {row["file_path"] for row in metadata(lake, "files", "file_path, content") if row["content"] == 0}
    assert {row["_file"] for row in rows} == files
    assert rows[0]["_pos"] == 1
