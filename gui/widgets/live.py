"""Parts of a page that refresh themselves while something runs, and stop when nothing does."""

from collections.abc import Callable

import streamlit as st

from gui.widgets.job_view import REFRESH_S


def live(draw: Callable[[], bool], busy: bool) -> None:
    """Draw now and, while ``busy``, again every few seconds.

    ``draw`` returns whether something still runs. When that changes the whole page is drawn anew, so that the timer
    starts or stops and the rest of the page sees the result.
    """

    @st.fragment(run_every=REFRESH_S if busy else None)
    def part() -> None:
        if draw() != busy:
            st.empty()  # a page that was clicked meanwhile opens here; Streamlit would forget it at the next line
            st.rerun()

    part()
