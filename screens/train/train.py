"""Choose images, a network and how it learns; see what that means; put it into the queue."""

import streamlit as st

from core.errors import LightboxError
from core.models import MODELS
from core.runs import RunStore
from ui import augmenting, forms, live, loaders, outlook
from ui.gallery import gallery
from ui.shell import dataset_chip, escape, go, next_step, page_header, show_error

MORE = ("data.resize", "data.channels", "data.split_seed", "data.val_fraction", "data.test_fraction", "data.folds", "data.fold",
        "data.train_fraction", "model.stem", "model.cut", "model.blocks", "model.block_layers", "model.head", "model.dropout",
        "model.freeze", "model.unfreeze_epoch", "model.normalise", "model.cnn_layers", "model.cnn_kernels", "model.cnn_filters",
        "model.cnn_pool", "model.cnn_pool_size", "model.cnn_pool_stride", "model.cnn_global_pool", "model.cnn_spatial_dropout",
        "model.cnn_l2_kernel", "model.cnn_l2_activity", "optim.backbone_lr", "optim.weight_decay", "optim.every", "optim.factor",
        "optim.warmup", "optim.momentum", "optim.clip", "train.accumulate", "train.loss", "train.label_smoothing",
        "train.focal_gamma", "train.sampling", "train.mixup", "train.monitor", "train.patience", "train.measure_train",
        "train.copies", "train.precision", "train.threads", "train.compile")

loaders.warm_up()                                # counting a network's parameters needs torch
if run := forms.queued_run():
    go("runs", run=run)
missing = forms.take_address()
(dataset,) = page_header("Train", dataset_chip())
forms.choose_dataset(dataset)
if missing:
    show_error(missing)
runs, devices = live.all_runs(RunStore()), outlook.devices()


def draw_form() -> None:
    forms.draw_recipes()
    with st.container(key="form_what"):
        st.subheader("What", anchor=False)
        size, split, target = st.columns(3)
        with size:
            forms.draw("data.size", {size: str(size) for size in forms.SIZES}, free=True)
        with split:
            forms.draw("data.split")
        with target:
            forms.draw_target()
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
            st.caption(escape(spec.description))
    with st.container(key="form_how"):
        st.subheader("How", anchor=False)
        forms.draw_many(("train.epochs", "train.batch_size", "optim.lr", "optim.name", "optim.schedule", "train.seed"), columns=3)
        device, weights = st.columns([2, 1], vertical_alignment="bottom")
        with device:
            forms.draw_device(devices)
        with weights:
            forms.draw("train.class_weights")
    with st.container(key="form_augment"):
        st.subheader("Random changes of the training images", anchor=False)
        augmenting.draw_on_train()
    with st.expander("More settings"):
        forms.draw_many(MORE, columns=3)


def draw_outlook() -> None:
    st.subheader("What this run will be like", anchor=False)
    try:
        ahead = outlook.look_ahead(forms.read(), runs, devices)
    except LightboxError as error:
        show_error(error)
        return
    draw_images(ahead)
    draw_numbers(ahead)
    for caution in ahead.cautions:
        st.warning(escape(caution))
    forms.draw_queue_button()
    if error := forms.queue_error():
        show_error(error)
    waiting = outlook.waiting_on(ahead.device)
    st.caption(f"Trains on {escape(outlook.name_of(ahead.device, devices))}, in a process of its own: close the browser if you "
               "like. " + (f"{waiting} run{'s wait' if waiting > 1 else ' waits'} there already." if waiting else ""))


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
    epochs = ahead.config.train.epochs
    train, val, test = st.columns(3)
    train.metric("Training", number(ahead.counts["train"]), help="Images that the network learns from.")
    val.metric("Validation", number(ahead.counts["val"]),
               help="Images looked at after each epoch, never learned from: they choose the best epoch.")
    test.metric("Test", number(ahead.counts["test"]), help="Images kept shut until you open them on the page Evaluate.")
    steps, parameters, time = st.columns(3)
    steps.metric("Steps", number(ahead.steps), help="In one epoch: training images divided by the batch size. " + (
                 f"{ahead.steps * epochs:,} steps in {epochs} epochs." if ahead.steps else ""))
    parameters.metric("Parameters", f"{ahead.parameters / 1e6:.3g} M", help="Millions of numbers that are learned. " + (
                      "" if ahead.exact else "As published, for colour and 1,000 classes; here it is a little less."))
    time.metric("Time", ahead.time, help="Of the whole run, on this machine.")
    st.caption(escape(ahead.why))


left, right = st.columns([62, 38], gap="large")
with left:
    draw_form()
with right:
    draw_outlook()
next_step("Next: watch it learn", "runs")
