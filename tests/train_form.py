"""The form on the page Train, as tests fill it in."""

from core.runs.recipes import RECIPES


def widgets(at) -> dict:
    """Knob -> its widget, for all that the page draws."""
    found = [*at.number_input, *at.selectbox, *at.slider, *at.toggle, *at.text_input]
    return {w.key.removeprefix("knob_").split("~")[0].removesuffix("_as_typed"): w
            for w in found if w.key and w.key.startswith("knob_")}


def by_key(at, kind: str, name: str):
    """A widget whose key changes with what it shows."""
    return next(widget for widget in getattr(at, kind) if widget.key and widget.key.split("~")[0] == name)


def choose_recipe(at, key: str):
    return recipe_of(at, RECIPES[key].report).set_value(key).run()


def recipe_of(at, group: str):
    return by_key(at, "selectbox", "recipe_report") if group else by_key(at, "pills", "recipe_basic")


def type_in(at, name: str, value) -> None:
    """What a browser sends when somebody types what is not among the options; AppTest only takes an option."""
    at.session_state["form_of_a_run"][name] = value


def can_queue(at) -> bool:
    return not at.button("queue_run").disabled


def queue(at):
    at.button("queue_run").click().run()
    assert not at.exception, at.exception
    return at
