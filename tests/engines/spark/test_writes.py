"""Rows into tables and out of them again, and rows changed in both ways that Iceberg has."""

from __future__ import annotations

import datetime

import pytest

from lake import Lake, on_both_stores, smoke_and_on_s3

MODES = ["copy-on-write", "merge-on-read"]
POSITION_DELETES = 1


def cities(lake: Lake, mode: str, files: int = 1) -> None:
    """Six cities in a partitioned table, which is changed in the given mode."""
    lake.sql(
        f"""CREATE TABLE cities (id BIGINT NOT NULL, city STRING, people INT, country STRING) PARTITIONED BY (country)
        TBLPROPERTIES ('format-version' = '2', 'write.merge.mode' = '{mode}',
                       'write.update.mode' = '{mode}', 'write.delete.mode' = '{mode}')"""
    )
    lake.sql(
        """INSERT INTO cities SELECT /*+ COALESCE(1) */ * FROM VALUES
        (1, 'Oslo', 717, 'no'), (2, 'Bergen', 291, 'no'), (3, 'Tromsø', 78, 'no'),
        (4, 'Malmö', 362, 'se'), (5, 'Uppsala', 177, 'se'), (6, NULL, NULL, NULL)"""
    )


def delete_files(lake: Lake) -> list[dict[str, object]]:
    return lake.sql(f"SELECT content, record_count FROM {lake}.cities.delete_files")


def assert_written_in(lake: Lake, mode: str) -> None:
    """Merge-on-read leaves delete files behind, and copy-on-write none."""
    contents = {row["content"] for row in delete_files(lake)}
    assert contents == ({POSITION_DELETES} if mode == "merge-on-read" else set())


@smoke_and_on_s3
def test_a_hundred_thousand_rows_go_into_a_partitioned_table_and_come_out(lake: Lake) -> None:
    lake.sql(
        """CREATE TABLE readings (id BIGINT NOT NULL, station STRING, day DATE, celsius DOUBLE)
        PARTITIONED BY (station, months(day))"""
    )
    lake.sql(
        """INSERT INTO readings
        SELECT id, concat('station-', id % 5), date_add(DATE'2026-01-01', CAST(id % 120 AS INT)), id / 8 FROM range(100000)"""
    )

    rows = lake.rows("readings")
    assert len(rows) == 100_000
    assert len({row["id"] for row in rows}) == 100_000
    assert {row["station"] for row in rows} == {f"station-{number}" for number in range(5)}
    assert sum(row["celsius"] for row in rows) == sum(number / 8 for number in range(100_000))
    # Of four months and five stations each.
    assert lake.one(f"SELECT count(*) FROM {lake}.readings.partitions") == 20
    march = lake.sql(
        """SELECT count(*) AS n, min(day) AS first FROM readings
        WHERE station = 'station-3' AND day >= DATE'2026-03-01' AND day < DATE'2026-04-01'"""
    )
    expected = [n for n in range(100_000) if n % 5 == 3 and 59 <= n % 120 < 90]
    assert march == [{"n": len(expected), "first": datetime.date(2026, 3, 5)}]


@pytest.mark.smoke
@pytest.mark.parametrize("mode", MODES)
def test_merge_changes_deletes_and_adds_rows(lake: Lake, mode: str) -> None:
    cities(lake, mode)
    lake.sql(
        """MERGE INTO cities t USING (
            SELECT * FROM VALUES (1, 'Oslo', 720, 'no'), (2, 'gone', 0, 'no'), (4, 'Malmö', 365, 'dk'), (7, 'Visby', 24, 'se')
            AS s(id, city, people, country)) s ON t.id = s.id
        WHEN MATCHED AND s.city = 'gone' THEN DELETE
        WHEN MATCHED THEN UPDATE SET people = s.people, country = s.country
        WHEN NOT MATCHED THEN INSERT *
        WHEN NOT MATCHED BY SOURCE AND t.city IS NULL THEN UPDATE SET city = 'nobody'"""
    )

    assert_written_in(lake, mode)
    assert {row["id"]: (row["city"], row["people"], row["country"]) for row in lake.rows("cities")} == {
        1: ("Oslo", 720, "no"),
        3: ("Tromsø", 78, "no"),
        4: ("Malmö", 365, "dk"),
        5: ("Uppsala", 177, "se"),
        6: ("nobody", None, None),
        7: ("Visby", 24, "se"),
    }


