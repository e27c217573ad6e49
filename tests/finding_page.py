"""A page for tests/test_finding.py: the finder alone, under the form's learning rate."""

import streamlit as st

from pages.shared import config_form, theme
from pages.train import lr_finder

theme.apply()
config_form.draw("optim.lr")
st.text(f"rate {config_form.value_of('optim.lr'):g}")
lr_finder.draw_finder(config_form.read())
