"""Tables made from queries, replaced, renamed, dropped and purged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lake import Lake, on_both_stores, smoke_and_on_s3

FIVE = "SELECT id, concat('w', id) AS word FROM range(5)"


@on_both_stores
def test_a_table_is_made_from_a_query(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers PARTITIONED BY (bucket(2, id)) COMMENT 'Five' TBLPROPERTIES ('a' = 'b') AS {FIVE}")

    table = lake.load("numbers")
    assert [str(field.transform) for field in table.spec().fields] == ["bucket[2]"]
    assert (table.properties["comment"], table.properties["a"]) == ("Five", "b")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]
    with pytest.raises(Exception, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    lake.sql("CREATE TABLE IF NOT EXISTS numbers AS SELECT 100L AS id, 'x' AS word")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]


def test_a_table_whose_query_fails_is_not_made(lake: Lake) -> None:
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        lake.sql("CREATE TABLE numbers AS SELECT id, 1 / (id - 3) AS n FROM range(5)")
    assert not lake.exists("numbers")
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]


@on_both_stores
def test_a_table_is_replaced_and_keeps_its_history(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers PARTITIONED BY (word) TBLPROPERTIES ('kept' = 'yes') AS {FIVE}")
    before, uuid = lake.current("numbers"), lake.load("numbers").metadata.table_uuid
    lake.sql(
        """REPLACE TABLE numbers PARTITIONED BY (bucket(3, n)) TBLPROPERTIES ('new' = '1')
        AS SELECT CAST(id AS INT) AS n, 1.5D AS x FROM range(3)"""
    )

    table = lake.load("numbers")
    assert table.metadata.table_uuid == uuid
    assert [field.name for field in table.schema().fields] == ["n", "x"]
    assert [str(field.transform) for field in table.spec().fields] == ["bucket[3]"]
    assert table.properties["new"] == "1"
    assert lake.rows("numbers") == [{"n": n, "x": 1.5} for n in range(3)]
    assert lake.ids("numbers", before) == [0, 1, 2, 3, 4]


def test_create_or_replace_makes_a_table_and_replaces_it(lake: Lake) -> None:
    lake.sql(f"CREATE OR REPLACE TABLE numbers AS {FIVE}")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]
    lake.sql("CREATE OR REPLACE TABLE numbers AS SELECT id FROM range(2)")
    assert lake.rows("numbers") == [{"id": 0}, {"id": 1}]
    lake.sql("CREATE OR REPLACE TABLE numbers (id BIGINT, more STRING)")
    assert lake.rows("numbers") == []
    assert len(lake.snapshots("numbers")) == 2
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql(f"REPLACE TABLE nowhere AS {FIVE}")


def test_a_replacement_whose_query_fails_leaves_the_table_as_it_was(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    before = lake.load("numbers").metadata_location
    with pytest.raises(Exception, match="DIVIDE_BY_ZERO"):
        lake.sql("REPLACE TABLE numbers AS SELECT 1 / (id - 3) AS n FROM range(5)")
    assert lake.load("numbers").metadata_location == before
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]


def test_a_table_replaces_itself_by_what_it_holds(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    lake.sql("CREATE OR REPLACE TABLE numbers AS SELECT id * 10 AS id, word FROM numbers")
    assert lake.ids("numbers") == [0, 10, 20, 30, 40]


@on_both_stores
def test_a_table_is_renamed_also_into_another_namespace(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    lake.sql(f"CREATE NAMESPACE {lake}.other")
    uuid = lake.load("numbers").metadata.table_uuid
    lake.sql("ALTER TABLE numbers RENAME TO figures")
    assert [row["tableName"] for row in lake.sql("SHOW TABLES")] == ["figures"]

    lake.sql(f"ALTER TABLE {lake}.figures RENAME TO {lake.namespace}.other.digits")
    assert not lake.exists("figures")
    assert lake.ids("other.digits") == [0, 1, 2, 3, 4]
    assert lake.load("other.digits").metadata.table_uuid == uuid
    lake.sql(f"INSERT INTO {lake}.other.digits VALUES (5, 'w5')")
    assert lake.ids("other.digits") == [0, 1, 2, 3, 4, 5]
    # The old name is free, and what takes it is another table.
    lake.sql("CREATE TABLE numbers AS SELECT 9L AS id")
    assert lake.ids("numbers") == [9]
    assert lake.ids("other.digits") == [0, 1, 2, 3, 4, 5]


def test_a_table_is_not_renamed_to_a_name_that_is_taken(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    lake.sql("CREATE TABLE figures AS SELECT 9L AS id")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        lake.sql("ALTER TABLE numbers RENAME TO figures")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("ALTER TABLE nowhere RENAME TO somewhere")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]
    assert lake.ids("figures") == [9]


def data_files(lake: Lake, table: str) -> list[Path]:
    return [Path(urlsplit(row["file_path"]).path) for row in lake.sql(f"SELECT file_path FROM {lake}.{table}.all_files")]


def test_a_dropped_table_is_gone_its_name_free_and_its_files_stay(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    files, metadata = data_files(lake, "numbers"), lake.load("numbers").metadata_location
    lake.sql("DROP TABLE numbers")

    assert not lake.exists("numbers")
    assert lake.sql("SHOW TABLES") == []
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("SELECT * FROM numbers")
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("DROP TABLE numbers")
    lake.sql("DROP TABLE IF EXISTS numbers")
    assert files and all(file.is_file() for file in files)
    assert Path(urlsplit(metadata).path).is_file()
    lake.sql("CREATE TABLE numbers AS SELECT 9L AS id")
    assert lake.rows("numbers") == [{"id": 9}]


def test_spark_deletes_the_files_of_a_table_that_it_purges(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    lake.sql("DELETE FROM numbers WHERE id = 1")
    files = data_files(lake, "numbers")
    lake.sql("DROP TABLE numbers PURGE")

    # Spark's catalog deletes files on its own and only drops the table through the server.
    assert files and not any(file.exists() for file in files)
    assert not lake.exists("numbers")
    lake.sql("CREATE TABLE numbers AS SELECT 9L AS id")
    assert lake.rows("numbers") == [{"id": 9}]


def test_a_table_that_keeps_its_files_is_not_purged(lake: Lake) -> None:
    lake.sql(f"CREATE TABLE numbers TBLPROPERTIES ('gc.enabled' = 'false') AS {FIVE}")
    with pytest.raises(Exception, match="Cannot purge table: GC is disabled"):
        lake.sql("DROP TABLE numbers PURGE")
    assert lake.ids("numbers") == [0, 1, 2, 3, 4]


def purge_from_java(lake: Lake) -> None:
    """Iceberg's Java catalog, the one inside of Spark."""
    iceberg = lake.spark.sparkContext._jvm.org.apache.iceberg
    catalog = iceberg.spark.Spark3Util.loadIcebergCatalog(lake.spark._jsparkSession, lake.name)
    assert catalog.dropTable(iceberg.catalog.TableIdentifier.parse(f"{lake.namespace}.numbers"), True)


