"""The presets of data augmentation, on the pages Augment and Train."""

from __future__ import annotations

from dataclasses import fields

import streamlit as st

from core.augment import PRESETS, preset_of, summary
from core.config import AugmentConfig
from pages.shared import config_form
from pages.shared.layout import escape, link
from pages.shared.widget_state import follow

CUSTOM = "custom"                # what the menu shows when the settings are none of the presets


def chosen() -> AugmentConfig:
    """Return what the form holds, the default for a value that is not allowed."""
    values = {f.name: config_form.value_of(f"augment.{f.name}") for f in fields(AugmentConfig)}
    return AugmentConfig(**{name: value for name, value in values.items() if isinstance(value, float)})


def draw_presets(page: str) -> None:
    """Draw the menu of presets; choosing one sets all augmentations. `page` is that on which it stands."""
    selected = preset_of(chosen()) or CUSTOM
    titles = {key: preset.title for key, preset in PRESETS.items()} | ({CUSTOM: "Custom"} if selected == CUSTOM else {})
    st.selectbox("Preset", list(titles), format_func=lambda key: titles.get(key, key),
                 **follow(f"augment_preset@{page}", selected, _choose_preset),
                 help="Sets all augmentations. " + escape(" ".join(f"{preset.title}: {preset.help}"
                                                                   for preset in PRESETS.values())))


def draw_on_train() -> None:
    """Draw what is on, the presets, and the link to the page Augment."""
    st.markdown(escape("; ".join(summary(chosen()))) or "None: the network sees every image unchanged.")
    preset, see = st.columns([2, 1], vertical_alignment="bottom")
    with preset:
        draw_presets("train")
    with see:
        link("All augmentations", "augment", icon=":material/visibility:",
             dataset=config_form.value_of("data.dataset"))


def _choose_preset(key: str) -> None:
    if key != CUSTOM:
        for name, value in vars(PRESETS[key].config).items():
            config_form.put(f"augment.{name}", value)