@pytest.mark.parametrize("mode", MODES)
def test_update_changes_the_rows_that_match(lake: Lake, mode: str) -> None:
    cities(lake, mode)
    lake.sql("UPDATE cities SET people = people + 1, city = upper(city) WHERE country = 'no' AND people > 100")

    assert_written_in(lake, mode)
    assert {row["id"]: (row["city"], row["people"]) for row in lake.rows("cities")} == {
        1: ("OSLO", 718),
        2: ("BERGEN", 292),
        3: ("Tromsø", 78),
        4: ("Malmö", 362),
        5: ("Uppsala", 177),
        6: (None, None),
    }


@pytest.mark.parametrize("mode", MODES)
def test_delete_removes_the_rows_that_match_and_no_others(lake: Lake, mode: str) -> None:
    cities(lake, mode)
    lake.sql("DELETE FROM cities WHERE city IN ('Bergen', 'Uppsala') OR city IS NULL")

    assert_written_in(lake, mode)
    assert lake.ids("cities") == [1, 3, 4]


@on_both_stores
def test_deletes_upon_deletes_add_up(lake: Lake) -> None:
    cities(lake, "merge-on-read")
    for city, left in [("Oslo", [2, 3, 4, 5, 6]), ("Malmö", [2, 3, 5, 6]), ("Tromsø", [2, 5, 6])]:
        lake.sql(f"DELETE FROM cities WHERE city = '{city}'")
        assert lake.ids("cities") == left
    lake.sql("INSERT INTO cities VALUES (1, 'Oslo', 717, 'no')")

    assert lake.ids("cities") == [1, 2, 5, 6]
    assert sum(row["record_count"] for row in delete_files(lake)) == 3


def test_a_delete_of_whole_partitions_writes_nothing_but_metadata(lake: Lake) -> None:
    cities(lake, "merge-on-read")
    lake.sql("DELETE FROM cities WHERE country = 'no'")

    assert lake.ids("cities") == [4, 5, 6]
    assert delete_files(lake) == []
    summary = lake.load("cities").current_snapshot().summary
    assert summary["deleted-records"] == "3"
    assert "added-data-files" not in summary.additional_properties


def test_an_overwrite_replaces_the_whole_table_or_the_partitions_it_writes_to(lake: Lake) -> None:
    cities(lake, "copy-on-write")
    with lake.conf({"spark.sql.sources.partitionOverwriteMode": "dynamic"}):
        lake.sql("INSERT OVERWRITE cities VALUES (10, 'Kiruna', 17, 'se')")
        assert lake.ids("cities") == [1, 2, 3, 6, 10]
    lake.sql("INSERT OVERWRITE cities PARTITION (country = 'no') SELECT 11, 'Bodø', 42")
    assert lake.ids("cities") == [6, 10, 11]
    lake.sql("INSERT OVERWRITE cities VALUES (12, 'Turku', 195, 'fi')")
    assert lake.ids("cities") == [12]
    lake.sql("TRUNCATE TABLE cities")
    assert lake.ids("cities") == []


