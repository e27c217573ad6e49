"""What the augment page shows: an image before and after, eight draws of it, and the list of what can be changed.

The page and the trainer ask the same function for the same numbers: draw k of an image is what a run with this seed sees of it
in its epoch k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import streamlit as st

from core.augment import AUGMENTATIONS, GROUPS, PRESETS, active, preset_of, summary
from core.config import AugmentConfig, knob_of
from core.datasets import Dataset
from pages.shared import config_form, open_data
from pages.shared.layout import escape, link
from pages.shared.widget_state import follow

DRAWS = 8
USUAL = ("rotate", "shift", "flip")        # the knobs that the page Train shows too
OWN = "own"                      # what the menu of presets says when the settings are none of them

# What stands beside a switch: its own value, then its ranges. "Chance" and "Up to" need no more words there.
LABELS = {"blur_sigma": "Up to (px)", "linear_contrast_low": "From", "linear_contrast_high": "To", "multiply_low": "From",
          "multiply_high": "To", "noise_scale": "Strength", "noise_per_channel": "Per channel"}

# What happened to an image, from its numbers. An empty text is nothing.
HAPPENED: dict[str, Callable[[list[float]], str]] = {
    "flip": lambda v: "mirrored" if v[0] else "",
    "flip_vertical": lambda v: "upside down" if v[0] else "",
    "crop": lambda v: f"cropped by {', '.join(f'{100 * x:.0f}' for x in v)} % (left, right, top, bottom)",
    "scale": lambda v: f"{100 * v[0]:.0f} % of its size",
    "shear": lambda v: f"sheared by {v[0]:.0f}°",
    "rotate": lambda v: f"turned {abs(v[0]):.0f}° {'clockwise' if v[0] > 0 else 'anticlockwise'}",
    "shift": lambda v: f"moved {100 * abs(v[0]):.0f} % {'right' if v[0] > 0 else 'left'} and "
                       f"{100 * abs(v[1]):.0f} % {'down' if v[1] > 0 else 'up'}",
    "blur": lambda v: f"blurred by {v[0]:.1f} px" if v[0] else "",
    "brightness": lambda v: f"{100 * abs(v[0]):.0f} % {'brighter' if v[0] > 0 else 'darker'}",
    "contrast": lambda v: f"contrast x {v[0]:.2f}",
    "linear_contrast": lambda v: f"linear contrast x {v[0]:.2f}" if v[0] != 1 else "",
    "multiply": lambda v: f"multiplied by {v[0]:.2f}" if v[0] != 1 else "",
    "saturation": lambda v: f"saturation x {v[0]:.2f}",
    "hue": lambda v: f"hue turned by {100 * v[0]:.0f} %",
    "noise": lambda v: f"noise of {100 * v[0]:.0f} %{', per channel' if v[1] else ''}" if v[0] else "",
}


@dataclass(frozen=True)
class Draws:
    """One image as `DRAWS` epochs see it.

    Attributes:
        images: (DRAWS, S, S, C) uint8
        words: what happened to each
    """

    images: np.ndarray
    words: tuple[str, ...]


# ----------------------------------------------------------------------------------------------------------------- the pictures

def wait_for_torch() -> None:
    """The changes are made by torch, which takes seconds to import once on a server: say so, and wait."""
    thread = open_data.warm_up()
    if thread.is_alive():
        with st.spinner("Starting PyTorch, once for this server ..."):
            thread.join()


@st.cache_data(max_entries=128, show_spinner=False)
def draws_of(_data: Dataset, known_by: tuple, row: int, config: AugmentConfig, seed: int, first: int) -> Draws:
    """What a run with this seed sees of an image in the epochs `first`, `first` + 1 ..., counted from 0.

    `known_by` stands for the data set, with its size, resizing and channels.
    """
    import torch

    from core.augment.images import augment, draw
    index, image = torch.tensor([row]), torch.from_numpy(np.array(_data.images[row])).permute(2, 0, 1)[None].float() / 255
    out, words = [], []
    before = torch.get_num_threads()
    torch.set_num_threads(1)                     # the work is small: a second thread would only wait
    try:
        for epoch in range(first, first + DRAWS):
            changed = augment(image, config, (seed, epoch), index)
            out.append((changed[0] * 255).round().byte().permute(1, 2, 0).numpy())
            drawn = draw(config, (seed, epoch), index)
            words.append(", ".join(filter(None, (HAPPENED[name](values[0].tolist()) for name, values in drawn.items()
                                                 if image.shape[1] == 3 or AUGMENTATIONS[name].group != "colour"))))
    finally:
        torch.set_num_threads(before)
    return Draws(np.stack(out), tuple(text or "unchanged" for text in words))


def stands_for(data: Dataset) -> tuple:
    """What the pixels of an open set are known by in a cache."""
    return data.fingerprint, data.size, data.resize, data.channels


def is_gray(pixels: np.ndarray) -> bool:
    """Whether (N, S, S, C) uint8 have no colour: one channel, or three that are the same."""
    return pixels.shape[3] == 1 or bool((pixels == pixels[..., :1]).all())


# ------------------------------------------------------------------------------------------------------------------ the controls

def chosen() -> AugmentConfig:
    """What the form of a run holds. A value that is not allowed is said where the run is queued; here it is its default."""
    return AugmentConfig(**{f.name: value if isinstance(value := config_form.value_of(f"augment.{f.name}"), float) else f.default
                            for f in fields(AugmentConfig)})


def draw_presets(page: str) -> None:
    """The menu of compositions; choosing one sets all augmentations. Each page that has it needs a name of its own."""
    lit = preset_of(chosen()) or OWN
    titles = {key: preset.title for key, preset in PRESETS.items()} | ({OWN: "Your own"} if lit == OWN else {})
    st.selectbox("Preset", list(titles), format_func=lambda key: titles.get(key, key),
                 **follow(f"augment_preset@{page}", lit, _take_preset),
                 help="Settings that go together. " + escape(" ".join(f"{preset.title}: {preset.help}"
                                                                      for preset in PRESETS.values())))


def draw_list() -> None:
    """Each augmentation with its switch, by group; what is on shows its numbers beside it."""
    config = chosen()
    on = active(config)
    for group, title in GROUPS.items():
        st.markdown(f"**{title}**")
        for name, entry in AUGMENTATIONS.items():
            if entry.group != group:
                continue
            with st.container(key=f"augment_row_{name}", horizontal=True, vertical_alignment="center", gap="small"):
                st.toggle(knob_of(f"augment.{name}").metadata["label"], width=150, help=escape(_help_of(name)),
                          **follow(f"augment_on_{name}", name in on, _switch, name))
                if name in on:
                    config_form.draw(f"augment.{name}", label=_switch_label(name), page="augment")
                    for knob in entry.ranges:
                        config_form.draw(f"augment.{knob}", label=LABELS[knob], page="augment")


def draw_on_train() -> None:
    """The random changes as the page Train shows them: what is on, the presets, the knobs that are used most."""
    config = chosen()
    st.markdown(escape("; ".join(summary(config))) or "None: the network sees each image as it is.")
    preset, see = st.columns([2, 1], vertical_alignment="bottom")
    with preset:
        draw_presets("train")
    with see:
        link("See and choose all", "augment", icon=":material/visibility:", dataset=config_form.value_of("data.dataset"))
    config_form.draw_many(tuple(f"augment.{name}" for name in USUAL), columns=3)


def _help_of(name: str) -> str:
    entry = AUGMENTATIONS[name]
    return " ".join([entry.help, *(caveat.sentence for caveat in entry.caveats)])


def _switch_label(name: str) -> str:
    m = knob_of(f"augment.{name}").metadata
    return "Chance" if m["help"].startswith("Chance") else f"Up to ({m['unit']})" if m["unit"] else "Up to"


def _switch(name: str, on: bool) -> None:
    config_form.put(f"augment.{name}", AUGMENTATIONS[name].default if on else 0.0)


def _take_preset(key: str) -> None:
    if key != OWN:
        for name, value in vars(PRESETS[key].config).items():
            config_form.put(f"augment.{name}", value)
