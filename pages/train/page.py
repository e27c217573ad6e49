"""Choose images, a network and how it learns; see what that means; put it into the queue."""

import streamlit as st

from core.errors import LightboxError
from core.models import MODELS
from core.runs.store import RunStore
from pages.shared import augmenting
from pages.shared import config_form as forms
from pages.shared import open_data as loaders
from pages.shared import preflight as cautions
from pages.shared import preview as outlook
from pages.shared import run_feed as live
from pages.shared.gallery import gallery
from pages.shared.layout import dataset_chip, escape, format_bytes, go, link, next_step, page_header, show_error
from pages.train import lr_finder as finding
from pages.train import recipe_menu
from pages.train import sweep as grid

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

loaders.warm_up()                                # counting a network's parameters needs torch
if run := forms.queued_run():
    go("runs", run=run)
missing = forms.take_address()
(dataset,) = page_header("Train", dataset_chip())
forms.choose_dataset(dataset)
recipe_menu.take_address()
if missing:
    show_error(missing)
runs, devices = live.all_runs(RunStore()), outlook.devices()


def draw_form() -> None:
    recipe_menu.draw_recipes()
    draw_what()
    draw_network()
    draw_how()
    draw_aim()
    with st.container(key="form_augment"):
        st.subheader("Random changes of the training images", anchor=False)
        augmenting.draw_on_train()
    with st.container(key="form_machine"):
        forms.draw_more("Machine and chance", ("train.device", *MACHINE), "machine")


def draw_what() -> None:
    with st.container(key="form_what"):
        st.subheader("What", anchor=False)
        size, split, target = st.columns(3)
        with size:
            forms.draw("data.size", {size: str(size) for size in forms.SIZES}, free=True)
        with split:
            forms.draw("data.split")
        with target:
            forms.draw_target()
        forms.draw_more("Shares, folds, shape", SPLITTING, "what")


def draw_network() -> None:
    with st.container(key="form_network"):
        st.subheader("Network", anchor=False)
        network, start, name = st.columns(3)
        with network:
            forms.draw("model.name", forms.WORDS["model.name"])
        with start:
            forms.draw_start_from(runs)
        with name:
            forms.draw_name()
        if spec := MODELS.get(forms.value_of("model.name")):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(escape(spec.description), width="content")
                link("See it layer by layer", "network", icon=":material/visibility:", dataset=dataset)
        if forms.matters("model.cnn_layers"):
            forms.draw_many(forms.FOR_A_CNN, columns=3)
        forms.draw_more("Head, cut, freezing", SHAPE, "network")


def draw_how() -> None:
    with st.container(key="form_how"):
        st.subheader("How", anchor=False)
        forms.draw_many(STEPS, columns=3)
        try:
            finding.draw_finder(forms.read())
        except LightboxError:                              # said where the button is
            pass
        forms.draw_more("Decay, warm-up, clipping", FINER, "how")


def draw_aim() -> None:
    with st.container(key="form_aim"):
        st.subheader("Towards what", anchor=False)
        forms.draw_many(AIM, columns=3)
        forms.draw_more("Weights, sampling, smoothing", FAIR, "aim")


def draw_outlook() -> None:
    st.subheader("What this run will be like", anchor=False)
    try:
        ahead = outlook.look_ahead(forms.read(), runs, devices)
    except LightboxError as error:
        show_error(error)
        return
    draw_images(ahead)
    draw_numbers(ahead)
    draw_cautions(ahead)
    forms.draw_queue_button()
    if error := forms.queue_error():
        show_error(error)
    waiting = outlook.waiting_on(ahead.device)
    st.caption(f"Trains on {escape(outlook.name_of(ahead.device, devices))}, in a process of its own: close the browser if you "
               "like. " + (f"{waiting} run{'s wait' if waiting > 1 else ' waits'} there already." if waiting else ""))
    grid.draw_grid(ahead, devices, runs)


def draw_images(ahead: outlook.Outlook) -> None:
    """A few training images as the network will get them, or how they come."""
    if ahead.data is not None:
        rows = outlook.sample(ahead.data)
        pixels, token = loaders.thumbnails(ahead.data, rows)
        gallery(pixels, key="train_sample", tile=64, cache_key=token,
                aria_label=f"{len(rows)} training images at {ahead.config.data.size} pixels a side, as the network gets them")
        st.caption(escape(f"Training images at {ahead.config.data.size} px, as the network gets them. {ahead.data.split_note}"))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("These images are not prepared at this size yet. The run does that at its start.")
        if st.button("Prepare them now", key="prepare"):
            try:
                loaders.open_set(ahead.config.data)
            except LightboxError as error:
                show_error(error)
                return
            outlook.ready.clear()
            st.rerun()


def draw_numbers(ahead: outlook.Outlook) -> None:
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


def draw_cautions(ahead: outlook.Outlook) -> None:
    for caution in ahead.cautions:
        st.warning(escape(caution))
    if cautions.lacks_imagenet(ahead.config):
        st.button("Start from random numbers instead", key="from_random", on_click=forms.start_from_random)


left, right = st.columns([62, 38], gap="large")
with left:
    draw_form()
with right.container(key="outlook"):
    draw_outlook()
next_step("Next: watch it learn", "runs")