def test_a_frame_is_written_with_the_writers_of_the_programming_interface(lake: Lake) -> None:
    frame = lake.spark.range(10).selectExpr("id", "CAST(id % 2 AS INT) AS parity")
    frame.writeTo(f"{lake}.numbers").partitionedBy("parity").tableProperty("made-by", "tests").create()
    frame.selectExpr("id + 10 AS id", "parity").writeTo(f"{lake}.numbers").append()
    assert lake.ids("numbers") == list(range(20))

    frame.where("parity = 1").selectExpr("id + 100 AS id", "parity").writeTo(f"{lake}.numbers").overwritePartitions()
    assert lake.ids("numbers") == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 101, 103, 105, 107, 109]
    assert lake.load("numbers").properties["made-by"] == "tests"


@pytest.mark.parametrize("file_format", ["parquet", "orc", "avro"])
def test_rows_are_kept_in_each_file_format(lake: Lake, file_format: str) -> None:
    lake.sql(f"CREATE TABLE numbers (id BIGINT, word STRING) TBLPROPERTIES ('write.format.default' = '{file_format}')")
    lake.sql("INSERT INTO numbers SELECT id, concat('word ', id) FROM range(50)")

    assert {row["file_format"] for row in lake.sql(f"SELECT file_format FROM {lake}.numbers.files")} == {file_format.upper()}
    assert lake.sql("SELECT * FROM numbers ORDER BY id") == [{"id": number, "word": f"word {number}"} for number in range(50)]
    if file_format == "avro":
        # PyIceberg reads no Avro, so it reads what Spark makes of it: the same rows in Parquet.
        lake.sql("ALTER TABLE numbers SET TBLPROPERTIES ('write.format.default' = 'parquet')")
        lake.sql("CALL nunatak.system.rewrite_data_files(table => 'numbers', options => map('rewrite-all', 'true'))")
    assert lake.ids("numbers") == list(range(50))


def test_every_type_that_spark_has_survives(lake: Lake) -> None:
    lake.sql(
        """CREATE TABLE kinds (id BIGINT, b BOOLEAN, i INT, l BIGINT, f FLOAT, d DOUBLE, small DECIMAL(9, 2), large DECIMAL(38, 10),
        day DATE, at TIMESTAMP, local TIMESTAMP_NTZ, s STRING, raw BINARY, list ARRAY<INT>, pairs MAP<STRING, BIGINT>,
        deep STRUCT<x: INT, y: ARRAY<STRUCT<z: STRING>>, m: MAP<STRING, ARRAY<INT>>>)"""
    )
    lake.sql(
        """INSERT INTO kinds VALUES
        (1, true, 2147483647, 9223372036854775807, CAST(1.5 AS FLOAT), 2.5D, 1234567.89, 1234567890123456789012345678.0123456789,
         DATE'2026-02-28', TIMESTAMP'2026-02-28 23:59:59.123456', TIMESTAMP_NTZ'1969-12-31 23:59:59.999999', 'snø', X'00FF',
         array(1, NULL, 3), map('a', 1, 'b', NULL), struct(1, array(struct('z'), NULL), map('k', array(1, 2)))),
        (2, false, -2147483648, -9223372036854775808, CAST('NaN' AS FLOAT), CAST('-Infinity' AS DOUBLE), -0.01, 0,
         DATE'0001-01-01', TIMESTAMP'1582-10-15 00:00:00', TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', '', X'',
         array(), map(), struct(NULL, array(), map())),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"""
    )

    first, second, third = lake.sql("SELECT * FROM kinds ORDER BY id")
    assert first["large"].as_tuple().digits[:6] == (1, 2, 3, 4, 5, 6)
    assert first["at"] == datetime.datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=datetime.UTC)
    assert first["local"] == datetime.datetime(1969, 12, 31, 23, 59, 59, 999999)
    assert first["deep"] == {"x": 1, "y": [{"z": "z"}, None], "m": [("k", [1, 2])]}
    assert (second["f"], second["d"], second["raw"], second["list"]) == ("NaN", float("-inf"), b"", [])
    assert set(third) - {name for name, value in third.items() if value is None} == {"id"}
    assert len(lake.rows("kinds")) == 3
