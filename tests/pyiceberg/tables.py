"""Small tables with known rows, and ways to look at what is really stored."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IntegerType, LongType, NestedField, StringType

Row = dict[str, Any]

CITIES = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "city", StringType(), required=False),
    NestedField(3, "people", IntegerType(), required=False),
)

OSLO: Row = {"id": 1, "city": "Oslo", "people": 717}
BERGEN: Row = {"id": 2, "city": "Bergen", "people": 291}
TROMSO: Row = {"id": 3, "city": "Tromsø", "people": 78}
NOWHERE: Row = {"id": 4, "city": None, "people": None}
ALL_CITIES = [OSLO, BERGEN, TROMSO, NOWHERE]


def arrow(table: Table, rows: list[Row]) -> pa.Table:
    """The rows as an Arrow table which has the schema of the table."""
    return pa.Table.from_pylist(rows, schema=table.schema().as_arrow())


def append(table: Table, rows: list[Row], **options: Any) -> None:
    table.append(arrow(table, rows), **options)


def rows(table: Table, key: str = "id", **scan: Any) -> list[Row]:
    """All rows which a scan gives, ordered by a column that has no nulls."""
    return sorted(table.scan(**scan).to_arrow().to_pylist(), key=lambda row: row[key])


def rows_of(catalog: RestCatalog, identifier: Any, key: str = "id", **scan: Any) -> list[Row]:
    """All rows of a table which is loaded anew from the catalog."""
    return rows(catalog.load_table(identifier), key, **scan)


def cities(catalog: RestCatalog, namespace: Any, name: str = "cities", **options: Any) -> Table:
    """A table of cities, with no rows."""
    parts = namespace if isinstance(namespace, tuple) else (namespace,)
    return catalog.create_table((*parts, name), CITIES, **options)


def ids(given: list[Row]) -> list[Any]:
    return [row["id"] for row in given]


def filesystem_and_path(table: Table, location: str) -> tuple[FileSystem, str]:
    parts = urlsplit(location)
    filesystem = table.io.fs_by_scheme(parts.scheme or "file", parts.netloc)
    return filesystem, parts.path if parts.scheme in ("", "file") else parts.netloc + parts.path


def stored_files(table: Table) -> list[str]:
    """The paths of all files below the table's location."""
    filesystem, path = filesystem_and_path(table, table.location())
    found = filesystem.get_file_info(FileSelector(path, allow_not_found=True, recursive=True))
    return sorted(info.path for info in found if info.is_file)


def is_stored(table: Table, location: str) -> bool:
    filesystem, path = filesystem_and_path(table, location)
    return bool(filesystem.get_file_info(path).is_file)
