"""How the form of a run is filled at once: by a recipe, by a recipe without its report's mistakes, by the code of a run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import streamlit as st

from core.errors import LightboxError
from core.runs import recipes
from core.runs.codes import parse
from core.runs.recipes import GROUPS, RECIPES, Recipe
from pages.shared import config_form
from pages.shared.layout import escape, set_param, show_error
from pages.shared.widget_state import follow

CODE = "code"                                 # beside the groups: the way in by the code of a run
PILLS = 5                                     # up to so many recipes of a group are pills, more are a menu

# Measures as the reports print them, in the order of a sentence. The rest is shown by its key.
MEASURES = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "cohen_kappa": "kappa", "loss": "loss", "f1": "F1",
            "macro_f1": "macro F1", "val_accuracy": "validation accuracy", "train_accuracy": "training accuracy",
            "true_positives": "TP", "false_negatives": "FN", "false_positives": "FP", "true_negatives": "TN"}


def take_address() -> None:
    """Obey ?recipe=<key>: fill the form with that recipe. The parameter then leaves the address."""
    key = st.query_params.pop("recipe", None)
    if key in RECIPES:
        st.session_state["recipe_group"] = RECIPES[key].report
        _fill(key, False)


def draw_recipes() -> None:
    """The recipes by report. The one whose settings the form holds is lit; choosing one sets them."""
    lit, right = _lit()
    group = st.session_state.setdefault("recipe_group", RECIPES[lit].report if lit else "")
    keys = [key for key, recipe in RECIPES.items() if recipe.report == group]
    many = len(keys) > PILLS
    with st.container(key="recipes", horizontal=many or group == CODE, vertical_alignment="bottom", gap="small"):
        st.pills("Start with", [*GROUPS, CODE], format_func=lambda g: (GROUPS | {CODE: "The code of a run"})[g], required=True,
                 **follow("recipe_group", group, _take_group),
                 help="Settings that go together. Those of the reports reproduce their runs on the data set that is chosen.")
        shown = lit if lit in keys else None
        if group == CODE:
            st.text_input("Code of a run", placeholder="DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary",
                          help="As report R001 names its runs. What the code says is set, all else stays.",
                          **follow("recipe_code", st.session_state.get("code_of_a_run", ""), _take_code))
        elif many:
            st.selectbox("Run of the report", keys, format_func=_title, placeholder="Choose a run of the report", width="stretch",
                         **follow(f"recipe_{group}", shown, _take_recipe))
        else:
            st.pills("Recipe", keys, format_func=_title, label_visibility="collapsed",
                     **follow(f"recipe_{group}", shown, _take_recipe))
    if group == CODE:
        _say_code()
    elif shown:
        _draw_chosen(shown, right)


def _draw_chosen(key: str, right: bool) -> None:
    """What a recipe is, what its report printed, and what can be changed about it with one click."""
    recipe = RECIPES[key]
    st.caption(escape(recipe.help))
    if said := _reported(recipe):
        st.caption(escape(f"The report printed: {said}."))
    sets = _other_sets(recipe)
    if recipe.right or sets:
        with st.container(key="recipe_more", horizontal=True, vertical_alignment="center", gap="medium"):
            if recipe.right:
                st.toggle("Done right", **follow("recipe_right", right, _take_right, key),
                          help=escape("The same without the mistakes that are named above: " + ", ".join(
                              f"{config_form.knob_of(name).metadata['label'].lower()} {config_form.in_words(name, value).lower()}"
                              for name, value in recipe.right.items()) + "."))
            for name, title in sets:
                st.button(f"Use {escape(title)}", key=f"recipe_set_{name}", on_click=_take_set, args=(name, key, right),
                          help="The data set of this report." if recipe.stand_in != name else
                          "Takes the place of the report's data set, which is not here.")


def _other_sets(recipe: Recipe) -> list[tuple[str, str]]:
    """Sets that this recipe was made for, where another one is chosen."""
    chosen = config_form.value_of("data.dataset")
    if not recipe.needs or recipe.target and recipes.targets_of(chosen) or recipes.is_of(recipe.needs, chosen):
        return []
    return list(recipes.sets_for(recipe))


def _reported(recipe: Recipe) -> str:
    """The numbers of the data set that is chosen, else the first ones."""
    chosen = config_form.value_of("data.dataset")
    what = chosen if chosen in recipe.reported else next(iter(recipe.reported), "")
    numbers = recipe.reported.get(what, {})
    said = ", ".join(f"{word} {numbers[key]:.4g}" for key, word in MEASURES.items() if key in numbers)
    return f"{said} ({what})" if said else ""


def _title(key: str) -> str:
    return RECIPES[key].title


@lru_cache(maxsize=256)
def _changes(key: str, right: bool) -> tuple[tuple[str, Any], ...]:
    return tuple(recipes.changes_of(key, right).items())


def _lit() -> tuple[str | None, bool]:
    """(the recipe whose settings the form holds, whether without its mistakes); the last one that was chosen is asked first."""
    last = st.session_state.get("recipe_chosen")
    for key in [last, *RECIPES] if last in RECIPES else RECIPES:
        for right in (False, True):
            if all(config_form.value_of(name) == value for name, value in _changes(key, right)):
                return key, right
    return None, False


def _take_group(group: str | None) -> None:
    st.session_state["recipe_group"] = group or ""


def _take_recipe(key: str | None) -> None:
    if key:
        _fill(key, False)


def _take_right(key: str, right: bool) -> None:
    _fill(key, right)


def _take_set(name: str, key: str, right: bool) -> None:
    config_form.choose_dataset(name)
    set_param("dataset", name)
    _fill(key, right)


def _fill(key: str, right: bool) -> None:
    st.session_state["recipe_chosen"] = key
    for name, value in _changes(key, right):
        config_form.put(name, value)
    target = RECIPES[key].target
    if target in recipes.targets_of(config_form.value_of("data.dataset")):
        config_form.put("data.target", target)


def _take_code(code: str) -> None:
    """Set what a code says. What cannot be read stays in the field and is said below it."""
    st.session_state["code_of_a_run"] = code
    try:
        for name, value in parse(code).changes.items() if code.strip() else ():
            config_form.put(name, value)
    except LightboxError:
        pass                                                        # `_say_code` says it


def _say_code() -> None:
    code = st.session_state.get("code_of_a_run", "")
    if not code.strip():
        return
    try:
        parsed = parse(code)
    except LightboxError as error:
        show_error(error)
        return
    of = f" It was trained on {parsed.classname}; the data set stays the one that is chosen." if parsed.classname else ""
    st.caption(escape(" ".join(parsed.said) + of))
