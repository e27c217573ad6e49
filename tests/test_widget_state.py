"""Widgets that show a value from elsewhere: what the browser is told, what counts as an edit."""

from streamlit.testing.v1 import AppTest


def page():
    import streamlit as st

    from pages.shared import widget_state
    widget_state.begin_run()
    st.session_state.setdefault("truth", 5)

    def take(new):
        st.session_state["truth"] = new
        st.session_state["edits"] = st.session_state.get("edits", 0) + 1
    if st.session_state.get("stopped"):
        st.stop()
    if not st.session_state.get("away"):                  # on another page
        st.number_input("Epochs", 1, 1000, **widget_state.follow("epochs", st.session_state["truth"], take))
    if st.session_state.pop("interrupt", False):          # as a click does in the middle of a run
        st.rerun()
    widget_state.count_run()


def run(**state):
    at = AppTest.from_function(page)
    for name, value in state.items():
        at.session_state[name] = value
    return at.run()


def test_a_value_is_said_again_where_the_run_that_said_it_was_interrupted():
    at = run(interrupt=True)
    assert at.number_input[0].proto.set_value and at.number_input[0].proto.value == 5


def test_a_value_that_was_heard_is_not_said_again():
    """Or a page that answers late would take back what has been typed since."""
    at = run()
    assert at.run().number_input[0].proto.set_value
    assert not at.run().number_input[0].proto.set_value
    at.number_input[0].set_value(9).run()
    assert not at.number_input[0].proto.set_value and at.session_state["truth"] == 9


def test_a_value_that_the_program_changes_makes_a_new_widget_and_what_the_old_one_says_is_no_edit():
    at = run()
    at.session_state["truth"] = 7
    at.run()
    assert at.number_input[0].key == "epochs~1" and at.number_input[0].value == 7 and at.number_input[0].proto.set_value
    assert at.session_state["truth"] == 7 and "edits" not in at.session_state
    at.number_input[0].set_value(8).run()
    assert at.session_state["truth"] == 8 and at.session_state["edits"] == 1 and at.number_input[0].key == "epochs~1"


def test_a_widget_that_was_away_says_its_value_again():
    at = run()
    at.run().run()
    at.session_state["away"] = True
    assert not at.run().number_input
    at.session_state["away"] = False
    assert at.run().number_input[0].proto.set_value and at.number_input[0].value == 5


def test_a_widget_that_a_stopped_run_did_not_draw_says_its_value_again():
    """As on Evaluate, where a locked test set ends the page: the positive class was another one in the browser than here."""
    at = run()
    at.run().run()
    at.session_state["stopped"] = True
    assert not at.run().number_input
    at.session_state["stopped"] = False
    for _ in range(2):
        assert at.run().number_input[0].proto.set_value and at.number_input[0].value == 5
    assert not at.run().number_input[0].proto.set_value
