"""Choose images, a network and how it learns; see what that means; put it into the queue."""

import streamlit as st

from core.errors import LightboxError
from core.models import MODELS
from core.runs.store import RunStore
from pages.shared import augmentation, config_form, open_data, preflight, preview, run_feed
from pages.shared.gallery import gallery
from pages.shared.layout import dataset_chip, escape, format_bytes, go, link, next_step, page_header, show_error
from pages.train import lr_finder, recipe_menu, sweep

# What stands in each part of the form: what is turned often, and what is folded away. A knob that means nothing beside what
# else is chosen is not drawn (forms.WHEN).
SPLITTING = ("data.val_fraction", "data.test_fraction", "data.split_seed", "data.folds", "data.fold", "data.train_fraction",
             "data.resize", "data.channels")
SHAPE = ("model.head", "model.dropout", "model.cut", "model.freeze", "model.unfreeze_epoch", "optim.backbone_lr", "model.blocks",
         "model.block_layers", "model.normalise", "model.stem")
STEPS = ("train.epochs", "train.batch_size", "optim.lr", "optim.name", "optim.schedule", "optim.momentum", "optim.every",
         "optim.factor", "train.seed")
FINER = ("optim.weight_decay", "optim.warmup", "optim.clip", "train.accumulate")
AIM = ("train.loss", "train.monitor", "train.patience")
FAIR = ("train.focal_gamma", "train.class_weights", "train.sampling", "train.label_smoothing", "train.mixup",
        "train.measure_train")
MACHINE = ("train.precision", "train.threads", "train.compile", "train.copies")

open_data.warm_up()                                # counting a network's parameters needs torch
if run := config_form.queued_run():
    go("runs", run=run)
missing = config_form.take_address()
(dataset,) = page_header("Train", dataset_chip())
config_form.choose_dataset(dataset)
recipe_menu.take_address()
if missing:
    show_error(missing)
runs, devices = run_feed.all_runs(RunStore()), preview.devices()


def draw_form() -> None:
    recipe_menu.draw_recipes()
    draw_what()
    draw_network()
    draw_how()
    draw_aim()
    with st.container(key="form_augment"):
        st.header("Random changes of the training images", anchor=False)
        augmentation.draw_on_train()
    with st.container(key="form_machine"):
        config_form.draw_more("Machine and chance", ("train.device", *MACHINE), "machine")


def draw_what() -> None:
    with st.container(key="form_what"):
        st.header("What", anchor=False)
        size, split, target = st.columns(3)
        with size:
            config_form.draw("data.size", {size: str(size) for size in config_form.SIZES}, free=True)
        with split:
            config_form.draw("data.split")
        with target:
            config_form.draw_target()
        config_form.draw_more("Shares, folds, shape", SPLITTING, "what")


def draw_network() -> None:
    with st.container(key="form_network"):
        st.header("Network", anchor=False)
        network, start, name = st.columns(3)
        with network:
            config_form.draw("model.name", config_form.WORDS["model.name"])
        with start:
            config_form.draw_start_from(runs)
        with name:
            config_form.draw_name()
        if spec := MODELS.get(config_form.value_of("model.name")):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(escape(spec.description), width="content")
                link("See it layer by layer", "network", icon=":material/visibility:", dataset=dataset)
        if config_form.matters("model.cnn_layers"):
            config_form.draw_many(config_form.FOR_A_CNN, columns=3)
        config_form.draw_more("Head, cut, freezing", SHAPE, "network")


def draw_how() -> None:
    with st.container(key="form_how"):
        st.header("How", anchor=False)
        config_form.draw_many(STEPS, columns=3)
        try:
            lr_finder.draw_finder(config_form.read())
        except LightboxError:                              # said where the button is
            pass
        config_form.draw_more("Decay, warm-up, clipping", FINER, "how")


