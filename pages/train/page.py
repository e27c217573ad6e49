"""Train: choose data, network and training; see what the run will cost; queue it."""

import streamlit as st

from core.config import GROUPS, KNOBS
from core.errors import LightboxError
from core.models import MODELS
from core.runs.preflight import RANDOM, Mend, mend_of
from core.runs.store import RunStore
from pages.shared import augmentation, config_form, form_address, open_data, preflight, preview, run_feed
from pages.shared.damaged import draw_damaged_runs, draw_damaged_sets
from pages.shared.gallery import gallery
from pages.shared.layout import dataset_chip, escape, format_bytes, go, link, next_step, page_header, show_error
from pages.train import cross_validation, lr_finder, queue_button, quick, recipe_menu, sweep


def draw_form() -> None:
    recipe_menu.draw_recipes()
    for part in dict.fromkeys(group.part for group in GROUPS.values()):
        config_form.draw_part(part, ABOVE.get(part), BELOW.get(part))


def draw_network() -> None:
    if spec := MODELS.get(config_form.value_of("model.name")):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(escape(spec.description), width="content")
            link("See it layer by layer", "network", icon=":material/visibility:", dataset=dataset)


def draw_lr_finder() -> None:
    try:
        lr_finder.draw_finder(config_form.read())
    except LightboxError:                                  # shown beside the form
        pass


# What the page adds to the parts of the form.
ABOVE = {"Data augmentation": augmentation.draw_on_train}
BELOW = {"Network": draw_network, "Training": draw_lr_finder}


def draw_preview() -> None:
    st.header("Run preview", anchor=False)
    try:
        ahead = preview.preview_run(config_form.read(), runs, devices)
    except LightboxError as error:
        draw_refusal(error)
        draw_queue(disabled=True)
        return
    draw_images(ahead)
    draw_numbers(ahead)
    if ahead.refusal:
        draw_refusal(ahead.refusal)
    else:
        draw_warnings(ahead)
    config_form.draw_name()
    draw_queue(disabled=ahead.refusal is not None)
    if error := queue_button.queue_error():
        show_error(error)
    waiting = preview.waiting_on(ahead.device)
    queue = f" {waiting} run{'s' if waiting > 1 else ''} already in the queue." if waiting else ""
    st.caption(f"Trains on {escape(preview.name_of(ahead.device, devices))} in the background: you can close "
               "the browser."
               + queue)
    cross_validation.draw_cross_validation(ahead, devices, runs)
    sweep.draw_grid(ahead, devices, runs)


def draw_queue(disabled: bool) -> None:
    first = not (sweep.is_grid() or is_quick)
    queue_button.draw_queue_button("Queue run", "queue_run", queue_button.create_run, disabled=disabled,
                                   type="primary" if first else "secondary", icon=":material/play_arrow:")


def draw_refusal(error: LightboxError) -> None:
    """Show why this run cannot work, and the button that mends it, where one change does."""
    show_error(error)
    wrong = config_form.first_wrong()
    mend = None if wrong else mend_of(config_form.read(), error, look=open_data.look, with_network=open_data.torch_is_here())
    if wrong:
        default = KNOBS[wrong].default
        mend = Mend(f"Set {KNOBS[wrong].label.lower()} to {config_form.words(wrong, default)}", {wrong: default})
    if mend:
        st.button(escape(mend.label), key="mend", icon=":material/build:", on_click=config_form.change, args=(mend.changes,))


def draw_images(ahead: preview.RunPreview) -> None:
    """Show a few training images as the network will get them, or offer to prepare them."""
    size = ahead.config.data.size
    if ahead.data is not None:
        rows = preview.sample(ahead.data)
        pixels, token = open_data.thumbnails(ahead.data, rows)
        gallery(pixels, key="train_sample", tile=64, cache_key=token,
                aria_label=f"{len(rows)} training images at {size} x {size} pixels, as the network gets them")
        st.caption(escape(f"Training images at {size} px, as the network gets them. {ahead.data.split_note}"))
        return
    if (unit := ahead.config.data.unit) != "image":
        st.caption(f"One prediction is for a {unit}: Training, Validation and Test count these, not images.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These images are not prepared at this size yet. The run does that first.")
        if st.button("Prepare now", key="prepare"):
            try:
                open_data.open_set(ahead.config.data)
            except LightboxError as error:
                show_error(error)
                return
            preview.ready.clear()
            st.rerun()


def draw_numbers(ahead: preview.RunPreview) -> None:
    total = f" {ahead.steps * ahead.config.train.epochs:,} steps in {ahead.config.train.epochs} epochs." if ahead.steps else ""
    numbers = (
        ("Training", number(ahead.counts["train"]), "Images that the network learns from."),
        ("Validation", number(ahead.counts["val"]),
         "Images evaluated after each epoch, never trained on: they choose the best epoch."),
        ("Test", number(ahead.counts["test"]), "Images held out until you unlock them on the page Evaluate."),
        ("Steps", number(ahead.steps), f"Per epoch: training images divided by the batch size.{total}"),
        ("Parameters", f"{ahead.parameters / 1e6:.3g} M", f"{ahead.parameters:,} in all." if ahead.exact else
         "Approximate: the number of classes and channels is known once the images are prepared."),
        ("Time", ahead.time, "Of the whole run, on this machine."))
    with st.container(horizontal=True, gap="medium", key="run_preview_numbers"):       # none is cut off in a narrow window
        for label, value, help in numbers:
            st.metric(label, value, help=help, width="content")
    if ahead.trainable < ahead.parameters:
        st.caption(f"{ahead.trainable:,} parameters are trainable, {ahead.parameters - ahead.trainable:,} are frozen.")
    if ahead.flops:
        st.caption(escape(f"{ahead.flops / 1e9:.3g} G multiply-adds per image; a training step needs about "
                          f"{format_bytes(ahead.step_bytes)}."), help="To classify one image; and in float32 "
                   "for one batch. A frozen backbone needs less: its features are computed once.")
    st.caption(escape(ahead.time_note))


def number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def draw_warnings(ahead: preview.RunPreview) -> None:
    for sentence in ahead.warnings:
        st.warning(escape(sentence))
    if preflight.lacks_imagenet(ahead.config) or preflight.knows_task(ahead.config, ahead.data):
        st.button("Start from random weights instead", key="from_random",
                  on_click=config_form.change, args=(RANDOM,))


open_data.warm_up()                                # counting a network's parameters needs torch
if run := queue_button.queued_run():
    go("runs", run=run)
asked_run = "run" in st.query_params
missing = config_form.apply_address()
(dataset,) = page_header("Train", dataset_chip())
config_form.choose_dataset(dataset)
recipe = recipe_menu.apply_address()
form_address.follow_address(filled=recipe or asked_run)
if missing:
    show_error(missing)
runs, devices = run_feed.all_runs(RunStore()), preview.devices()
is_quick = not sweep.is_grid() and quick.draw_quick(devices, runs)
left, right = st.columns([62, 38], gap="large")
with left:
    draw_form()
with right.container(key="run_preview"):
    draw_preview()
draw_damaged_runs()
draw_damaged_sets()
next_step("Next: watch it learn", "runs")
