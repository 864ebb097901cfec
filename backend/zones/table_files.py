"""Tables written to files: CSV and Parquet for every table, and one XLSX workbook with a sheet per table."""

from pathlib import Path

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from backend.project.atomic import atomic_file
from backend.zones.columns import COLUMNS
from backend.zones.measures import TABLES
from backend.zones.pooled import Tables

WORKBOOK = "statistics.xlsx"
CSV_NUMBERS = "%.10g"  # days of a recording to the microsecond
SHEET_ROWS = 200_000  # Excel takes a million, and then hardly opens
POOLED = {
    "birds_pooled": "times of birds with the same name, by camera, day and hour",
    "counts_pooled": "mean number of birds, by camera, day and hour",
}
ABOUT = TABLES | POOLED


def write_tables(folder: Path, tables: Tables) -> list[str]:
    """Write every table as CSV and Parquet, and the workbook; return the names of the files."""
    names = []
    for name, table in tables.items():
        with atomic_file(folder / f"{name}.csv") as file:
            file.write(table.to_csv(index=False, float_format=CSV_NUMBERS).encode())
        with atomic_file(folder / f"{name}.parquet") as file:
            table.to_parquet(file, index=False, compression="zstd")
        names += [f"{name}.csv", f"{name}.parquet"]
    with atomic_file(folder / WORKBOOK) as file:
        _workbook(tables).save(file)
    return [*names, WORKBOOK]


def _workbook(tables: Tables) -> Workbook:
    book = Workbook(write_only=True)
    _sheet(book, "about", pd.DataFrame(_about(tables), columns=["table", "column", "meaning"]))
    for name, table in tables.items():
        _sheet(book, name, table.head(SHEET_ROWS))
    return book


def _about(tables: Tables) -> list[tuple[str, str, str]]:
    rows = []
    for name, table in tables.items():
        cut = f"; the first {SHEET_ROWS} of {len(table)} rows, all are in {name}.csv" if len(table) > SHEET_ROWS else ""
        rows.append((name, "", ABOUT[name] + cut))
        rows += [(name, column, COLUMNS[column]) for column in table.columns]
    return rows


def _sheet(book: Workbook, title: str, table: pd.DataFrame) -> None:
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for index, column in enumerate(table.columns):
        sheet.column_dimensions[chr(65 + index) if index < 26 else f"A{chr(39 + index)}"].width = max(
            11, len(column) + 2
        )
    head = [WriteOnlyCell(sheet, value=column) for column in table.columns]
    for cell in head:
        cell.font = Font(bold=True)
    sheet.append(head)
    plain = table.astype(object).where(table.notna(), None)
    for row in plain.itertuples(index=False, name=None):
        sheet.append([value.item() if hasattr(value, "item") else _safe(value) for value in row])


def _safe(value: object) -> object:
    """Return text so that a spreadsheet does not take it for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@") else value
