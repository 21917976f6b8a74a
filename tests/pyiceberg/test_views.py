"""The life of a view, as far as PyIceberg goes with it: create, load, list, drop."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    NamespaceNotEmptyError,
    NoSuchTableError,
    NoSuchViewError,
    TableAlreadyExistsError,
    ViewAlreadyExistsError,
)
from pyiceberg.view import View
from pyiceberg.view.metadata import SQLViewRepresentation, ViewVersion

from tables import CITIES, cities


def version(namespace: str, **queries: str) -> ViewVersion:
    representations = [
        SQLViewRepresentation(type="sql", sql=sql, dialect=dialect).model_dump() for dialect, sql in queries.items()
    ]
    return ViewVersion(
        version_id=1, schema_id=0, representations=representations, default_catalog="prod", default_namespace=(namespace,)
    )


def capitals(catalog: RestCatalog, namespace: str, name: str = "capitals", **options: object) -> View:
    queries = version(namespace, spark="SELECT * FROM cities WHERE id = 1", trino='SELECT * FROM "cities" WHERE id = 1')
    return catalog.create_view((namespace, name), CITIES, queries, **options)


def test_a_view_is_what_was_asked_for(catalog: RestCatalog, namespace: str) -> None:
    created = capitals(catalog, namespace, properties={"comment": "of Norway"})
    loaded = catalog.load_view((namespace, "capitals"))
    assert loaded.metadata == created.metadata
    assert loaded.name() == (namespace, "capitals")
    assert [schema.as_struct() for schema in loaded.metadata.schemas] == [CITIES.as_struct()]
    assert loaded.metadata.properties == {"comment": "of Norway"}
    assert loaded.metadata.current_version_id == 1
    [only] = loaded.metadata.versions
    assert [(query.root.dialect, query.root.sql) for query in only.representations] == [
        ("spark", "SELECT * FROM cities WHERE id = 1"),
        ("trino", 'SELECT * FROM "cities" WHERE id = 1'),
    ]
    assert (only.default_catalog, only.default_namespace) == ("prod", (namespace,))
    assert [entry.version_id for entry in loaded.metadata.version_log] == [1]


def test_views_are_listed_apart_from_tables_and_dropped(catalog: RestCatalog, namespace: str) -> None:
    cities(catalog, namespace)
    for name in ("b", "a"):
        capitals(catalog, namespace, name)
    assert catalog.list_views(namespace) == [(namespace, "a"), (namespace, "b")]
    assert catalog.list_tables(namespace) == [(namespace, "cities")]
    assert catalog.view_exists((namespace, "a"))
    assert not catalog.view_exists((namespace, "cities"))
    assert not catalog.table_exists((namespace, "a"))
    with pytest.raises(NoSuchTableError):
        catalog.load_table((namespace, "a"))
    with pytest.raises(NoSuchViewError):
        catalog.load_view((namespace, "cities"))
    with pytest.raises(NoSuchViewError):
        catalog.drop_view((namespace, "cities"))
    catalog.drop_view((namespace, "a"))
    assert catalog.list_views(namespace) == [(namespace, "b")]
    catalog.drop_table((namespace, "cities"))
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace(namespace)
    catalog.drop_view((namespace, "b"))
    catalog.drop_namespace(namespace)


def test_a_name_is_taken_once(catalog: RestCatalog, namespace: str) -> None:
    cities(catalog, namespace)
    capitals(catalog, namespace)
    with pytest.raises(ViewAlreadyExistsError, match="View already exists"):
        capitals(catalog, namespace)
    with pytest.raises(ViewAlreadyExistsError, match="Table with same name already exists"):
        capitals(catalog, namespace, "cities")
    with pytest.raises(TableAlreadyExistsError, match="View with same name already exists"):
        cities(catalog, namespace, "capitals")