def purge_from_python(lake: Lake) -> None:
    lake.catalog.purge_table((lake.namespace, "numbers"))


@smoke_and_on_s3
@pytest.mark.parametrize("purge", [purge_from_java, purge_from_python])
def test_a_purge_by_the_server_frees_the_name_at_once(lake: Lake, purge: Callable[[Lake], None]) -> None:
    """Both libraries ask the server to purge, where Spark's SQL deletes the files itself."""
    lake.sql(f"CREATE TABLE numbers AS {FIVE}")
    purge(lake)

    assert lake.sql("SHOW TABLES") == []
    with pytest.raises(Exception, match="TABLE_OR_VIEW_NOT_FOUND"):
        lake.sql("SELECT * FROM numbers")
    lake.sql("CREATE TABLE numbers AS SELECT 9L AS id")
    assert lake.rows("numbers") == [{"id": 9}]


def test_a_table_is_made_where_the_statement_says(lake: Lake) -> None:
    lake.sql("CREATE TABLE first (id BIGINT)")
    location = f"{lake.load('first').location()}-chosen"
    lake.sql(f"CREATE TABLE second (id BIGINT) LOCATION '{location}'")
    lake.sql("INSERT INTO second VALUES (1)")

    assert lake.load("second").location() == location
    assert lake.ids("second") == [1]
    for place in (location, f"{location}/inside"):
        with pytest.raises(Exception, match="Invalid location: it overlaps with another table's"):
            lake.sql(f"CREATE TABLE third (id BIGINT) LOCATION '{place}'")
    assert not lake.exists("third")


def test_show_and_describe_tell_what_a_table_is(lake: Lake) -> None:
    lake.sql(
        """CREATE TABLE numbers (id BIGINT NOT NULL COMMENT 'The key', word STRING)
        PARTITIONED BY (bucket(2, id)) COMMENT 'Numbers'"""
    )
    described = {row["col_name"]: row["data_type"] for row in lake.sql("DESCRIBE TABLE EXTENDED numbers")}
    assert (described["id"], described["word"], described["Comment"]) == ("bigint", "string", "Numbers")
    assert described["Location"] == lake.load("numbers").location()
    assert described["Provider"] == "iceberg"
    statement = lake.one("SHOW CREATE TABLE numbers")
    assert "PARTITIONED BY (bucket(2, id))" in statement
    assert "COMMENT 'The key'" in statement
    assert lake.sql("SHOW TABLES LIKE 'num*'")[0]["tableName"] == "numbers"
    assert [row["col_name"] for row in lake.sql("SHOW COLUMNS IN numbers")] == ["id", "word"]
