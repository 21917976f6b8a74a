"""Snapshots: time travel, tags, branches, roll-back, expiry and statistics."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import ValidationException
from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.statistics import BlobMetadata, StatisticsFile

from tables import ALL_CITIES, BERGEN, NOWHERE, OSLO, TROMSO, append, arrow, cities, ids, rows, rows_of


@pytest.fixture
def history(catalog: RestCatalog, namespace: str) -> tuple[Table, list[int]]:
    """A table which got the four cities one by one, and its snapshots' ids."""
    table = cities(catalog, namespace)
    snapshots = []
    for row in ALL_CITIES:
        append(table, [row])
        snapshots.append(table.current_snapshot().snapshot_id)
        time.sleep(0.005)  # so that no two snapshots have the same millisecond
    return table, snapshots


def reload(catalog: RestCatalog, table: Table) -> Table:
    return catalog.load_table(table.name())


def test_every_snapshot_is_read_as_it_was(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    table.delete("id = 1")
    loaded = reload(catalog, table)
    for number, snapshot in enumerate(snapshots, start=1):
        assert rows(loaded, snapshot_id=snapshot) == ALL_CITIES[:number]
    assert rows(loaded) == ALL_CITIES[1:]
    assert [entry.snapshot_id for entry in loaded.history()][:4] == snapshots


def test_snapshots_form_a_chain_with_growing_sequence_numbers(
    catalog: RestCatalog, history: tuple[Table, list[int]]
) -> None:
    table, snapshots = history
    loaded = reload(catalog, table)
    found = [loaded.snapshot_by_id(snapshot) for snapshot in snapshots]
    assert [snapshot.parent_snapshot_id for snapshot in found] == [None, *snapshots[:-1]]
    assert [snapshot.sequence_number for snapshot in found] == [1, 2, 3, 4]
    assert loaded.last_sequence_number == 4
    assert rows(loaded) == ALL_CITIES


def test_the_table_is_read_as_of_a_time(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    loaded = reload(catalog, table)
    at = loaded.snapshot_by_id(snapshots[1]).timestamp_ms
    snapshot = loaded.snapshot_as_of_timestamp(at)
    assert snapshot.snapshot_id == snapshots[1]
    assert rows(loaded, snapshot_id=snapshot.snapshot_id) == [OSLO, BERGEN]
    assert loaded.snapshot_as_of_timestamp(at, inclusive=False).snapshot_id == snapshots[0]
    assert loaded.snapshot_as_of_timestamp(1) is None


def test_an_old_snapshot_is_read_with_the_schema_of_its_time(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    first = table.current_snapshot().snapshot_id
    with table.update_schema() as schema:
        schema.rename_column("city", "name")
    append(table, [{"id": 2, "name": "Bergen", "people": 291}])
    loaded = reload(catalog, table)
    assert rows(loaded, snapshot_id=first) == [OSLO]
    assert ids(rows(loaded)) == [1, 2]


def test_an_incremental_scan_gives_the_rows_appended_between_two_snapshots(
    catalog: RestCatalog, history: tuple[Table, list[int]]
) -> None:
    table, snapshots = history
    scan = (
        reload(catalog, table)
        .incremental_append_scan()
        .from_snapshot_id_exclusive(snapshots[0])
        .to_snapshot_id_inclusive(snapshots[2])
    )
    assert sorted(scan.to_arrow().to_pylist(), key=lambda row: row["id"]) == [BERGEN, TROMSO]


def test_a_tag_keeps_showing_its_snapshot(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_tag(snapshots[1], "eoy/2024", max_ref_age_ms=86_400_000)
    append(table, [{**OSLO, "id": 5}])
    loaded = reload(catalog, table)
    tag = loaded.refs()["eoy/2024"]
    assert (tag.snapshot_id, tag.snapshot_ref_type, tag.max_ref_age_ms) == (
        snapshots[1],
        SnapshotRefType.TAG,
        86_400_000,
    )
    assert loaded.scan().use_ref("eoy/2024").to_arrow().num_rows == 2
    assert rows(loaded, snapshot_id=tag.snapshot_id) == [OSLO, BERGEN]
    with table.manage_snapshots() as manage:
        manage.remove_tag("eoy/2024")
    loaded = reload(catalog, table)
    assert list(loaded.refs()) == ["main"]
    assert rows(loaded) == [*ALL_CITIES, {**OSLO, "id": 5}]


def test_a_branch_is_written_without_touching_main(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_branch(
            snapshots[1], "audit", max_ref_age_ms=86_400_000, max_snapshot_age_ms=3_600_000, min_snapshots_to_keep=2
        )
    branch = reload(catalog, table).refs()["audit"]
    assert (branch.snapshot_id, branch.snapshot_ref_type) == (snapshots[1], SnapshotRefType.BRANCH)
    assert (branch.max_ref_age_ms, branch.max_snapshot_age_ms, branch.min_snapshots_to_keep) == (
        86_400_000,
        3_600_000,
        2,
    )
    append(table, [{**OSLO, "id": 50}], branch="audit")
    table.delete("id = 1", branch="audit")
    loaded = reload(catalog, table)
    assert sorted(loaded.scan().use_ref("audit").to_arrow()["id"].to_pylist()) == [2, 50]
    assert rows(loaded) == ALL_CITIES
    assert loaded.current_snapshot().snapshot_id == snapshots[3]


def test_a_branch_is_overwritten_and_main_is_not(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_branch(snapshots[3], "work")
    table.overwrite(arrow(table, [{**OSLO, "id": 60}]), branch="work")
    loaded = reload(catalog, table)
    assert loaded.scan().use_ref("work").to_arrow()["id"].to_pylist() == [60]
    assert rows(loaded) == ALL_CITIES


def test_a_branch_is_published_and_removed(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_branch(snapshots[3], "audit")
    append(table, [{**OSLO, "id": 5}], branch="audit")
    with table.manage_snapshots() as manage:
        manage.set_current_snapshot(ref_name="audit")
    assert rows_of(catalog, table.name()) == [*ALL_CITIES, {**OSLO, "id": 5}]
    with table.manage_snapshots() as manage:
        manage.remove_branch("audit")
    loaded = reload(catalog, table)
    assert list(loaded.refs()) == ["main"]
    assert rows(loaded) == [*ALL_CITIES, {**OSLO, "id": 5}]


def test_a_tag_is_no_branch_to_write_to(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_tag(snapshots[0], "first")
    with pytest.raises(ValueError, match="tag"):
        append(table, [OSLO], branch="first")
    assert rows_of(catalog, table.name()) == ALL_CITIES


def test_a_table_is_rolled_back_to_a_snapshot(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.rollback_to_snapshot(snapshots[1])
    assert rows_of(catalog, table.name()) == [OSLO, BERGEN]
    append(table, [NOWHERE])
    loaded = reload(catalog, table)
    assert rows(loaded) == [OSLO, BERGEN, NOWHERE]
    assert loaded.current_snapshot().parent_snapshot_id == snapshots[1]
    assert rows(loaded, snapshot_id=snapshots[3]) == ALL_CITIES


def test_a_table_is_rolled_back_to_a_time(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    after_third = table.snapshot_by_id(snapshots[2]).timestamp_ms + 1
    with table.manage_snapshots() as manage:
        manage.rollback_to_timestamp(after_third)
    assert rows_of(catalog, table.name()) == ALL_CITIES[:3]


def test_the_current_snapshot_is_set_to_any_other(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    for snapshot, expected in ((snapshots[0], 1), (snapshots[3], 4), (snapshots[2], 3)):
        with table.manage_snapshots() as manage:
            manage.set_current_snapshot(snapshot_id=snapshot)
        assert rows_of(catalog, table.name()) == ALL_CITIES[:expected]


def test_several_references_change_in_one_commit(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    before = len(table.metadata.metadata_log)
    with table.manage_snapshots() as manage:
        manage.create_tag(snapshots[0], "one").create_tag(snapshots[1], "two").create_branch(snapshots[2], "three")
    loaded = reload(catalog, table)
    assert {name: ref.snapshot_id for name, ref in loaded.refs().items()} == {
        "one": snapshots[0],
        "two": snapshots[1],
        "three": snapshots[2],
        "main": snapshots[3],
    }
    assert len(loaded.metadata.metadata_log) == before + 1
    assert loaded.scan().use_ref("three").to_arrow().num_rows == 3


def test_expired_snapshots_are_gone_and_the_rows_are_not(
    catalog: RestCatalog, history: tuple[Table, list[int]]
) -> None:
    table, snapshots = history
    table.maintenance.expire_snapshots().by_ids(snapshots[:2]).commit()
    loaded = reload(catalog, table)
    assert sorted(snapshot.snapshot_id for snapshot in loaded.snapshots()) == sorted(snapshots[2:])
    assert {entry.snapshot_id for entry in loaded.history()} == set(snapshots[2:])
    assert rows(loaded) == ALL_CITIES
    assert rows(loaded, snapshot_id=snapshots[2]) == ALL_CITIES[:3]


def test_expiry_by_age_spares_what_a_reference_protects(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with table.manage_snapshots() as manage:
        manage.create_tag(snapshots[1], "keep")
    table.maintenance.expire_snapshots().older_than(dt.datetime.now() + dt.timedelta(days=1)).commit()
    loaded = reload(catalog, table)
    assert sorted(snapshot.snapshot_id for snapshot in loaded.snapshots()) == sorted([snapshots[1], snapshots[3]])
    assert rows(loaded) == ALL_CITIES
    assert loaded.scan().use_ref("keep").to_arrow().num_rows == 2


def test_a_protected_snapshot_is_not_expired(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    with pytest.raises(ValueError, match="protected"):
        table.maintenance.expire_snapshots().by_id(snapshots[3])
    assert rows_of(catalog, table.name()) == ALL_CITIES


def test_statistics_are_attached_to_a_snapshot_and_removed(
    catalog: RestCatalog, history: tuple[Table, list[int]]
) -> None:
    table, snapshots = history
    statistics = StatisticsFile(
        snapshot_id=snapshots[3],
        statistics_path=f"{table.location()}/metadata/cities.puffin",
        file_size_in_bytes=413,
        file_footer_size_in_bytes=42,
        blob_metadata=[
            BlobMetadata(
                type="apache-datasketches-theta-v1",
                snapshot_id=snapshots[3],
                sequence_number=4,
                fields=[1],
                properties={"ndv": "4"},
            )
        ],
    )
    with table.update_statistics() as update:
        update.set_statistics(statistics)
    assert reload(catalog, table).metadata.statistics == [statistics]
    with table.update_statistics() as update:
        update.remove_statistics(snapshots[3])
    loaded = reload(catalog, table)
    assert loaded.metadata.statistics == []
    assert rows(loaded) == ALL_CITIES


def test_the_metadata_tables_tell_what_happened(catalog: RestCatalog, history: tuple[Table, list[int]]) -> None:
    table, snapshots = history
    table.delete("id = 1")
    inspect = reload(catalog, table).inspect
    assert inspect.snapshots()["operation"].to_pylist() == ["append"] * 4 + ["delete"]
    assert inspect.history()["snapshot_id"].to_pylist()[:4] == snapshots
    assert inspect.refs()["name"].to_pylist() == ["main"]
    assert sum(inspect.files()["record_count"].to_pylist()) == 3
    assert len(inspect.metadata_log_entries()) == 6
    assert inspect.manifests()["added_data_files_count"].to_pylist().count(1) == 3


def test_a_delete_that_meets_rows_added_meanwhile_is_refused(
    catalog: RestCatalog, history: tuple[Table, list[int]]
) -> None:
    table, _ = history
    stale = reload(catalog, table)
    append(table, [{**OSLO, "id": 5}])
    with pytest.raises(ValidationException):
        stale.delete("id >= 1")
    assert rows_of(catalog, table.name()) == [*ALL_CITIES, {**OSLO, "id": 5}]
