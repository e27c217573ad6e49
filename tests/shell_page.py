"""A page for tests/test_browser_shell.py: every part of the shell once, with contents that the test knows."""

import time

import numpy as np
import streamlit as st

from core.errors import LightboxError
from pages.evaluate.confusion import confusion
from pages.shared import theme
from pages.shared.gallery import gallery
from pages.shared.layout import Chip, escape, long_task, page_header, show_error
from tests.odd import GRAYS, ODD, SIDE, STRIP

st.set_page_config(layout="wide")
theme.apply()
color, number = page_header("Shell", Chip("color", "Color", {"red": "Red", "blue": "Blue"}),
                            Chip("number", "Number", {"1": "One"}, free=True))
st.text(f"chips {color} {number}")

images = np.empty((len(GRAYS), SIDE, SIDE, 1), np.uint8)
images[:] = np.array(GRAYS)[:, None, None, None]
images[:, :, :STRIP] = 255 - images[:, :, :STRIP]
clicked = gallery(images, key="grid", aria_label="Grays", captions=[ODD, *map(str, range(1, 50))],
                  marks=["right", "wrong", *[None] * 48], tile=90, selected=3)
st.text(f"clicked {clicked}")
cell = confusion(np.array([[8, 2], [1, 9]]), [ODD, "sick"], key="matrix")
st.text(f"cell {cell}")
# What pages/shared/streamlit.css names of Streamlit's own.
left, right = st.columns(2)
left.metric("Number", "1")
left.slider("Size", 0, 9)
left.multiselect("Tags", ["one"], default=["one"])
left.button("Go", type="primary")
right.caption("small")
right.page_link("https://example.org", label="a link")
right.file_uploader("A file")
right.vega_lite_chart({"data": {"values": [{"x": 1}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}, alt="a point")

st.markdown(escape(ODD))
show_error(LightboxError("test.odd", ODD, "Try again."))

if st.toggle("Work"):
    with long_task("Working", key="work") as progress:
        for i in range(st.session_state.get("done", 0), 60):
            time.sleep(0.05)
            st.session_state["done"] = i + 1
            st.session_state["worked"] = st.session_state.get("worked", 0) + 1
            progress("Working", i + 1, 60)
    st.text(f"all done in {st.session_state['worked']} pieces")
st.text(f"ticked {st.checkbox('Tick')}")
