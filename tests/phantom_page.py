"""A page for tests/test_phantom_form.py: the panel alone."""

from pages.add.phantom_form import draw_phantom_form

draw_phantom_form()
