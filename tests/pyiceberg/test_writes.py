"""Every way the client changes rows, each read back through a fresh load."""

from __future__ import annotations

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, In, IsNull, Not
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.types import LongType, NestedField, StringType

from tables import ALL_CITIES, BERGEN, NOWHERE, OSLO, TROMSO, append, arrow, cities, ids, rows, rows_of

KEYED = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "value", StringType()),
    identifier_field_ids=[1],
)


def operations(catalog: RestCatalog, identifier: tuple[str, str]) -> list[Operation]:
    snapshots = sorted(catalog.load_table(identifier).snapshots(), key=lambda snapshot: snapshot.sequence_number or 0)
    return [snapshot.summary.operation for snapshot in snapshots if snapshot.summary]


def test_rows_are_appended_commit_by_commit(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    for number, row in enumerate(ALL_CITIES, start=1):
        append(table, [row])
        assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES[:number]
    assert operations(catalog, (namespace, "cities")) == [Operation.APPEND] * 4
    summary = catalog.load_table((namespace, "cities")).current_snapshot().summary
    assert (summary["total-records"], summary["added-records"], summary["total-data-files"]) == ("4", "1", "4")


def test_an_append_of_no_rows_changes_no_row(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    append(table, [])
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_a_stream_of_batches_is_appended(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    batches = [batch for row in ALL_CITIES for batch in arrow(table, [row]).to_batches()]
    table.append(pa.RecordBatchReader.from_batches(table.schema().as_arrow(), batches))
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_manifests_are_merged_when_the_table_says_so(catalog: RestCatalog, namespace: str) -> None:
    table = cities(
        catalog,
        namespace,
        properties={"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "2"},
    )
    for number in range(6):
        append(table, [{**OSLO, "id": number}])
    loaded = catalog.load_table((namespace, "cities"))
    assert len(loaded.current_snapshot().manifests(loaded.io)) < 6
    assert ids(rows(loaded)) == list(range(6))


def test_properties_of_a_snapshot_are_kept_in_its_summary(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES, snapshot_properties={"job": "nightly ☃"})
    loaded = catalog.load_table((namespace, "cities"))
    assert loaded.current_snapshot().summary["job"] == "nightly ☃"
    assert rows(loaded) == ALL_CITIES


def test_an_overwrite_replaces_all_rows(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    table.overwrite(arrow(table, [{"id": 9, "city": "Bodø", "people": 53}]))
    assert rows_of(catalog, (namespace, "cities")) == [{"id": 9, "city": "Bodø", "people": 53}]


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        pytest.param("id = 2", [OSLO, TROMSO, NOWHERE], id="by text"),
        pytest.param(EqualTo("city", "Oslo"), [BERGEN, TROMSO, NOWHERE], id="by equality"),
        pytest.param(In("id", {1, 3}), [BERGEN, NOWHERE], id="by a list"),
        pytest.param(IsNull("city"), [OSLO, BERGEN, TROMSO], id="by null"),
        pytest.param(And(GreaterThanOrEqual("id", 2), Not(IsNull("city"))), [OSLO, NOWHERE], id="by a conjunction"),
        pytest.param("people > 100 or people is null", [TROMSO], id="by a disjunction"),
        pytest.param("id > 0", [], id="all of them"),
        pytest.param("id > 100", ALL_CITIES, id="none of them"),
    ],
)
def test_rows_are_deleted_one_by_one(catalog: RestCatalog, namespace: str, condition, left) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES[:2])
    append(table, ALL_CITIES[2:])
    table.delete(condition)
    assert rows_of(catalog, (namespace, "cities")) == left


def test_a_delete_of_whole_files_is_a_delete_and_one_of_some_rows_an_overwrite(
    catalog: RestCatalog, namespace: str
) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN])
    append(table, [TROMSO])
    table.delete("id = 3")
    assert operations(catalog, (namespace, "cities"))[-1] == Operation.DELETE
    table.delete("id = 2")
    assert operations(catalog, (namespace, "cities"))[-1] == Operation.OVERWRITE
    assert rows_of(catalog, (namespace, "cities")) == [OSLO]


