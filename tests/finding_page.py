"""A page for tests/test_finding.py: the finder alone, under the form's learning rate."""

import streamlit as st

from pages.shared import config_form as forms
from pages.shared import theme
from pages.train import lr_finder as finding

theme.apply()
forms.draw("optim.lr")
st.text(f"rate {forms.value_of('optim.lr'):g}")
finding.draw_finder(forms.read())
