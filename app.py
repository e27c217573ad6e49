"""Lightbox as a web application: `streamlit run app.py` starts it. The pages are listed in pages/main.py."""

import streamlit as st
from starlette.middleware import Middleware

from pages.shared.head_script import HeadScript

# The main script lies inside pages/: Streamlit looks for a folder of that name beside its main script and would start its old
# multi-page mode there, in which the first visitor of a fresh server who follows a link such as /train sees "Page not found".
app = st.App("pages/main.py", middleware=[Middleware(HeadScript)])
