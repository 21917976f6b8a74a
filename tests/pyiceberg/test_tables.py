"""The life of a table: create, load, list, rename, drop, purge, register."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField

from conftest import Connect
from tables import ALL_CITIES, BERGEN, CITIES, OSLO, TROMSO, append, cities, is_stored, rows, rows_of, stored_files


def test_a_new_table_is_empty_and_has_what_was_asked_for(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "city"))
    order = SortOrder(SortField(source_id=3, transform=IdentityTransform()))
    created = cities(catalog, namespace, partition_spec=spec, sort_order=order, properties={"owner": "ola", "n": 1})
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.metadata == created.metadata
    assert loaded.metadata_location == created.metadata_location
    assert is_stored(loaded, loaded.metadata_location)
    assert loaded.schema().as_struct() == CITIES.as_struct()
    assert [(field.source_id, field.name, str(field.transform)) for field in loaded.spec().fields] == [
        (2, "city", "identity")
    ]
    assert [(field.source_id, str(field.direction)) for field in loaded.sort_order().fields] == [(3, "ASC")]
    assert (loaded.properties["owner"], loaded.properties["n"]) == ("ola", "1")
    assert loaded.format_version == 2
    assert loaded.current_snapshot() is None
    assert rows(loaded) == []


def test_field_ids_are_assigned_afresh_at_creation(catalog: RestCatalog, namespace: str) -> None:
    schema = Schema(NestedField(70, "id", LongType(), required=True), NestedField(50, "other", LongType()))
    table = catalog.create_table((namespace, "t"), schema)
    assert [field.field_id for field in table.schema().fields] == [1, 2]
    assert table.metadata.last_column_id == 2
    append(table, [{"id": 1, "other": 10}])
    assert rows_of(catalog, (namespace, "t")) == [{"id": 1, "other": 10}]


def test_two_tables_never_share_a_location(catalog: RestCatalog, namespace: str) -> None:
    first, second = cities(catalog, namespace, "first"), cities(catalog, namespace, "second")
    append(first, [OSLO])
    append(second, [BERGEN])
    assert first.location() != second.location()
    assert set(stored_files(first)).isdisjoint(stored_files(second))
    assert rows_of(catalog, (namespace, "first")) == [OSLO]
    assert rows_of(catalog, (namespace, "second")) == [BERGEN]


def test_a_table_is_not_created_twice(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace), ALL_CITIES)
    with pytest.raises(TableAlreadyExistsError):
        cities(catalog, namespace)
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_create_if_not_exists_gives_the_table_that_is_there(catalog: RestCatalog, namespace: str) -> None:
    first = catalog.create_table_if_not_exists((namespace, "cities"), CITIES)
    append(first, ALL_CITIES)
    second = catalog.create_table_if_not_exists((namespace, "cities"), Schema(NestedField(1, "x", LongType())))
    assert second.metadata.table_uuid == first.metadata.table_uuid
    assert rows(second) == ALL_CITIES


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda catalog, name: catalog.load_table(name), id="load"),
        pytest.param(lambda catalog, name: catalog.drop_table(name), id="drop"),
        pytest.param(lambda catalog, name: catalog.purge_table(name), id="purge"),
        pytest.param(lambda catalog, name: catalog.rename_table(name, (*name[:-1], "other")), id="rename"),
    ],
)
def test_a_missing_table_is_reported_as_missing(catalog: RestCatalog, namespace: str, use) -> None:
    with pytest.raises(NoSuchTableError):
        use(catalog, (namespace, "missing"))
    with pytest.raises((NoSuchTableError, NoSuchNamespaceError)):
        use(catalog, (f"{namespace}_missing", "missing"))
    assert not catalog.table_exists((namespace, "missing"))
    assert not catalog.table_exists((f"{namespace}_missing", "missing"))
    assert catalog.list_tables(namespace) == []


def test_tables_are_listed_until_they_are_dropped(catalog: RestCatalog, namespace: str) -> None:
    for name in ("a", "b", "c"):
        cities(catalog, namespace, name)
    catalog.create_namespace((namespace, "child"))
    cities(catalog, (namespace, "child"), "d")
    assert sorted(catalog.list_tables(namespace)) == [(namespace, "a"), (namespace, "b"), (namespace, "c")]
    catalog.drop_table((namespace, "b"))
    assert sorted(catalog.list_tables(namespace)) == [(namespace, "a"), (namespace, "c")]
    assert catalog.list_tables((namespace, "child")) == [(namespace, "child", "d")]


def test_a_dropped_table_is_gone_but_its_files_are_not(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    before = stored_files(table)
    catalog.drop_table((namespace, "cities"))
    assert not catalog.table_exists((namespace, "cities"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((namespace, "cities"))
    assert any(path.endswith(".parquet") for path in before)
    assert stored_files(table) == before


def test_a_dropped_name_can_be_taken_by_another_table(catalog: RestCatalog, namespace: str) -> None:
    first = cities(catalog, namespace)
    append(first, ALL_CITIES)
    catalog.drop_table((namespace, "cities"))
    second = cities(catalog, namespace)
    assert second.metadata.table_uuid != first.metadata.table_uuid
    append(second, [OSLO])
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]


def test_a_purged_table_is_gone_and_its_name_and_location_are_free_at_once(
    catalog: RestCatalog, namespace: str
) -> None:
    table, neighbour = cities(catalog, namespace), cities(catalog, namespace, "neighbour")
    for row in ALL_CITIES:
        append(table, [row])
    append(neighbour, ALL_CITIES)
    files = stored_files(neighbour)
    table.delete("id = 2")
    catalog.purge_table((namespace, "cities"))
    assert not catalog.table_exists((namespace, "cities"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((namespace, "cities"))
    assert catalog.list_tables(namespace) == [(namespace, "neighbour")]
    again = cities(catalog, namespace, location=table.location())
    assert again.location() == table.location()
    assert again.metadata.table_uuid != table.metadata.table_uuid
    assert rows(again) == []
    append(again, [BERGEN])
    assert rows_of(catalog, (namespace, "cities")) == [BERGEN]
    assert stored_files(neighbour) == files
    assert rows_of(catalog, (namespace, "neighbour")) == ALL_CITIES


def test_renaming_a_table_moves_no_file(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    files = stored_files(table)
    renamed = catalog.rename_table((namespace, "cities"), (namespace, "towns"))
    assert renamed.location() == table.location()
    assert renamed.metadata.table_uuid == table.metadata.table_uuid
    assert stored_files(renamed) == files
    assert rows(renamed) == ALL_CITIES
    assert catalog.list_tables(namespace) == [(namespace, "towns")]
    assert not catalog.table_exists((namespace, "cities"))


def test_a_table_is_renamed_into_another_namespace_and_written_there(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "north"))
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN])
    renamed = catalog.rename_table((namespace, "cities"), (namespace, "north", "cities"))
    assert renamed.location() == table.location()
    append(renamed, [TROMSO])
    assert rows_of(catalog, (namespace, "north", "cities")) == [OSLO, BERGEN, TROMSO]
    assert catalog.list_tables(namespace) == []
    assert catalog.list_tables((namespace, "north")) == [(namespace, "north", "cities")]


def test_a_table_is_not_renamed_onto_another(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace, "first"), [OSLO])
    append(cities(catalog, namespace, "second"), [BERGEN])
    with pytest.raises(TableAlreadyExistsError):
        catalog.rename_table((namespace, "first"), (namespace, "second"))
    assert rows_of(catalog, (namespace, "first")) == [OSLO]
    assert rows_of(catalog, (namespace, "second")) == [BERGEN]


def test_a_table_is_not_renamed_into_a_missing_namespace(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace), [OSLO])
    with pytest.raises(NoSuchNamespaceError):
        catalog.rename_table((namespace, "cities"), (f"{namespace}_missing", "cities"))
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]


def test_a_name_freed_by_a_rename_can_be_taken_at_once(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace, "first"), [OSLO])
    catalog.rename_table((namespace, "first"), (namespace, "second"))
    append(cities(catalog, namespace, "first"), [BERGEN])
    assert rows_of(catalog, (namespace, "first")) == [BERGEN]
    assert rows_of(catalog, (namespace, "second")) == [OSLO]


def test_a_dropped_table_is_registered_again_with_the_same_rows(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    table.delete("id = 2")
    before = rows(table)
    catalog.drop_table((namespace, "cities"))
    registered = catalog.register_table((namespace, "again"), table.metadata_location)
    assert registered.metadata.table_uuid == table.metadata.table_uuid
    assert registered.location() == table.location()
    assert len(before) == 3
    assert rows_of(catalog, (namespace, "again")) == before
    append(registered, [BERGEN])
    assert rows_of(catalog, (namespace, "again")) == ALL_CITIES


def test_an_old_metadata_file_is_registered_with_the_rows_of_its_time(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO])
    old = table.metadata_location
    append(table, [BERGEN])
    assert rows(table) == [OSLO, BERGEN]
    catalog.drop_table((namespace, "cities"))
    assert rows(catalog.register_table((namespace, "cities"), old)) == [OSLO]
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]


def test_a_table_is_not_registered_under_a_name_that_is_taken(catalog: RestCatalog, namespace: str) -> None:
    dropped = cities(catalog, namespace, "dropped")
    append(dropped, [OSLO])
    catalog.drop_table((namespace, "dropped"))
    append(cities(catalog, namespace), [BERGEN])
    with pytest.raises(TableAlreadyExistsError):
        catalog.register_table((namespace, "cities"), dropped.metadata_location)
    assert rows_of(catalog, (namespace, "cities")) == [BERGEN]


def test_a_staged_table_appears_with_its_first_rows_when_it_is_committed(catalog: RestCatalog, namespace: str) -> None:
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"))
    transaction = catalog.create_table_transaction(
        (namespace, "cities"), CITIES, partition_spec=spec, properties={"owner": "kari"}
    )
    assert not catalog.table_exists((namespace, "cities"))
    assert catalog.list_tables(namespace) == []
    transaction.append(pa.Table.from_pylist(ALL_CITIES, schema=CITIES.as_arrow()))
    transaction.set_properties(extra="yes")
    assert not catalog.table_exists((namespace, "cities"))
    transaction.commit_transaction()
    table = catalog.load_table((namespace, "cities"))
    assert rows(table) == ALL_CITIES
    assert [(field.name, str(field.transform)) for field in table.spec().fields] == [("id_bucket", "bucket[4]")]
    assert (table.properties["owner"], table.properties["extra"]) == ("kari", "yes")
    assert len(table.snapshots()) == 1


def test_a_staged_table_which_is_abandoned_leaves_the_name_free(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_table_transaction((namespace, "cities"), CITIES)
    append(cities(catalog, namespace), ALL_CITIES)
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_of_two_staged_tables_of_one_name_only_the_first_is_created(
    catalog: RestCatalog, connect: Connect, namespace: str
) -> None:
    first = catalog.create_table_transaction((namespace, "cities"), CITIES)
    second = connect().create_table_transaction((namespace, "cities"), CITIES)
    first.append(pa.Table.from_pylist([OSLO], schema=CITIES.as_arrow()))
    second.append(pa.Table.from_pylist([BERGEN], schema=CITIES.as_arrow()))
    first.commit_transaction()
    with pytest.raises(CommitFailedException):
        second.commit_transaction()
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "with.dot",
        "with/slash",
        "per%cent",
        "plus+and&more",
        "quote'\"",
        "UPPER lower",
        "blåbærsyltetøy",
        "雪",
        "🏔",
    ],
)
def test_a_table_name_may_hold_any_character(catalog: RestCatalog, namespace: str, name: str) -> None:
    table = cities(catalog, namespace, name)
    append(table, [OSLO, BERGEN])
    assert catalog.table_exists((namespace, name))
    assert catalog.list_tables(namespace) == [(namespace, name)]
    assert rows_of(catalog, (namespace, name)) == [OSLO, BERGEN]
    renamed = catalog.rename_table((namespace, name), (namespace, f"{name} 2"))
    append(renamed, [TROMSO])
    assert rows_of(catalog, (namespace, f"{name} 2")) == [OSLO, BERGEN, TROMSO]
    catalog.drop_table((namespace, f"{name} 2"))
    assert catalog.list_tables(namespace) == []


def test_table_names_that_differ_only_in_case_are_different(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace, "Cities"), [OSLO])
    append(cities(catalog, namespace, "cities"), [BERGEN])
    assert rows_of(catalog, (namespace, "Cities")) == [OSLO]
    assert rows_of(catalog, (namespace, "cities")) == [BERGEN]


def test_properties_are_set_and_removed(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace, properties={"keep": "1", "change": "1", "remove": "1"})
    append(table, ALL_CITIES)
    with table.transaction() as transaction:
        transaction.set_properties({"change": "2", "new": "æøå"})
        transaction.remove_properties("remove")
    properties = catalog.load_table((namespace, "cities")).properties
    wanted = {"keep": "1", "change": "2", "new": "æøå", "remove": None}
    assert {key: properties.get(key) for key in wanted} == wanted
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_many_changes_in_one_transaction_are_one_commit(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    versions = len(table.metadata.metadata_log)
    with table.transaction() as transaction:
        with transaction.update_schema() as schema:
            schema.add_column("area", LongType())
        transaction.set_properties(owner="kari")
        wider = pa.schema([*CITIES.as_arrow(), pa.field("area", pa.int64())])
        transaction.append(pa.Table.from_pylist([{**OSLO, "area": 454}], schema=wider))
    loaded = catalog.load_table((namespace, "cities"))
    assert rows(loaded) == [{**OSLO, "area": 454}]
    assert loaded.properties["owner"] == "kari"
    assert len(loaded.metadata.metadata_log) == versions + 1


def test_metadata_files_are_written_once_and_logged(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    locations = [table.metadata_location]
    for row in ALL_CITIES:
        append(table, [row])
        locations.append(table.metadata_location)
    loaded = catalog.load_table((namespace, "cities"))
    assert len(set(locations)) == 5
    assert loaded.metadata_location == locations[-1]
    assert [entry.metadata_file for entry in loaded.metadata.metadata_log] == locations[:-1]
    assert all(is_stored(loaded, location) for location in locations)
    assert rows(loaded) == ALL_CITIES


def test_the_metadata_log_is_no_longer_than_its_property_says(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace, properties={"write.metadata.previous-versions-max": "3"})
    locations = [table.metadata_location]
    for number in range(6):
        append(table, [{**OSLO, "id": number}])
        locations.append(table.metadata_location)
    loaded = catalog.load_table((namespace, "cities"))
    assert [entry.metadata_file for entry in loaded.metadata.metadata_log] == locations[-4:-1]
    assert all(is_stored(loaded, location) for location in locations)
    assert [row["id"] for row in rows(loaded)] == list(range(6))


def test_old_metadata_files_are_deleted_after_commit_when_asked_for(catalog: RestCatalog, namespace: str) -> None:
    table = cities(
        catalog,
        namespace,
        properties={"write.metadata.previous-versions-max": "2", "write.metadata.delete-after-commit.enabled": "true"},
    )
    locations = [table.metadata_location]
    for number in range(6):
        append(table, [{**OSLO, "id": number}])
        locations.append(table.metadata_location)
    loaded = catalog.load_table((namespace, "cities"))
    assert [entry.metadata_file for entry in loaded.metadata.metadata_log] == locations[-3:-1]
    assert [is_stored(loaded, location) for location in locations] == [False] * 4 + [True] * 3
    assert [row["id"] for row in rows(loaded)] == list(range(6))


def test_an_explicit_location_below_the_warehouse_is_used(catalog: RestCatalog, namespace: str) -> None:
    root = cities(catalog, namespace, "probe").location()
    wanted = f"{root}-elsewhere"
    table = cities(catalog, namespace, location=wanted)
    append(table, ALL_CITIES)
    assert table.location() == wanted
    assert any(path.endswith(".parquet") for path in stored_files(table))
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES
