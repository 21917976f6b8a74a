"""Views, as Spark makes, changes, shows and drops them, and their versions in the catalog."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from harness import Server
from lake import Lake, smoke_and_on_s3


@pytest.fixture
def numbers(lake: Lake) -> Lake:
    """A namespace with a table of five numbers and their words."""
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING)")
    lake.sql("INSERT INTO numbers SELECT id, concat('w', id) FROM range(5)")
    return lake


def views(lake: Lake) -> list[str]:
    return sorted(row["viewName"] for row in lake.sql("SHOW VIEWS"))


def loaded(lake: Lake, server: Server, view: str, warehouse: str = "default") -> dict[str, Any]:
    """The view's metadata, as the API gives it."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    config = requests.get(f"{server.catalog_uri}/v1/config", params={"warehouse": warehouse}, headers=headers, timeout=30).json()
    response = requests.get(
        f"{server.catalog_uri}/v1/{config['overrides']['prefix']}/namespaces/{lake.namespace}/views/{view}",
        headers=headers,
        timeout=30,
    )
    assert response.status_code == 200, response.text
    metadata = response.json()["metadata"]
    assert isinstance(metadata, dict)
    return metadata


def statement_of(metadata: dict[str, Any], version_id: int) -> str:
    (version,) = [version for version in metadata["versions"] if version["version-id"] == version_id]
    (representation,) = version["representations"]
    assert (representation["type"], representation["dialect"]) == ("sql", "spark")
    return str(representation["sql"])


@smoke_and_on_s3
def test_a_view_shows_what_its_query_gives_now(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING)")
    lake.sql("INSERT INTO numbers SELECT id, concat('w', id) FROM range(5)")
    lake.sql("CREATE VIEW even AS SELECT id, upper(word) AS loud FROM numbers WHERE id % 2 = 0")
    assert lake.sql("SELECT * FROM even ORDER BY id") == [{"id": n, "loud": f"W{n}"} for n in (0, 2, 4)]

    lake.sql("INSERT INTO numbers VALUES (6, 'w6')")
    assert lake.sql("SELECT id FROM even WHERE id > 2 ORDER BY id") == [{"id": 4}, {"id": 6}]
    assert views(lake) == ["even"]
    assert [row["tableName"] for row in lake.sql("SHOW TABLES") if row["tableName"] != "even"] == ["numbers"]
    assert lake.catalog.list_views((lake.namespace,)) == [(lake.namespace, "even")]
    assert lake.catalog.list_tables((lake.namespace,)) == [(lake.namespace, "numbers")]


def test_a_view_has_columns_comments_and_properties(numbers: Lake, server: Server) -> None:
    lake = numbers
    lake.sql(
        """CREATE VIEW named (number COMMENT 'The number', text) COMMENT 'All of them' TBLPROPERTIES ('team' = 'north')
        AS SELECT id, word FROM numbers"""
    )
    assert lake.sql("SELECT * FROM named ORDER BY number LIMIT 1") == [{"number": 0, "text": "w0"}]
    metadata = loaded(lake, server, "named")
    (schema,) = metadata["schemas"]
    assert [(field["name"], field["type"], field.get("doc")) for field in schema["fields"]] == [
        ("number", "long", "The number"),
        ("text", "string", None),
    ]
    assert (metadata["properties"]["comment"], metadata["properties"]["team"]) == ("All of them", "north")
    assert metadata["versions"][0]["default-namespace"] == [lake.namespace]


def test_a_view_is_replaced_and_the_catalog_keeps_its_versions(numbers: Lake, server: Server) -> None:
    lake = numbers
    lake.sql("CREATE VIEW some AS SELECT id FROM numbers WHERE id < 2")
    first = loaded(lake, server, "some")
    lake.sql("CREATE OR REPLACE VIEW some AS SELECT id, word FROM numbers WHERE id > 2")
    assert lake.sql("SELECT * FROM some ORDER BY id") == [{"id": 3, "word": "w3"}, {"id": 4, "word": "w4"}]

    second = loaded(lake, server, "some")
    assert second["view-uuid"] == first["view-uuid"]
    assert second["current-version-id"] != first["current-version-id"]
    log = second["version-log"]
    assert [entry["version-id"] for entry in log] == [first["current-version-id"], second["current-version-id"]]
    assert log[0] == first["version-log"][0]
    assert log[0]["timestamp-ms"] <= log[1]["timestamp-ms"]
    assert statement_of(second, first["current-version-id"]) == "SELECT id FROM numbers WHERE id < 2"
    assert statement_of(second, second["current-version-id"]) == "SELECT id, word FROM numbers WHERE id > 2"
    assert {schema["schema-id"] for schema in second["schemas"]} >= {version["schema-id"] for version in second["versions"]}

    lake.sql("CREATE OR REPLACE VIEW some AS SELECT id FROM numbers WHERE id < 2")
    assert lake.sql("SELECT * FROM some ORDER BY id") == [{"id": 0}, {"id": 1}]
    assert len(loaded(lake, server, "some")["version-log"]) == 3


def test_create_or_replace_makes_a_view_and_create_does_not_replace_one(numbers: Lake) -> None:
    lake = numbers
    lake.sql("CREATE OR REPLACE VIEW some AS SELECT 1 AS one")
    with pytest.raises(Exception, match="VIEW_ALREADY_EXISTS"):
        lake.sql("CREATE VIEW some AS SELECT 2 AS two")
    lake.sql("CREATE VIEW IF NOT EXISTS some AS SELECT 3 AS three")
    assert lake.sql("SELECT * FROM some") == [{"one": 1}]


def test_properties_of_a_view_are_set_and_removed(numbers: Lake, server: Server) -> None:
    lake = numbers
    lake.sql("CREATE VIEW some TBLPROPERTIES ('a' = '1', 'b' = '2') AS SELECT id FROM numbers")
    lake.sql("ALTER VIEW some SET TBLPROPERTIES ('b' = '3', 'c' = '4')")
    lake.sql("ALTER VIEW some UNSET TBLPROPERTIES ('a')")
    properties = loaded(lake, server, "some")["properties"]
    assert {name: properties.get(name) for name in "abc"} == {"a": None, "b": "3", "c": "4"}
    shown = {row["key"]: row["value"] for row in lake.sql("SHOW TBLPROPERTIES some")}
    assert (shown["b"], shown["c"]) == ("3", "4")
    with pytest.raises(Exception, match="Cannot remove property that is not set"):
        lake.sql("ALTER VIEW some UNSET TBLPROPERTIES ('a')")
    assert len(lake.sql("SELECT * FROM some")) == 5


def test_a_view_is_renamed_also_into_another_namespace(numbers: Lake, server: Server) -> None:
    lake = numbers
    lake.sql(f"CREATE NAMESPACE {lake}.other")
    lake.sql("CREATE VIEW some AS SELECT id FROM numbers")
    uuid = loaded(lake, server, "some")["view-uuid"]
    lake.sql("ALTER VIEW some RENAME TO few")
    assert views(lake) == ["few"]
    assert loaded(lake, server, "few")["view-uuid"] == uuid

    lake.sql(f"ALTER VIEW few RENAME TO {lake}.other.most")
    assert views(lake) == []
    # It still finds the table in the namespace that was current when it was made.
    assert len(lake.sql(f"SELECT * FROM {lake}.other.most")) == 5
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("SELECT * FROM few")


def test_a_dropped_view_is_gone_and_its_name_free(numbers: Lake) -> None:
    lake = numbers
    lake.sql("CREATE VIEW some AS SELECT id FROM numbers")
    lake.sql("DROP VIEW some")
    assert views(lake) == []
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("SELECT * FROM some")
    with pytest.raises(Exception, match="VIEW_NOT_FOUND"):
        lake.sql("DROP VIEW some")
    lake.sql("DROP VIEW IF EXISTS some")
    lake.sql("CREATE VIEW some AS SELECT word FROM numbers")
    assert len(lake.sql("SELECT word FROM some")) == 5


def test_views_are_shown_and_described(numbers: Lake) -> None:
    lake = numbers
    lake.sql("CREATE VIEW small (n COMMENT 'Number') COMMENT 'Small ones' AS SELECT id FROM numbers WHERE id < 2")
    lake.sql("CREATE VIEW large AS SELECT id FROM numbers WHERE id > 2")
    assert views(lake) == ["large", "small"]
    assert [row["viewName"] for row in lake.sql("SHOW VIEWS LIKE 's*'")] == ["small"]
    described = lake.sql("DESCRIBE small")
    assert described[0] == {"col_name": "n", "data_type": "bigint", "comment": "Number"}
    extended = {row["col_name"]: row["data_type"] for row in lake.sql("DESCRIBE EXTENDED small")}
    assert extended["Comment"] == "Small ones"
    assert extended["View Catalog and Namespace"] == str(lake)
    assert extended["View Query Output Columns"] == "[id]"
    statement = lake.one("SHOW CREATE TABLE small")
    assert "CREATE VIEW" in statement
    assert "SELECT id FROM numbers WHERE id < 2" in statement


def test_views_over_several_tables_and_over_views(numbers: Lake) -> None:
    lake = numbers
    lake.sql("CREATE TABLE prices (id BIGINT, price INT)")
    lake.sql("INSERT INTO prices VALUES (1, 10), (2, 20), (4, 40)")
    lake.sql("CREATE VIEW priced AS SELECT n.id, n.word, p.price FROM numbers n JOIN prices p ON n.id = p.id")
    lake.sql("CREATE VIEW dear AS SELECT * FROM priced WHERE price >= 20")
    lake.sql("CREATE VIEW total AS SELECT sum(price) AS price, count(*) AS n FROM dear")
    lake.sql("CREATE VIEW common AS WITH d AS (SELECT * FROM dear) SELECT d.id, t.price FROM d CROSS JOIN total t")

    assert lake.sql("SELECT * FROM total") == [{"price": 60, "n": 2}]
    assert lake.sql("SELECT * FROM common ORDER BY id") == [{"id": 2, "price": 60}, {"id": 4, "price": 60}]
    lake.sql("INSERT INTO prices VALUES (3, 30)")
    assert lake.sql("SELECT * FROM total") == [{"price": 90, "n": 3}]
    # A view follows the one that it is made over.
    lake.sql("CREATE OR REPLACE VIEW priced AS SELECT id, 'x' AS word, 100 AS price FROM numbers")
    assert lake.sql("SELECT * FROM total") == [{"price": 500, "n": 5}]
    assert views(lake) == ["common", "dear", "priced", "total"]


def test_a_view_is_found_from_another_namespace(numbers: Lake) -> None:
    lake = numbers
    lake.sql(f"CREATE NAMESPACE {lake}.other")
    lake.sql(f"CREATE VIEW {lake}.other.far AS SELECT id FROM numbers WHERE id = 3")
    lake.sql(f"USE {lake}.other")
    assert lake.sql("SELECT * FROM far") == [{"id": 3}]
    assert [row["viewName"] for row in lake.sql("SHOW VIEWS")] == ["far"]
    lake.sql(f"USE {lake}")
    assert lake.sql(f"SELECT * FROM {lake}.other.far") == [{"id": 3}]


def test_a_view_does_not_take_the_name_of_a_table(numbers: Lake) -> None:
    lake = numbers
    with pytest.raises(Exception, match="VIEW_ALREADY_EXISTS"):
        lake.sql("CREATE VIEW numbers AS SELECT 1 AS one")
    with pytest.raises(Exception, match=f"Table with same name already exists: {lake.namespace}.numbers"):
        lake.sql("CREATE OR REPLACE VIEW numbers AS SELECT 1 AS one")
    lake.sql("CREATE VIEW some AS SELECT 1 AS one")
    with pytest.raises(Exception, match="VIEW_ALREADY_EXISTS"):
        lake.sql("ALTER VIEW some RENAME TO numbers")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]
    assert lake.sql("SELECT * FROM some") == [{"one": 1}]


def test_a_table_does_not_take_the_name_of_a_view(numbers: Lake) -> None:
    lake = numbers
    lake.sql("CREATE VIEW some AS SELECT 1 AS one")
    for statement in (
        "CREATE TABLE some (id BIGINT)",
        "CREATE TABLE some AS SELECT 2 AS two",
        "ALTER TABLE numbers RENAME TO some",
    ):
        with pytest.raises(Exception, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
            lake.sql(statement)
    with pytest.raises(Exception, match=f"View with same name already exists: {lake.namespace}.some"):
        lake.sql("CREATE OR REPLACE TABLE some AS SELECT 2 AS two")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("DROP TABLE some")
    assert lake.sql("SELECT * FROM some") == [{"one": 1}]
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]


def test_a_namespace_that_has_a_view_is_not_empty(numbers: Lake) -> None:
    lake = numbers
    lake.sql(f"CREATE NAMESPACE {lake}.other")
    lake.sql(f"CREATE VIEW {lake}.other.only AS SELECT 1 AS one")
    with pytest.raises(Exception, match=f"NamespaceNotEmptyException: Namespace {lake.namespace}.other is not empty"):
        lake.sql(f"DROP NAMESPACE {lake}.other")
    assert lake.sql(f"SELECT * FROM {lake}.other.only") == [{"one": 1}]
    lake.sql(f"DROP VIEW {lake}.other.only")
    lake.sql(f"DROP NAMESPACE {lake}.other")
    assert lake.sql(f"SHOW NAMESPACES IN {lake}") == []
