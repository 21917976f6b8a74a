"""Several writers at once: Iceberg's retries and the catalog's answers make one history of them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from lake import Lake, on_both_stores

WRITERS, COMMITS = 4, 6
FAILURE_SHOWN = 2_000


def at_once(lake: Lake, work: Callable[[SparkSession, int], None], writers: int = WRITERS) -> list[str]:
    """Runs the work in several threads with a Spark session each; what they failed with."""
    barrier, failures = threading.Barrier(writers), []
    sessions = [lake.spark.newSession() for _ in range(writers)]
    for session in sessions:
        for name, value in lake.spark.conf.getAll.items():
            if name.startswith(f"spark.sql.catalog.{lake.name}"):
                session.conf.set(name, value)
        session.sql(f"USE {lake}")

    def run(writer: int) -> None:
        try:
            barrier.wait(60)
            work(sessions[writer], writer)
        except Exception as error:
            failures.append(str(error)[:FAILURE_SHOWN])

    threads = [threading.Thread(target=run, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@on_both_stores
def test_appends_of_several_sessions_all_arrive(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT) TBLPROPERTIES ('commit.retry.num-retries' = '20')")

    def work(session: SparkSession, writer: int) -> None:
        for commit in range(COMMITS):
            session.sql(f"INSERT INTO numbers VALUES ({writer * 100 + commit})")

    assert at_once(lake, work) == []
    assert lake.ids("numbers") == sorted(writer * 100 + commit for writer in range(WRITERS) for commit in range(COMMITS))
    snapshots = lake.sql(f"SELECT snapshot_id, parent_id FROM {lake}.numbers.snapshots ORDER BY committed_at")
    assert len(snapshots) == WRITERS * COMMITS
    # One line of snapshots, with no forks.
    assert len({row["parent_id"] for row in snapshots}) == len(snapshots)


@pytest.mark.parametrize("mode", ["copy-on-write", "merge-on-read"])
def test_updates_of_rows_in_different_partitions_all_take_effect(lake: Lake, mode: str) -> None:
    lake.sql(
        f"""CREATE TABLE counters (id BIGINT, n BIGINT) PARTITIONED BY (id) TBLPROPERTIES ('commit.retry.num-retries' = '20',
        'write.update.mode' = '{mode}', 'write.update.isolation-level' = 'snapshot')"""
    )
    lake.sql(f"INSERT INTO counters SELECT id, 0 FROM range({WRITERS})")

    def work(session: SparkSession, writer: int) -> None:
        for _ in range(3):
            session.sql(f"UPDATE counters SET n = n + 1 WHERE id = {writer}")

    assert at_once(lake, work) == []
    assert lake.rows("counters") == [{"id": writer, "n": 3} for writer in range(WRITERS)]


def test_of_updates_of_the_same_row_none_is_lost_and_none_made_up(lake: Lake) -> None:
    """Which of them fail is Spark's to say: each that says that it succeeded counts, and no other."""
    lake.sql("CREATE TABLE counters (id BIGINT, n BIGINT) TBLPROPERTIES ('commit.retry.num-retries' = '20')")
    lake.sql("INSERT INTO counters VALUES (1, 0)")
    succeeded = []

    def work(session: SparkSession, writer: int) -> None:
        for commit in range(3):
            session.sql("UPDATE counters SET n = n + 1 WHERE id = 1")
            succeeded.append((writer, commit))

    failures = at_once(lake, work)
    assert all("conflicting" in failure or "CommitFailed" in failure for failure in failures), failures
    assert succeeded
    assert lake.rows("counters") == [{"id": 1, "n": len(succeeded)}]


def test_properties_change_while_rows_are_appended(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT) TBLPROPERTIES ('commit.retry.num-retries' = '20')")

    def work(session: SparkSession, writer: int) -> None:
        for commit in range(4):
            if writer == 0:
                session.sql(f"ALTER TABLE numbers SET TBLPROPERTIES ('step' = '{commit}')")
            else:
                session.sql(f"INSERT INTO numbers (id) VALUES ({writer * 100 + commit})")

    assert at_once(lake, work, writers=3) == []
    assert lake.ids("numbers") == [100, 101, 102, 103, 200, 201, 202, 203]
    assert lake.load("numbers").properties["step"] == "3"


def test_of_several_sessions_that_create_a_table_one_does(lake: Lake) -> None:
    created = []

    def work(session: SparkSession, writer: int) -> None:
        session.sql(f"CREATE TABLE numbers AS SELECT {writer}L AS id")
        created.append(writer)

    failures = at_once(lake, work)
    assert len(created) == 1
    assert len(failures) == WRITERS - 1
    assert all("ALREADY_EXISTS" in failure or "already exists" in failure for failure in failures), failures
    assert lake.ids("numbers") == created


def test_compaction_and_appends_do_not_disturb_each_other(lake: Lake) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT) TBLPROPERTIES ('commit.retry.num-retries' = '20')")
    for number in range(4):
        lake.sql(f"INSERT INTO numbers VALUES ({number})")

    def work(session: SparkSession, writer: int) -> None:
        for commit in range(3):
            if writer == 0:
                session.sql("CALL nunatak.system.rewrite_data_files(table => 'numbers', options => map('rewrite-all', 'true'))")
            else:
                session.sql(f"INSERT INTO numbers VALUES ({writer * 100 + commit})")

    assert at_once(lake, work, writers=3) == []
    assert lake.ids("numbers") == [0, 1, 2, 3, 100, 101, 102, 200, 201, 202]
