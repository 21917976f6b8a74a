"""Streams into tables and out of them, interrupted and taken up again."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame

from lake import Lake, on_both_stores


def numbers_in(lake: Lake, directory: Path) -> DataFrame:
    """A stream of the JSON files that appear in a directory, one at a time."""
    return lake.spark.readStream.schema("id BIGINT, word STRING").option("maxFilesPerTrigger", 1).json(str(directory))


def put(directory: Path, number: int) -> None:
    """Makes a file with two rows appear as a whole."""
    rows = "".join(f'{{"id": {n}, "word": "w{n}"}}\n' for n in (number * 2, number * 2 + 1))
    hidden = directory / f".{number}.tmp"
    hidden.write_text(rows)
    hidden.rename(directory / f"{number}.json")


def run(frame: DataFrame, table: str, checkpoint: Path, mode: str = "append") -> None:
    """Writes all that is there to a table, and ends."""
    writer = frame.writeStream.outputMode(mode).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True)
    query = writer.toTable(table)
    assert query.awaitTermination(120), "the stream did not end"
    assert query.exception() is None


@on_both_stores
def test_a_stream_goes_on_where_it_was_when_it_starts_again(lake: Lake, tmp_path: Path) -> None:
    source, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    source.mkdir()
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING) PARTITIONED BY (bucket(2, id))")
    put(source, 0)
    put(source, 1)
    run(numbers_in(lake, source), f"{lake}.numbers", checkpoint)
    assert lake.ids("numbers") == [0, 1, 2, 3]
    # A commit for each file, which says which one of the stream it is.
    epochs = [row["e"] for row in lake.sql(f"SELECT summary['spark.sql.streaming.epochId'] AS e FROM {lake}.numbers.snapshots")]
    assert sorted(epochs) == ["0", "1"]

    put(source, 2)
    run(numbers_in(lake, source), f"{lake}.numbers", checkpoint)
    assert lake.ids("numbers") == [0, 1, 2, 3, 4, 5]
    run(numbers_in(lake, source), f"{lake}.numbers", checkpoint)
    assert lake.ids("numbers") == [0, 1, 2, 3, 4, 5]


def test_a_stream_that_lost_its_note_of_the_last_commit_does_not_commit_it_twice(lake: Lake, tmp_path: Path) -> None:
    source, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    source.mkdir()
    lake.sql("CREATE TABLE numbers (id BIGINT, word STRING)")
    put(source, 0)
    put(source, 1)
    run(numbers_in(lake, source), f"{lake}.numbers", checkpoint)
    # As if Spark had been killed between the catalog's answer and its own note of it.
    for note in (checkpoint / "commits" / "1", checkpoint / "commits" / ".1.crc"):
        note.unlink(missing_ok=True)
    put(source, 2)
    run(numbers_in(lake, source), f"{lake}.numbers", checkpoint)

    assert lake.ids("numbers") == [0, 1, 2, 3, 4, 5]
    assert len(lake.snapshots("numbers")) == 3


def test_a_stream_of_aggregates_replaces_the_table(lake: Lake, tmp_path: Path) -> None:
    source, checkpoint = tmp_path / "in", tmp_path / "checkpoint"
    source.mkdir()
    lake.sql("CREATE TABLE counts (parity BIGINT, n BIGINT)")
    for number in range(3):
        put(source, number)
    counts = numbers_in(lake, source).selectExpr("id % 2 AS parity").groupBy("parity").count().withColumnRenamed("count", "n")
    run(counts, f"{lake}.counts", checkpoint, mode="complete")
    assert lake.rows("counts") == [{"parity": 0, "n": 3}, {"parity": 1, "n": 3}]


@on_both_stores
def test_a_table_is_read_as_a_stream_into_another(lake: Lake, tmp_path: Path) -> None:
    lake.sql("CREATE TABLE source (id BIGINT)")
    lake.sql("CREATE TABLE target (id BIGINT, batch STRING)")
    lake.sql("INSERT INTO source VALUES (1), (2)")
    lake.sql("INSERT INTO source VALUES (3)")

    def go_on(batch: str) -> None:
        stream = lake.spark.readStream.option("streaming-skip-overwrite-snapshots", "true").table(f"{lake}.source")
        run(stream.selectExpr("id", f"'{batch}' AS batch"), f"{lake}.target", tmp_path / "checkpoint")

    go_on("first")
    assert lake.ids("target") == [1, 2, 3]
    lake.sql("INSERT INTO source VALUES (4), (5)")
    lake.sql("CALL " + lake.name + ".system.rewrite_data_files(table => 'source', options => map('rewrite-all', 'true'))")
    go_on("second")
    assert [(row["id"], row["batch"]) for row in lake.rows("target")] == [
        (1, "first"),
        (2, "first"),
        (3, "first"),
        (4, "second"),
        (5, "second"),
    ]


def test_a_continuous_stream_commits_while_others_write_to_the_table(lake: Lake, tmp_path: Path) -> None:
    lake.sql("CREATE TABLE numbers (id BIGINT)")
    rate = lake.spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5).load().selectExpr("value AS id")
    writer = rate.writeStream.option("checkpointLocation", str(tmp_path)).trigger(processingTime="200 milliseconds")
    query = writer.toTable(f"{lake}.numbers")
    try:
        for number in range(5):
            lake.sql(f"INSERT INTO numbers VALUES ({-1 - number})")
        while len(query.recentProgress) < 5:
            assert query.isActive, query.exception()
            query.awaitTermination(1)
    finally:
        query.stop()

    ids = lake.ids("numbers")
    streamed = [n for n in ids if n >= 0]
    assert ids[:5] == [-5, -4, -3, -2, -1]
    assert len(streamed) >= 20
    assert streamed == list(range(len(streamed)))