def draw_aim() -> None:
    with st.container(key="form_aim"):
        st.header("Towards what", anchor=False)
        config_form.draw_many(AIM, columns=3)
        config_form.draw_more("Weights, sampling, smoothing", FAIR, "aim")


def draw_outlook() -> None:
    st.header("What this run will be like", anchor=False)
    try:
        ahead = preview.look_ahead(config_form.read(), runs, devices)
    except LightboxError as error:
        show_error(error)
        return
    draw_images(ahead)
    draw_numbers(ahead)
    draw_cautions(ahead)
    config_form.draw_queue_button()
    if error := config_form.queue_error():
        show_error(error)
    waiting = preview.waiting_on(ahead.device)
    st.caption(f"Trains on {escape(preview.name_of(ahead.device, devices))}, in a process of its own: close the browser if you "
               "like. " + (f"{waiting} run{'s wait' if waiting > 1 else ' waits'} there already." if waiting else ""))
    sweep.draw_grid(ahead, devices, runs)


def draw_images(ahead: preview.Outlook) -> None:
    """A few training images as the network will get them, or how they come."""
    if ahead.data is not None:
        rows = preview.sample(ahead.data)
        pixels, token = open_data.thumbnails(ahead.data, rows)
        gallery(pixels, key="train_sample", tile=64, cache_key=token,
                aria_label=f"{len(rows)} training images at {ahead.config.data.size} pixels a side, as the network gets them")
        st.caption(escape(f"Training images at {ahead.config.data.size} px, as the network gets them. {ahead.data.split_note}"))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These images are not prepared at this size yet. The run does that at its start.")
        if st.button("Prepare them now", key="prepare"):
            try:
                open_data.open_set(ahead.config.data)
            except LightboxError as error:
                show_error(error)
                return
            preview.ready.clear()
            st.rerun()


def draw_numbers(ahead: preview.Outlook) -> None:
    def number(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    def millions(value: int) -> str:
        return f"{value / 1e6:.3g}"
    epochs, frozen = ahead.config.train.epochs, ahead.parameters - ahead.trainable
    train, val, test = st.columns(3)
    train.metric("Training", number(ahead.counts["train"]), help="Images that the network learns from.")
    val.metric("Validation", number(ahead.counts["val"]),
               help="Images looked at after each epoch, never learned from: they choose the best epoch.")
    test.metric("Test", number(ahead.counts["test"]), help="Images kept shut until you open them on the page Evaluate.")
    steps, parameters, time = st.columns(3)
    steps.metric("Steps", number(ahead.steps), help="In one epoch: training images divided by the batch size. " + (
                 f"{ahead.steps * epochs:,} steps in {epochs} epochs." if ahead.steps else ""))
    parameters.metric("Parameters", (f"{millions(ahead.trainable)} of " if frozen else "") + f"{millions(ahead.parameters)} M",
                      help="Millions of numbers in the network. " + (
                          f"{ahead.trainable:,} of {ahead.parameters:,} learn, the rest is frozen." if frozen else
                          f"All {ahead.parameters:,} learn." if ahead.exact else
                          "Nearly: the classes and channels of these images are known once they are prepared."))
    time.metric("Time", ahead.time, help="Of the whole run, on this machine.")
    if ahead.flops:
        st.caption(escape(f"{ahead.flops / 1e9:.3g} billion multiply-adds an image; a training step keeps about "
                          f"{format_bytes(ahead.step_bytes)}."), help="To classify one image, and in float32 for one batch. A "
                   "frozen backbone needs less: its features are computed once.")
    st.caption(escape(ahead.why))


def draw_cautions(ahead: preview.Outlook) -> None:
    for caution in ahead.cautions:
        st.warning(escape(caution))
    if preflight.lacks_imagenet(ahead.config):
        st.button("Start from random numbers instead", key="from_random", on_click=config_form.start_from_random)


left, right = st.columns([62, 38], gap="large")
with left:
    draw_form()
with right.container(key="outlook"):
    draw_outlook()
next_step("Next: watch it learn", "runs")
