"""Many processes appending to one table at the same time.

Each writer is a process of its own with its own client. It does what writers
do: write a data file once, then commit it, and on a conflict take the new
state of the table and commit again, after a wait that doubles every time and
is drawn at random, so that the losers of a race do not race again at once.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import random
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType, NestedField

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "writer", IntegerType(), required=True),
)
ARROW_SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("writer", pa.int32(), nullable=False)])
ROWS_PER_COMMIT = 10
IDS_PER_WRITER = 1_000_000_000

# The waits which Iceberg has unless told otherwise.
MIN_WAIT_SECONDS = 0.1
MAX_WAIT_SECONDS = 60.0

PROPERTIES = {
    # The writer retries by itself, with its file already in place.
    "commit.retry.num-retries": "0",
    # Files which the client did not write are read by the names of their columns.
    "schema.name-mapping.default": SCHEMA.name_mapping.model_dump_json(),
    # What any table needs that gets very many small commits.
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
    "write.metadata.previous-versions-max": "10",
}
# A writer needs no more of the table's past than the snapshots it builds upon.
CLIENT_PROPERTIES = {"snapshot-loading-mode": "refs"}

# Every commit costs a client time in proportion to the snapshots of the table,
# so they are expired all along.
EXPIRY_SECONDS = 2.0
START_SECONDS = 120
FINISH_SECONDS = 180


class CountingCatalog(RestCatalog):
    """A client which counts the answers to its commits."""

    def __init__(self, name: str, **properties: str) -> None:
        super().__init__(name, **properties)
        self.committed = 0
        self.conflicts = 0
        self.failures: list[str] = []

    def commit_table(self, *arguments: Any, **options: Any) -> Any:
        try:
            answer = super().commit_table(*arguments, **options)
        except CommitFailedException:
            self.conflicts += 1
            raise
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            raise
        self.committed += 1
        return answer


@dataclass
class Outcome:
    """What one writer did."""

    writer: int
    acknowledged: list[int] = field(default_factory=list)
    """The ids of the rows whose commit was acknowledged."""
    refused: list[int] = field(default_factory=list)
    """The ids of the rows whose commit was given up after a conflict."""
    commits_in_time: int = 0
    """How many commits were acknowledged before the time was over."""
    conflicts: int = 0
    failures: list[str] = field(default_factory=list)
    """Everything that was neither an acknowledgement nor a conflict."""


@dataclass
class Run:
    """What all writers did together."""

    writers: int
    seconds: float
    outcomes: list[Outcome]
    expiry_failures: list[str]

    @property
    def acknowledged(self) -> list[int]:
        return [row for outcome in self.outcomes for row in outcome.acknowledged]

    @property
    def refused(self) -> list[int]:
        return [row for outcome in self.outcomes for row in outcome.refused]

    @property
    def conflicts(self) -> int:
        return sum(outcome.conflicts for outcome in self.outcomes)

    @property
    def failures(self) -> list[str]:
        return self.expiry_failures + [failure for outcome in self.outcomes for failure in outcome.failures]

    @property
    def commits(self) -> int:
        return sum(outcome.commits_in_time for outcome in self.outcomes)

    @property
    def rate(self) -> float:
        """Acknowledged commits per second."""
        return self.commits / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.writers} writer(s): {self.commits} commits in {self.seconds:.0f} s = {self.rate:.2f}/s, "
            f"{self.conflicts} conflicts, {len(self.refused) // ROWS_PER_COMMIT} commits given up"
        )


def write_file(table: Table, writer: int, ids: list[int]) -> str:
    """Put the rows into a data file of their own; its location."""
    location = f"{table.location()}/data/{writer:02}-{ids[0]}.parquet"
    rows = pa.Table.from_pydict({"id": ids, "writer": [writer] * len(ids)}, schema=ARROW_SCHEMA)
    with table.io.new_output(location).create() as target, pq.ParquetWriter(target, ARROW_SCHEMA) as parquet:
        parquet.write_table(rows)
    return location


def commit_until(table: Table, location: str, end: float) -> bool:
    """Commit a file, over and over if need be, until that works or the time is over."""
    for attempt in itertools.count():
        table.refresh()
        try:
            table.add_files([location], check_duplicate_files=False)
            return True
        except CommitFailedException:
            wait = random.uniform(0.5, 1.5) * min(MAX_WAIT_SECONDS, MIN_WAIT_SECONDS * 2**attempt)
            if time.monotonic() + wait >= end:
                return False
            time.sleep(wait)
    raise AssertionError("unreachable")


def write(
    writer: int, properties: dict[str, str], identifier: tuple[str, ...], barrier: Any, seconds: float, results: Any
) -> None:
    """Append until the time is over; the body of one writer."""
    outcome = Outcome(writer)
    try:
        random.seed(writer)
        catalog = CountingCatalog(f"writer-{writer}", **properties, **CLIENT_PROPERTIES)
        table = catalog.load_table(identifier)
        barrier.wait(START_SECONDS)
        end = time.monotonic() + seconds
        for first in itertools.count(writer * IDS_PER_WRITER, ROWS_PER_COMMIT):
            if time.monotonic() >= end:
                break
            ids = list(range(first, first + ROWS_PER_COMMIT))
            if commit_until(table, write_file(table, writer, ids), end):
                outcome.acknowledged += ids
                outcome.commits_in_time += time.monotonic() < end
            else:
                outcome.refused += ids
        outcome.conflicts = catalog.conflicts
        outcome.failures = catalog.failures
    except BaseException:
        outcome.failures.append(traceback.format_exc())
    results.put(outcome)


class Expiry(threading.Thread):
    """Expires all snapshots but the current one, time and again."""

    def __init__(self, properties: dict[str, str], identifier: tuple[str, ...]) -> None:
        super().__init__(daemon=True)
        self.catalog = CountingCatalog("expiry", **properties)
        self.identifier = identifier
        self.over = threading.Event()
        self.failures: list[str] = []

    def run(self) -> None:
        try:
            while not self.over.wait(EXPIRY_SECONDS):
                self.expire()
        except BaseException:
            self.failures.append(traceback.format_exc())

    def expire(self) -> None:
        table = self.catalog.load_table(self.identifier)
        current = table.current_snapshot()
        old = [snapshot.snapshot_id for snapshot in table.snapshots() if current and snapshot != current]
        if old:
            with contextlib.suppress(CommitFailedException):  # there is a next time
                table.maintenance.expire_snapshots().by_ids(old).commit()

    def stop(self) -> list[str]:
        self.over.set()
        self.join(FINISH_SECONDS)
        return self.failures


def run(properties: dict[str, str], identifier: tuple[str, ...], writers: int, seconds: float) -> Run:
    """Let a number of writers append to the table for a number of seconds."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(writers), context.Queue()
    processes = [
        context.Process(target=write, args=(writer, properties, identifier, barrier, seconds, results), daemon=True)
        for writer in range(writers)
    ]
    expiry = Expiry(properties, identifier)
    expiry.start()
    for process in processes:
        process.start()
    try:
        outcomes = [results.get(timeout=START_SECONDS + seconds + FINISH_SECONDS) for _ in processes]
    finally:
        failures = expiry.stop()
        for process in processes:
            process.join(5)
            if process.is_alive():
                process.kill()
    return Run(writers, seconds, sorted(outcomes, key=lambda outcome: outcome.writer), failures)
