"""The tables of statistics: sort, filter, download; and the downloads of report and workbook."""

import pandas as pd
import streamlit as st

from backend.zones.columns import COLUMNS
from backend.zones.report import REPORT
from backend.zones.statistics_library import StatisticsRun
from backend.zones.table_files import ABOUT, WORKBOOK

FILTERS = ("video", "camera", "day", "by", "bird", "zone", "kind")
SHOWN_ROWS = 50_000


@st.cache_data(max_entries=30, show_spinner=False)
def read_table(folder: str, name: str, started: str, _run: StatisticsRun) -> pd.DataFrame:
    """Return a table. What is finished does not change; ``started`` tells two runs in one folder apart."""
    return _run.table(name)


def table_of(run: StatisticsRun, name: str) -> pd.DataFrame:
    """Return a table, cached."""
    return read_table(str(run.folder), name, str(run.manifest.started), run)


def show_downloads(run: StatisticsRun) -> None:
    """Draw the buttons for the report and the workbook."""
    name = run.folder.name
    with st.container(horizontal=True):
        st.download_button(
            "Report (HTML)", (run.folder / REPORT).read_bytes(), f"{name}.html", "text/html",
            icon=":material/description:", type="primary",
        )  # fmt: skip
        st.download_button(
            "Workbook (XLSX)", (run.folder / WORKBOOK).read_bytes(), f"{name}.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", icon=":material/table:",
        )  # fmt: skip


def show_tables(run: StatisticsRun) -> None:
    """Draw one table with filters. A click on a column header sorts."""
    name = st.selectbox("Table", run.tables, format_func=lambda table: f"{table}: {ABOUT[table]}")
    table = table_of(run, name)
    filters = [column for column in FILTERS if column in table and table[column].nunique() > 1]
    for column, box in zip(filters, st.columns(max(1, len(filters))), strict=False):
        chosen = box.multiselect(column, sorted(table[column].unique()), key=f"filter-{name}-{column}")
        if chosen:
            table = table[table[column].isin(chosen)]
    st.dataframe(
        table.head(SHOWN_ROWS),
        hide_index=True,
        column_config={column: st.column_config.Column(help=COLUMNS[column]) for column in table},
    )
    more = f", the first {SHOWN_ROWS} are shown" if len(table) > SHOWN_ROWS else ""
    st.caption(f"{len(table)} rows{more}. Hover over a column header for its meaning.")
    st.download_button(
        "Download these rows (CSV)", table.to_csv(index=False).encode(), f"{run.folder.name}-{name}.csv", "text/csv",
        icon=":material/download:",
    )  # fmt: skip
