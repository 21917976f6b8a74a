"""Namespaces, as Spark makes, changes and drops them."""

from __future__ import annotations

import pytest
from pyiceberg.exceptions import NoSuchNamespaceError

from lake import Lake, smoke_and_on_s3


def described(lake: Lake, namespace: str) -> dict[str, str]:
    return {row["info_name"]: row["info_value"] for row in lake.sql(f"DESCRIBE NAMESPACE EXTENDED {namespace}")}


@smoke_and_on_s3
def test_a_namespace_is_made_with_its_properties_and_both_engines_see_them(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.sales COMMENT 'What was sold' WITH DBPROPERTIES ('owner-team' = 'north', 'tier' = '1')")

    found = lake.catalog.load_namespace_properties((lake.namespace, "sales"))
    assert found["owner-team"] == "north"
    assert found["tier"] == "1"
    assert found["comment"] == "What was sold"
    in_spark = described(lake, f"{lake}.sales")
    assert in_spark["Comment"] == "What was sold"
    assert "(owner-team,north)" in in_spark["Properties"]
    assert lake.sql(f"SHOW NAMESPACES IN {lake}") == [{"namespace": f"{lake.namespace}.sales"}]


def test_making_a_namespace_that_exists_is_refused_unless_that_was_said_to_be_fine(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.sales WITH DBPROPERTIES ('tier' = '1')")

    with pytest.raises(Exception, match="SCHEMA_ALREADY_EXISTS"):
        lake.sql(f"CREATE NAMESPACE {lake}.sales")
    lake.sql(f"CREATE NAMESPACE IF NOT EXISTS {lake}.sales WITH DBPROPERTIES ('tier' = '2')")
    assert lake.catalog.load_namespace_properties((lake.namespace, "sales"))["tier"] == "1"


def test_properties_of_a_namespace_are_set_replaced_and_removed(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.sales WITH DBPROPERTIES ('keep' = 'a', 'change' = 'b', 'remove' = 'c')")

    lake.sql(f"ALTER NAMESPACE {lake}.sales SET PROPERTIES ('change' = 'B', 'new' = 'd')")
    lake.sql(f"ALTER NAMESPACE {lake}.sales UNSET PROPERTIES ('remove')")
    lake.sql(f"COMMENT ON NAMESPACE {lake}.sales IS 'Now with a comment'")

    found = lake.catalog.load_namespace_properties((lake.namespace, "sales"))
    assert {name: found.get(name) for name in ("keep", "change", "new", "comment")} == {
        "keep": "a",
        "change": "B",
        "new": "d",
        "comment": "Now with a comment",
    }
    assert "remove" not in found


def test_namespaces_nest_and_tables_live_at_every_level(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.europe")
    lake.sql(f"CREATE NAMESPACE {lake}.europe.north")
    lake.sql(f"CREATE TABLE {lake}.europe.cities (id BIGINT)")
    lake.sql(f"CREATE TABLE {lake}.europe.north.cities (id BIGINT)")
    lake.sql(f"INSERT INTO {lake}.europe.cities VALUES (1)")
    lake.sql(f"INSERT INTO {lake}.europe.north.cities VALUES (2)")

    assert lake.sql(f"SHOW NAMESPACES IN {lake}") == [{"namespace": f"{lake.namespace}.europe"}]
    assert lake.sql(f"SHOW NAMESPACES IN {lake}.europe") == [{"namespace": f"{lake.namespace}.europe.north"}]
    assert [row["tableName"] for row in lake.sql(f"SHOW TABLES IN {lake}.europe")] == ["cities"]
    assert lake.ids("europe.cities") == [1]
    assert lake.ids("europe.north.cities") == [2]


def test_a_namespace_that_is_not_empty_is_not_dropped(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.europe")
    lake.sql(f"CREATE TABLE {lake}.europe.cities (id BIGINT)")
    lake.sql(f"INSERT INTO {lake}.europe.cities VALUES (1)")

    with pytest.raises(Exception, match=f"NamespaceNotEmptyException: Namespace {lake.namespace}.europe is not empty"):
        lake.sql(f"DROP NAMESPACE {lake}.europe")
    assert lake.ids("europe.cities") == [1]

    lake.sql(f"DROP TABLE {lake}.europe.cities")
    lake.sql(f"DROP NAMESPACE {lake}.europe")
    with pytest.raises(NoSuchNamespaceError):
        lake.catalog.load_namespace_properties((lake.namespace, "europe"))


def test_a_namespace_with_another_inside_is_not_dropped(lake: Lake) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.europe")
    lake.sql(f"CREATE NAMESPACE {lake}.europe.north")

    with pytest.raises(Exception, match=f"NamespaceNotEmptyException: Namespace {lake.namespace}.europe is not empty"):
        lake.sql(f"DROP NAMESPACE {lake}.europe")
    assert lake.sql(f"SHOW NAMESPACES IN {lake}.europe") == [{"namespace": f"{lake.namespace}.europe.north"}]


def test_a_namespace_that_is_missing_is_said_to_be_missing(lake: Lake) -> None:
    with pytest.raises(Exception, match="SCHEMA_NOT_FOUND"):
        lake.sql(f"DESCRIBE NAMESPACE {lake}.nowhere")
    with pytest.raises(Exception, match="SCHEMA_NOT_FOUND"):
        lake.sql(f"DROP NAMESPACE {lake}.nowhere")
    lake.sql(f"DROP NAMESPACE IF EXISTS {lake}.nowhere")
    with pytest.raises(Exception, match=f"NoSuchNamespaceException: Namespace does not exist: {lake.namespace}.nowhere"):
        lake.sql(f"CREATE TABLE {lake}.nowhere.cities (id BIGINT)")
    assert lake.sql(f"SHOW NAMESPACES IN {lake}") == []


@pytest.mark.parametrize("name", ["with space", "with.dot", "Grün", "100%", "a/b", "Mixed_Case"])
def test_a_namespace_and_a_table_may_have_an_unusual_name(lake: Lake, name: str) -> None:
    lake.sql(f"CREATE NAMESPACE {lake}.`{name}`")
    lake.sql(f"CREATE TABLE {lake}.`{name}`.`{name}` (id BIGINT)")
    lake.sql(f"INSERT INTO {lake}.`{name}`.`{name}` VALUES (1), (2)")

    identifier = (lake.namespace, name, name)
    of_pyiceberg = lake.catalog.load_table(identifier).scan().to_arrow().to_pylist()
    of_spark = lake.sql(f"SELECT id FROM {lake}.`{name}`.`{name}`")
    assert sorted(row["id"] for row in of_spark) == [1, 2]
    assert sorted(row["id"] for row in of_pyiceberg) == [1, 2]
    assert lake.catalog.list_tables((lake.namespace, name)) == [identifier]
    lake.sql(f"DROP TABLE {lake}.`{name}`.`{name}`")
    lake.sql(f"DROP NAMESPACE {lake}.`{name}`")
    assert lake.sql(f"SHOW NAMESPACES IN {lake}") == []
