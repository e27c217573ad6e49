"""Runs: one run live, all runs, the queue."""

import time
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.errors import LightboxError
from core.metrics import METRICS
from core.runs.run import Progress
from core.runs.states import LIVE, RESUMABLE, Status, would_repeat
from core.runs.store import Run, RunStore
from core.trainers.diagnostics import diagnose
from pages.runs import curves
from pages.runs.all_runs import draw_all_runs
from pages.runs.details import details_of
from pages.runs.ensembles import draw_ensemble, draw_memberships, draw_open, losing
from pages.runs.run_notes import draw_notes
from pages.runs.run_queue import draw_queue
from pages.runs.tracked_images import TrackedImages, draw_tracked, load_tracked
from pages.shared import config_form, layout, run_feed
from pages.shared.damaged import draw_damaged_runs
from pages.shared.layout import Chip, empty, escape, go, next_step, page_header, set_param, show_error
from pages.shared.run_table import all_tags

ACTION_WIDTH = 210                 # pixels
TAGS = 4                           # of a run beside its state
DIAGNOSES = 2                      # as many stand above the curves, the others behind a button
REDRAW_SECONDS = 10.0              # while something trains, the list of all runs is at most so old

st.html(Path(__file__).with_suffix(".css"))
store = RunStore()
run_feed.recover(store)
rows = run_feed.all_runs(store)
(run_id,) = page_header("Runs", Chip("run", "Run", {row.id: f"{row.name} ({row.when})" for row in rows}, width=400))
if not rows:
    empty("Nothing has been trained yet. A first network takes about a minute.", "Train a network", "train")
    draw_damaged_runs(remove=True)
    st.stop()
drawn = {row.id: row.state for row in rows}
active = any(state in run_feed.ACTIVE for state in drawn.values())
drawn_at = time.monotonic()


@st.fragment(run_every=1.0 if active else None)
def watch() -> None:
    """What moves by itself. When a run has changed its state the whole page is drawn again once, and now and
    then besides."""
    run_feed.recover(store)
    now = run_feed.states(store)
    if run_id not in now and not st.session_state.pop("run_deleted", False):
        st.warning("This run was deleted, or its files were moved.")
        if st.button("Show the other runs"):
            set_param("run", None)
            st.rerun()
        return
    refused_run, refusal = st.session_state.get("run_refusal", (None, None))
    if refused_run == run_id:
        show_error(refusal)
    if now != drawn or active and time.monotonic() - drawn_at > REDRAW_SECONDS:
        st.rerun()
    try:
        run = store.get(run_id)
        status, progress, records = run.status(), run.progress(), run_feed.follow(run)
        draw_state(run, status, progress, records)
    except LightboxError as error:                       # deleted between two looks: the next one says so
        show_error(error)
        return
    if run.ensemble:
        draw_ensemble(run, next(row for row in rows if row.id == run_id))
        return
    draw_diagnoses(run, status, records)
    if not has_begun(records) and status.state in RESUMABLE:
        st.caption("It ended before its first training step, so there are no curves." + (
            " Duplicate and edit opens its settings in the form, where they can be mended." if status.state == "failed" else ""))
        return
    draw_numbers(status, progress, records)
    draw_curves(run, status, progress, records)


def has_begun(records: list[dict]) -> bool:
    """Return whether a run has trained for a step."""
    return any(record["kind"] in ("step", "epoch") for record in records)


def draw_state(run: Run, status: Status, progress: Progress, records: list[dict]) -> None:
    """What the run is doing and why, and what one can do with it."""
    word, color = run_feed.STATES[status.state]
    with st.container(horizontal=True, vertical_alignment="center", key="run_state"):
        st.badge(word, color=color)
        ahead = run_feed.ahead_of(store, run) if status.state == "queued" else 0
        tags = "".join(f" :gray-badge[{escape(tag)}]" for tag in run.notes().tags[:TAGS])
        st.markdown(escape(run_feed.in_words(status, progress, ahead, run.device)) + tags, width="stretch")
        if status.state not in LIVE:
            with st.popover("Delete", key="run_delete", icon=":material/delete:"):
                st.markdown("Deletes the run with its curves and weights. This cannot be undone.")
                if said := losing(run.id, rows):
                    st.warning(escape(said))
                st.button("Delete this run", key="run_delete_now", type="primary", on_click=attempt, args=(delete, run))
        if run.ensemble:
            draw_open(run)
            if run.ensemble.is_soup:
                draw_fine_tune(run)
        else:
            draw_training_buttons(run, status, records)
    draw_memberships(run, rows)
    if status.state != "finished":
        st.progress(run_feed.share_done(progress, records))