def test_an_overwrite_by_filter_replaces_only_the_rows_it_matches(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    table.overwrite(arrow(table, [{"id": 10, "city": "Bodø", "people": 53}]), overwrite_filter="id <= 2")
    assert rows_of(catalog, (namespace, "cities")) == [TROMSO, NOWHERE, {"id": 10, "city": "Bodø", "people": 53}]


def test_an_upsert_updates_the_known_rows_and_inserts_the_others(catalog: RestCatalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), KEYED)
    append(table, [{"id": 1, "value": "a"}, {"id": 2, "value": "b"}, {"id": 3, "value": "c"}])
    outcome = table.upsert(arrow(table, [{"id": 2, "value": "B"}, {"id": 3, "value": "c"}, {"id": 4, "value": "d"}]))
    assert (outcome.rows_updated, outcome.rows_inserted) == (1, 1)
    assert rows_of(catalog, (namespace, "t")) == [
        {"id": 1, "value": "a"},
        {"id": 2, "value": "B"},
        {"id": 3, "value": "c"},
        {"id": 4, "value": "d"},
    ]


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        pytest.param({"when_not_matched_insert_all": False}, ["A", "b", None], id="updates only"),
        pytest.param({"when_matched_update_all": False}, ["a", "b", "c"], id="inserts only"),
    ],
)
def test_an_upsert_may_be_told_to_do_only_half_of_it(catalog: RestCatalog, namespace: str, options, outcome) -> None:
    table = catalog.create_table((namespace, "t"), KEYED)
    append(table, [{"id": 1, "value": "a"}, {"id": 2, "value": "b"}])
    table.upsert(arrow(table, [{"id": 1, "value": "A"}, {"id": 3, "value": "c"}]), **options)
    found = {row["id"]: row["value"] for row in rows_of(catalog, (namespace, "t"))}
    assert [found.get(key) for key in (1, 2, 3)] == outcome
    assert len(found) == len([value for value in outcome if value is not None])


def test_an_upsert_joins_on_the_columns_it_is_given(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, [OSLO, BERGEN, TROMSO])
    outcome = table.upsert(arrow(table, [{"id": 20, "city": "Bergen", "people": 300}]), join_cols=["city"])
    assert (outcome.rows_updated, outcome.rows_inserted) == (1, 0)
    assert rows_of(catalog, (namespace, "cities")) == [OSLO, TROMSO, {"id": 20, "city": "Bergen", "people": 300}]


def test_files_written_elsewhere_are_added_with_their_rows(catalog: RestCatalog, namespace: str) -> None:
    import pyarrow.parquet as pq

    from tables import filesystem_and_path

    table = cities(catalog, namespace)
    append(table, [OSLO])
    location = f"{table.location()}/data/brought.parquet"
    filesystem, path = filesystem_and_path(table, location)
    plain = pa.schema([field.remove_metadata() for field in table.schema().as_arrow()])
    pq.write_table(pa.Table.from_pylist([BERGEN, TROMSO], schema=plain), path, filesystem=filesystem)
    table.add_files([location])
    assert rows_of(catalog, (namespace, "cities")) == [OSLO, BERGEN, TROMSO]


def test_a_transaction_of_several_writes_is_seen_all_at_once(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    with table.transaction() as transaction:
        transaction.delete("id = 1")
        transaction.append(arrow(table, [{"id": 5, "city": "Odda", "people": 7}]))
        assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES
    assert ids(rows_of(catalog, (namespace, "cities"))) == [2, 3, 4, 5]


def test_a_transaction_that_fails_half_way_changes_nothing(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    with pytest.raises(RuntimeError, match="half way"), table.transaction() as transaction:
        transaction.delete("id = 1")
        raise RuntimeError("half way")
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_a_scan_gives_just_the_columns_and_rows_it_asks_for(catalog: RestCatalog, namespace: str) -> None:
    table = cities(catalog, namespace)
    append(table, ALL_CITIES)
    assert rows(table, row_filter="people > 100", selected_fields=("id", "city")) == [
        {"id": 1, "city": "Oslo"},
        {"id": 2, "city": "Bergen"},
    ]
    assert len(table.scan(limit=2).to_arrow()) == 2
    assert table.scan().count() == 4
    assert table.scan(row_filter="people > 100").count() == 2


def test_many_thousand_rows_come_back_in_full(catalog: RestCatalog, namespace: str) -> None:
    table = catalog.create_table((namespace, "t"), KEYED, properties={"write.target-file-size-bytes": "1000000"})
    values = list(range(200_000))
    data = {"id": values, "value": [f"value {value}" for value in values]}
    table.append(pa.Table.from_pydict(data, schema=table.schema().as_arrow()))
    table.delete("id >= 100000 and id < 150000")
    loaded = catalog.load_table((namespace, "t"))
    found = loaded.scan().to_arrow().sort_by("id").to_pydict()
    kept = [value for value in values if not 100_000 <= value < 150_000]
    assert found == {"id": kept, "value": [f"value {value}" for value in kept]}
    assert loaded.scan().count() == 150_000
