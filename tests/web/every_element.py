"""A Streamlit page with the elements that pages use or may use, to see what a content policy forbids."""

import numpy as np
import pandas as pd
import streamlit as st

st.set_page_config(page_title="every element", layout="wide")
table = pd.DataFrame({"bird": ["one", "two", "three"], "frames": [1, 5, 3], "share": [0.1, 0.5, 0.4]})
st.title("every element")
st.markdown("**text** :material/home: `code` $x^2$ :small[small]")
st.code("print(1)", language="python")
st.json({"a": [1, 2]})
st.dataframe(table)
st.data_editor(table, key="editor")
st.table(table)
st.line_chart(table.set_index("bird"))
st.bar_chart(table.set_index("bird"))
st.scatter_chart(table, x="frames", y="share")
st.metric("birds", 3, 1, chart_data=[1, 2, 3])
st.image(np.zeros((20, 20, 3), np.uint8))
st.html("<p style='color: green'>plain</p>")
st.download_button("download", "a,b", "table.csv")
st.file_uploader("upload")
st.slider("slider", 0, 10)
st.selectbox("select", ["a", "b"])
st.multiselect("multi", ["a", "b"], default=["a"])
st.date_input("date")
st.time_input("time")
st.color_picker("colour")
st.number_input("number")
st.text_area("area")
st.tabs(["one", "two"])[0].write("in a tab")
st.expander("more").write("inside")
st.progress(0.5, "half")
st.toast("toast")
INLINE = st.components.v2.component(
    "inline",
    html="<p></p>",
    js="export default ({parentElement}) => {parentElement.querySelector('p').textContent = 'inline'}",
)
INLINE(key="inline")
with st.form("form"):
    st.text_input("name")
    st.form_submit_button("send")


@st.fragment(run_every=1)
def tick() -> None:
    """Rerun by a timer of the browser."""
    st.session_state["ticks"] = st.session_state.get("ticks", 0) + 1
    st.write(f"ticks: {st.session_state['ticks']}")


tick()
if st.button("press"):
    st.write("pressed")
st.video(np.zeros(10, np.uint8).tobytes(), format="video/mp4")
st.write("all drawn")