def draw_training_buttons(run: Run, status: Status, records: list[dict]) -> None:
    """What one can do with a run that is trained."""
    fits = run_feed.fitting_batch(records) if status.state == "failed" else None
    if fits and st.button(f"Retry with batch size {fits}", key="run_again_smaller", type="primary",
                          help="The device ran out of memory. This batch size fits; everything else stays the same."):
        config_form.fill(run.config)
        config_form.put("train.batch_size", fits)
        go("train", dataset=run.config.data.dataset)
    mend = would_repeat(status, has_begun(records))
    look = "primary" if mend and not fits else "secondary"
    if st.button("Duplicate and edit", key="run_again", icon=":material/replay:", type=look,
                 help="Opens the form on the page Train with the settings of this run."):
        go("train", run=run.id, again="1")
    if status.state == "finished":
        draw_longer(run)
    with st.container(width=ACTION_WIDTH):           # a place that does not move when the button in it changes
        draw_action(run, status, mend)


def draw_action(run: Run, status: Status, mend: bool) -> None:
    """The one thing that a person most likely wants next; to resume comes second for a run whose settings must be mended."""
    if status.state in run_feed.ACTIVE:
        st.button("Stop", key="run_stop", icon=":material/stop:", width="stretch", on_click=attempt, args=(run.stop,),
                  disabled=status.state == "stopping",
                  help="Saves a checkpoint and ends the training within five seconds. It can be resumed.")
    elif status.state in RESUMABLE:
        st.button("Try again" if mend else "Resume", key="run_resume", icon=":material/play_arrow:", width="stretch",
                  type="secondary" if mend else "primary", on_click=attempt, args=(resume, run),
                  help=("Its settings are the same, so it will most likely end in the same way." if mend else
                        "Continues exactly from the last checkpoint."))
    else:
        draw_fine_tune(run)


def draw_fine_tune(run: Run) -> None:
    if st.button("Fine-tune from this run", key="run_on_top", icon=":material/stacks:", width="stretch",
                 help="A new run that starts from the weights of the best epoch."):
        go("train", run=run.id)


