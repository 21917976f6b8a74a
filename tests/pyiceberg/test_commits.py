"""Two clients at one table: who is first wins, and nobody's rows get lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException, RESTError
from pyiceberg.table import Table
from pyiceberg.table.update import (
    AssertCurrentSchemaId,
    AssertDefaultSortOrderId,
    AssertDefaultSpecId,
    AssertLastAssignedFieldId,
    AssertLastAssignedPartitionId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetPropertiesUpdate,
    TableRequirement,
)
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import StringType

from conftest import Connect
from tables import ALL_CITIES, BERGEN, NOWHERE, OSLO, TROMSO, append, cities, ids, rows, rows_of

NO_RETRY = {"commit.retry.num-retries": "0"}


@pytest.fixture
def other(connect: Connect) -> RestCatalog:
    """A second client of the same warehouse."""
    return connect()


def test_a_second_client_sees_every_commit_at_once(catalog: RestCatalog, other: RestCatalog, namespace: str) -> None:
    mine = cities(catalog, namespace)
    theirs = other.load_table((namespace, "cities"))
    for number, row in enumerate(ALL_CITIES):
        append(mine if number % 2 else theirs, [row])
        mine.refresh()
        theirs.refresh()
        assert rows(mine) == rows(theirs) == ALL_CITIES[: number + 1]


def test_a_stale_append_without_retries_fails_and_adds_nothing(
    catalog: RestCatalog, other: RestCatalog, namespace: str
) -> None:
    mine = cities(catalog, namespace, properties=NO_RETRY)
    stale = other.load_table((namespace, "cities"))
    append(mine, [OSLO])
    with pytest.raises(CommitFailedException):
        append(stale, [BERGEN])
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]
    stale.refresh()
    append(stale, [BERGEN])
    assert rows_of(catalog, (namespace, "cities")) == [OSLO, BERGEN]


def test_a_stale_append_is_retried_onto_the_new_state(catalog: RestCatalog, other: RestCatalog, namespace: str) -> None:
    mine = cities(catalog, namespace)
    stale = other.load_table((namespace, "cities"))
    append(mine, [OSLO])
    append(stale, [BERGEN])
    loaded = catalog.load_table((namespace, "cities"))
    assert rows(loaded) == [OSLO, BERGEN]
    assert loaded.current_snapshot().parent_snapshot_id == mine.current_snapshot().snapshot_id


def add_column(table: Table) -> None:
    with table.update_schema() as schema:
        schema.add_column("extra", StringType())


def add_partition(table: Table) -> None:
    with table.update_spec() as spec:
        spec.add_field("city", IdentityTransform(), "by_city")


def sort(table: Table) -> None:
    with table.update_sort_order() as order:
        order.asc("city", IdentityTransform())


def tag(table: Table) -> None:
    with table.manage_snapshots() as manage:
        manage.create_tag(table.current_snapshot().snapshot_id, "tag")


@pytest.mark.parametrize("change", [add_column, add_partition, sort, tag], ids=lambda change: change.__name__)
def test_of_two_equal_changes_to_the_metadata_the_second_is_refused(
    catalog: RestCatalog, other: RestCatalog, namespace: str, change: Callable[[Table], None]
) -> None:
    mine = cities(catalog, namespace)
    append(mine, ALL_CITIES)
    stale = other.load_table((namespace, "cities"))
    change(mine)
    with pytest.raises(CommitFailedException):
        change(stale)
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.metadata == mine.metadata
    assert [{key: row[key] for key in OSLO} for row in rows(loaded)] == ALL_CITIES


def test_changes_that_do_not_touch_are_both_made(catalog: RestCatalog, other: RestCatalog, namespace: str) -> None:
    mine = cities(catalog, namespace)
    stale = other.load_table((namespace, "cities"))
    append(mine, [OSLO])
    with stale.transaction() as transaction:
        transaction.set_properties(owner="kari")
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.properties["owner"] == "kari"
    assert rows(loaded) == [OSLO]


WRONG: list[TableRequirement] = [
    AssertTableUUID(uuid="00000000-0000-0000-0000-000000000000"),
    AssertRefSnapshotId(ref="main", snapshot_id=1),
    AssertRefSnapshotId(ref="main", snapshot_id=None),
    AssertRefSnapshotId(ref="unknown", snapshot_id=1),
    AssertCurrentSchemaId(current_schema_id=17),
    AssertLastAssignedFieldId(last_assigned_field_id=17),
    AssertDefaultSpecId(default_spec_id=17),
    AssertLastAssignedPartitionId(last_assigned_partition_id=17),
    AssertDefaultSortOrderId(default_sort_order_id=17),
]


@pytest.mark.parametrize("requirement", WRONG, ids=lambda requirement: requirement.model_dump_json())
def test_a_requirement_which_does_not_hold_fails_the_commit(
    catalog: RestCatalog, namespace: str, requirement: TableRequirement
) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    with pytest.raises(CommitFailedException):
        catalog.commit_table(table, (requirement,), (SetPropertiesUpdate(updates={"changed": "yes"}),))
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.metadata_location == table.metadata_location
    assert "changed" not in loaded.properties
    assert rows(loaded) == ALL_CITIES


def test_a_commit_to_a_dropped_table_fails(catalog: RestCatalog, other: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace), [OSLO])
    stale = other.load_table((namespace, "cities"))
    catalog.drop_table((namespace, "cities"))
    with pytest.raises(RESTError, match="NoSuchTableException"):
        append(stale, [BERGEN])
    assert catalog.list_tables(namespace) == []


def test_a_commit_does_not_reach_another_table_of_the_same_name(
    catalog: RestCatalog, other: RestCatalog, namespace: str
) -> None:
    append(cities(catalog, namespace, properties=NO_RETRY), [OSLO])
    stale = other.load_table((namespace, "cities"))
    catalog.drop_table((namespace, "cities"))
    append(cities(catalog, namespace), [TROMSO])
    with pytest.raises(CommitFailedException):
        append(stale, [BERGEN])
    assert rows_of(catalog, (namespace, "cities")) == [TROMSO]


def test_writers_in_threads_lose_no_row(connect: Connect, catalog: RestCatalog, namespace: str) -> None:
    cities(catalog, namespace, properties={"commit.retry.num-retries": "50", "commit.retry.max-wait-ms": "800"})
    errors: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            table = connect().load_table((namespace, "cities"))
            for number in range(5):
                append(table, [{**NOWHERE, "id": writer * 100 + number}])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert errors == []
    loaded = catalog.load_table((namespace, "cities"))
    assert ids(rows(loaded)) == sorted(writer * 100 + number for writer in range(4) for number in range(5))
    assert len(loaded.snapshots()) == 20
