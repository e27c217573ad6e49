"""Fill the form at once: by a recipe, as its report did it or corrected, or by the code of a run."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import streamlit as st

from core.config import KNOBS
from core.errors import LightboxError
from core.runs.codes import parse
from core.runs.recipe_datasets import datasets_for, is_kind, targets_of
from core.runs.recipes import GROUPS, RECIPES, Recipe, changes_of
from pages.shared import config_form
from pages.shared.layout import escape, set_param, show_error
from pages.shared.widget_state import follow

# Metrics as the reports print them, in the order of a sentence. The rest is not shown here.
METRICS = {"roc_auc": "ROC AUC", "accuracy": "accuracy", "cohen_kappa": "kappa", "loss": "loss", "f1": "F1",
           "macro_f1": "macro F1", "val_accuracy": "validation accuracy",
           "train_accuracy": "training accuracy", "true_positives": "TP", "false_negatives": "FN",
           "false_positives": "FP", "true_negatives": "TN"}


def apply_address() -> bool:
    """Obey ?recipe=<key>: fill the form with that recipe. The parameter then leaves the address. Return whether there was one."""
    key = st.query_params.pop("recipe", None)
    if key in RECIPES:
        _fill(key, False)
    return key in RECIPES


def draw_recipes() -> None:
    """Draw the recipes, the runs of the reports, and the field for a code; each sets the form. The one that the form holds is
    selected, none where it holds none."""
    selected, corrected = _selected()
    basic = [key for key, recipe in RECIPES.items() if not recipe.report]
    with st.container(key="recipes", horizontal=True, vertical_alignment="bottom", gap="small"):
        st.pills("Recipes", basic, format_func=lambda key: RECIPES[key].title, help="Settings that go together.", width="content",
                 **follow("recipe_basic", selected if selected in basic else None, _choose))
        st.selectbox("Or a run of a report", [key for key in RECIPES if key not in basic], format_func=_title,
                     placeholder="Choose what to reproduce", width=230,
                     help="The settings of the runs in four student reports, as printed there. They reproduce them on the chosen "
                          "data set, and say what was wrong.",
                     **follow("recipe_report", selected if selected not in basic else None, _choose))
        st.text_input("Or the code of a run", placeholder="DenseNet169_da_0_ts_224_224_t_0_s_1_bs_16_XR_HUMERUS_binary",
                      width=190, key="recipe_code", persist_state="session", on_change=_set_from_code,
                      help="A name of a run as the report on MURA (R001) gives them: network, data augmentation, image size, "
                           "batch size. Sets what the code contains and keeps the rest.")
    _show_code()
    if selected:
        _draw_selected(selected, corrected)


def _draw_selected(key: str, corrected: bool) -> None:
    """Show what a recipe is and what its report printed; offer its corrections and its data set."""
    recipe = RECIPES[key]
    st.caption(escape(recipe.help))
    if printed := _reported(recipe):
        st.caption(escape(f"The report printed: {printed}."))
    datasets = _other_datasets(recipe)
    if not recipe.corrections and not datasets:
        return
    with st.container(key="recipe_more", horizontal=True, vertical_alignment="center", gap="medium"):
        if recipe.corrections:
            changes = ", ".join(f"{KNOBS[name].label.lower()} {config_form.words(name, value).lower()}"
                                for name, value in recipe.corrections.items())
            st.toggle("Corrected", **follow("recipe_corrected", corrected, _fill, key),
                      help=escape(f"Without the mistakes that are named above: {changes}."))
        for name, title in datasets:
            st.button(f"Use {escape(title)}", key=f"recipe_set_{name}", on_click=_use_dataset,
                      args=(name, key, corrected),
                      help="The report's data set." if recipe.stand_in != name else
                      "Stands in for the report's data set, which is not here.")


def _other_datasets(recipe: Recipe) -> list[tuple[str, str]]:
    """(name, title) of the data sets that this recipe was made for, where another one is chosen."""
    chosen = config_form.value_of("data.dataset")
    suits = recipe.target and targets_of(chosen) or is_kind(recipe.needs, chosen)
    return list(datasets_for(recipe.needs, recipe.stand_in)) if recipe.needs and not suits else []


def _reported(recipe: Recipe) -> str:
    """The printed numbers for the chosen data set, else the first ones."""
    chosen = config_form.value_of("data.dataset")
    what = chosen if chosen in recipe.reported else next(iter(recipe.reported), "")
    numbers = recipe.reported.get(what, {})
    text = ", ".join(f"{title} {numbers[key]:.4g}" for key, title in METRICS.items() if key in numbers)
    return f"{text} ({what})" if text else ""


@lru_cache(maxsize=256)
def _changes(key: str, corrected: bool) -> tuple[tuple[str, Any], ...]:
    return tuple(changes_of(key, corrected).items())


def _selected() -> tuple[str | None, bool]:
    """(the recipe whose settings the form holds, whether corrected). Of two alike, the one that was chosen
    last.
    """
    last = st.session_state.get("recipe_chosen")
    for key in [last, *RECIPES] if last in RECIPES else RECIPES:
        for corrected in (False, True):
            if all(config_form.value_of(name) == value for name, value in _changes(key, corrected)):
                return key, corrected
    return None, False


def _title(key: str) -> str:
    return f"{GROUPS[RECIPES[key].report]}: {RECIPES[key].title}"


def _choose(key: str | None) -> None:
    if key:
        st.session_state["recipe_code"] = ""
        _fill(key, False)


def _use_dataset(name: str, key: str, corrected: bool) -> None:
    config_form.choose_dataset(name)
    set_param("dataset", name)
    _fill(key, corrected)


def _fill(key: str, corrected: bool) -> None:
    st.session_state["recipe_chosen"] = key
    for name, value in _changes(key, corrected):
        config_form.put(name, value)
    target = RECIPES[key].target
    if target in targets_of(config_form.value_of("data.dataset")):
        config_form.put("data.target", target)


def _set_from_code() -> None:
    """Set what the code contains. `_show_code` says what cannot be read."""
    try:
        code = st.session_state["recipe_code"]
        for name, value in parse(code).changes.items() if code.strip() else ():
            config_form.put(name, value)
    except LightboxError:
        pass


def _show_code() -> None:
    code = st.session_state["recipe_code"]
    if not code.strip():
        return
    try:
        parsed = parse(code)
    except LightboxError as error:
        show_error(error)
        return
    trained_on = f" It was trained on {parsed.classname}; the chosen data set is kept." if parsed.classname else ""
    st.caption(escape(" ".join(parsed.notes) + trained_on))