def draw_longer(run: Run) -> None:
    """More epochs for a run that has finished."""
    with st.popover("Train longer", key="run_longer", icon=":material/more_time:", on_change="rerun") as longer:
        if longer.open:
            has = run.config.train.epochs
            epochs = st.number_input("Epochs in all", has + 1, 10_000, has + max(1, has // 2), key="run_epochs",
                                     help="The run goes on from its last checkpoint. Its learning rate follows the schedule that "
                                          "so many epochs have.")
            st.button("Train on", key="run_extend", type="primary", on_click=attempt, args=(extend, run, int(epochs)))


def draw_diagnoses(run: Run, status: Status, records: list[dict]) -> None:
    """What goes wrong, the gravest first."""
    diagnoses = diagnose(records, run.config.train.epochs, class_names=tracked.class_names, reason=status.reason,
                         majority=tracked.majority)
    if not diagnoses:
        return
    with st.container(key="diagnoses", gap="xsmall"):
        for one in diagnoses[:DIAGNOSES]:
            st.warning(f"**{escape(one.sentence)}** {escape(one.advice)}")
        if len(diagnoses) > DIAGNOSES:
            with st.popover(f"{len(diagnoses) - DIAGNOSES} more"):
                for one in diagnoses[DIAGNOSES:]:
                    st.markdown(f"**{escape(one.sentence)}** {escape(one.advice)}")


def draw_numbers(status: Status, progress: Progress, records: list[dict]) -> None:
    """The headline numbers, as many beside each other as there is room for."""
    with st.container(horizontal=True, horizontal_alignment="distribute", gap="medium", key="run_numbers"):
        for label, value, help in headline(status, progress, records):
            st.metric(label, value, help=help, width="content")


def headline(status: Status, progress: Progress, records: list[dict]) -> list[tuple[str, str, str]]:
    """(label, value, help) of each number."""
    epochs, steps = ([r for r in records if r["kind"] == kind] for kind in ("epoch", "step"))
    best, last = run_feed.best_epoch(records) or {}, steps[-1] if steps else {}
    measured = epochs[-1].get("images_per_second") if epochs else None
    speed = progress.images_per_second if status.state in LIVE else measured
    monitor = best.get("monitor", "roc_auc")
    other = "accuracy" if monitor != "accuracy" else "roc_auc"
    reached = f"Reached in epoch {best['epoch']}, whose weights are saved." if best else "Known after the first epoch."
    numbers = [
        ("Epochs", f"{len(epochs)} of {progress.epochs or '-'}",
         "Finished epochs. In an epoch the network sees every training image once."),
        (f"Best {METRICS[monitor].title}", layout.format_number(best.get(f"val_{monitor}")),
         f"{METRICS[monitor].help} Measured on the validation images. {reached}"),
        (f"{METRICS[other].title} at the best epoch", layout.format_number(best.get(f"val_{other}")),
         f"{METRICS[other].help} On the validation images, at the epoch with the best {METRICS[monitor].title}."),
        ("Images/s", layout.format_number(speed, 0), "Training images per second, over the last seconds.")]
    if last.get("memory_bytes") is not None:
        numbers.append(("Memory", layout.format_bytes(last["memory_bytes"]), "Memory of the device that the training uses."))
    if last.get("device_use") is not None:
        numbers.append(("Utilisation", layout.format_percent(last["device_use"], 0),
                        "Share of the time in which the device was computing, at the last measurement."))
    if status.state in run_feed.ACTIVE:
        return [*numbers, ("Time left", layout.format_seconds(progress.seconds_left), "At the speed of the last seconds.")]
    seconds = sum(r.get("seconds") or 0.0 for r in epochs) if epochs else None
    return [*numbers, ("Time taken", layout.format_seconds(seconds), "Training and validation, without time in the queue.")]


def draw_curves(run: Run, status: Status, progress: Progress, records: list[dict]) -> None:
    """Which curves, of which runs; the curves; and the tracked images between them."""
    with st.container(horizontal=True, vertical_alignment="center", key="curves_of"):
        chosen = curves.choose_curves(records)
        others = curves.choose_others(run.id, rows, store)
        measured = next((r.get("measured") for r in reversed(records) if r["kind"] == "epoch"), None)
        st.html(curves.legend(list(others), measured, curves.looks()["smoothing"]))
    end = (progress.epochs if status.state in run_feed.ACTIVE else 0) or run_feed.place(records) or 1
    curves.show_curves(run, records, chosen, others, epochs=end, is_metric=True)
    draw_tracked(run.id, tracked, records)
    curves.show_curves(run, records, chosen, others, epochs=end, is_metric=False)


def attempt(action: Callable, *args) -> None:
    """Do what a button says; if it fails, the reason stays on the page until the next button."""
    st.session_state.pop("run_refusal", None)
    try:
        action(*args)
    except LightboxError as error:
        st.session_state["run_refusal"] = run_id, error


def resume(run: Run) -> None:
    store.resume(run)
    store.recover()


def extend(run: Run, epochs: int) -> None:
    store.extend(run, epochs)
    store.recover()


def delete(run: Run) -> None:
    store.delete(run)
    set_param("run", None)
    st.session_state["run_deleted"] = True


def tracked_now() -> TrackedImages:
    """The tracked images, known once the run has started: its state changes then, and the page is drawn anew."""
    try:
        run = store.get(run_id)
        return load_tracked(run, run_feed.follow(run))
    except LightboxError:                                # shown where the run is
        return TrackedImages([], ())


tracked = tracked_now()
if tracked.style:
    st.html(tracked.style)
watch()
details = details_of(rows, run_id)
runs_tab, queue_tab, notes_tab, *tabs = st.tabs(["All runs", "Queue", "Notes and tags", *details])
with runs_tab:
    draw_all_runs(rows, run_id)
with queue_tab:
    draw_queue(store, rows)
try:
    with notes_tab:
        draw_notes(store.get(run_id), all_tags(rows))
    for tab, draw in zip(tabs, details.values()):
        with tab:
            draw(store.get(run_id))
except LightboxError as error:                           # deleted while the page was drawn
    show_error(error)
draw_damaged_runs(remove=True)
if drawn.get(run_id) == "finished":
    next_step("Next: evaluate it", "evaluate", run=run_id)
