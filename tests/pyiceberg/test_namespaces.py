"""Namespaces and their properties."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NamespaceNotEmptyError, NoSuchNamespaceError

from conftest import Connect
from tables import ALL_CITIES, append, cities, rows_of


def test_a_namespace_which_was_created_is_listed_and_exists(catalog: RestCatalog, namespace: str) -> None:
    assert catalog.namespace_exists(namespace)
    assert (namespace,) in catalog.list_namespaces()
    assert catalog.list_namespaces(namespace) == []


def test_nested_namespaces_are_listed_level_by_level(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "north"))
    catalog.create_namespace((namespace, "south"))
    catalog.create_namespace((namespace, "north", "coast"))
    assert sorted(catalog.list_namespaces(namespace)) == [(namespace, "north"), (namespace, "south")]
    assert catalog.list_namespaces((namespace, "north")) == [(namespace, "north", "coast")]
    assert catalog.list_namespaces((namespace, "south")) == []
    assert catalog.namespace_exists((namespace, "north", "coast"))
    assert not catalog.namespace_exists((namespace, "coast"))
    assert (namespace, "north") not in catalog.list_namespaces()


def test_a_table_in_a_deeply_nested_namespace_keeps_its_rows(catalog: RestCatalog, namespace: str) -> None:
    path = (namespace,)
    for level in ("a", "b", "c", "d"):
        path = (*path, level)
        catalog.create_namespace(path)
    append(cities(catalog, path), ALL_CITIES)
    assert rows_of(catalog, (*path, "cities")) == ALL_CITIES
    assert catalog.list_tables(path) == [(*path, "cities")]
    assert catalog.list_tables(path[:-1]) == []


def test_properties_given_at_creation_are_loaded_again(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "child"), {"owner": "ola", "note": "æøå ☃", "empty": ""})
    properties = catalog.load_namespace_properties((namespace, "child"))
    assert {key: properties[key] for key in ("owner", "note", "empty")} == {
        "owner": "ola",
        "note": "æøå ☃",
        "empty": "",
    }


def test_properties_are_set_overwritten_and_removed_in_one_request(catalog: RestCatalog, namespace: str) -> None:
    first = catalog.update_namespace_properties(namespace, updates={"a": "1", "b": "2", "c": "3"})
    assert (sorted(first.updated), first.removed, first.missing) == (["a", "b", "c"], [], [])
    second = catalog.update_namespace_properties(namespace, removals={"a", "unknown"}, updates={"b": "20", "d": "4"})
    assert (sorted(second.updated), second.removed, second.missing) == (["b", "d"], ["a"], ["unknown"])
    properties = catalog.load_namespace_properties(namespace)
    assert {key: properties.get(key) for key in "abcd"} == {"a": None, "b": "20", "c": "3", "d": "4"}


def test_an_empty_namespace_is_dropped(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "child"))
    catalog.drop_namespace((namespace, "child"))
    assert not catalog.namespace_exists((namespace, "child"))
    assert catalog.list_namespaces(namespace) == []
    catalog.drop_namespace(namespace)
    assert (namespace,) not in catalog.list_namespaces()


def test_a_namespace_which_holds_a_table_is_not_dropped(catalog: RestCatalog, namespace: str) -> None:
    append(cities(catalog, namespace), ALL_CITIES)
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace(namespace)
    assert rows_of(catalog, (namespace, "cities")) == ALL_CITIES


def test_a_namespace_which_holds_a_namespace_is_not_dropped(catalog: RestCatalog, namespace: str) -> None:
    catalog.create_namespace((namespace, "child"))
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace(namespace)
    assert catalog.list_namespaces(namespace) == [(namespace, "child")]


def test_a_namespace_is_not_created_twice(catalog: RestCatalog, namespace: str) -> None:
    with pytest.raises(NamespaceAlreadyExistsError):
        catalog.create_namespace(namespace)
    catalog.create_namespace_if_not_exists(namespace)
    assert catalog.list_namespaces().count((namespace,)) == 1


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda catalog, name: catalog.drop_namespace(name), id="drop"),
        pytest.param(lambda catalog, name: catalog.load_namespace_properties(name), id="load properties"),
        pytest.param(
            lambda catalog, name: catalog.update_namespace_properties(name, updates={"a": "b"}), id="set properties"
        ),
        pytest.param(lambda catalog, name: catalog.list_tables(name), id="list tables"),
        pytest.param(lambda catalog, name: catalog.list_namespaces(name), id="list children"),
        pytest.param(lambda catalog, name: cities(catalog, name), id="create a table"),
    ],
)
def test_a_missing_namespace_is_reported_as_missing(catalog: RestCatalog, namespace: str, use) -> None:
    with pytest.raises(NoSuchNamespaceError):
        use(catalog, f"{namespace}_missing")
    assert not catalog.namespace_exists(f"{namespace}_missing")


@pytest.mark.parametrize(
    "name",
    ["with space", "with.dot", "with/slash", "per%cent", "plus+and&more", "quote'\"", "blåbærsyltetøy", "雪", "🏔"],
)
def test_a_namespace_name_may_hold_any_character(catalog: RestCatalog, namespace: str, name: str) -> None:
    catalog.create_namespace((namespace, name), {"said": name})
    assert catalog.list_namespaces(namespace) == [(namespace, name)]
    assert catalog.load_namespace_properties((namespace, name))["said"] == name
    append(cities(catalog, (namespace, name)), ALL_CITIES)
    assert rows_of(catalog, (namespace, name, "cities")) == ALL_CITIES
    catalog.drop_table((namespace, name, "cities"))
    catalog.drop_namespace((namespace, name))
    assert catalog.list_namespaces(namespace) == []


def test_listings_are_complete_page_by_page(connect: Connect, namespace: str) -> None:
    paged = connect(**{"rest-page-size": "3"})
    children = [(namespace, f"child_{number:02}") for number in range(10)]
    for child in children:
        paged.create_namespace(child)
    assert sorted(paged.list_namespaces(namespace)) == children
    for number in range(7):
        cities(paged, namespace, f"table_{number}")
    assert sorted(paged.list_tables(namespace)) == [(namespace, f"table_{number}") for number in range(7)]
