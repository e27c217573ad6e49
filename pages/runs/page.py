"""The queue and all runs; the chosen one live."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from core.errors import LightboxError
from core.metrics import METRICS
from core.runs.run import Progress
from core.runs.states import LIVE, RESUMABLE, Status
from core.runs.store import Run, RunStore
from core.trainers.diagnostics import diagnose
from pages.runs import curves
from pages.runs.run_notes import draw_notes
from pages.runs.run_queue import draw_queue
from pages.runs.tracked_images import Examples, examples_of, show_examples
from pages.shared import config_form, layout, run_feed
from pages.shared.layout import Chip, empty, escape, go, next_step, page_header, set_param, show_error
from pages.shared.run_table import all_tags, draw_table

LOG_LINES = 60                     # of the log's end
ACTION_WIDTH = 170                 # pixels
TAGS = 4                           # of a run beside its state
ALARMS = 2                         # as many stand above the curves, the others behind a button
REDRAW_SECONDS = 10.0              # while something trains, the list of all runs is at most so old
ORDER = {True: "channels last", False: "channels first"}

st.html(Path(__file__).with_suffix(".css"))
store = RunStore()
run_feed.recover(store)
rows = run_feed.all_runs(store)
(run_id,) = page_header("Runs", Chip("run", "Run", {row.id: f"{row.name} ({row.when})" for row in rows}, width=400))
if not rows:
    empty("Nothing has been trained yet. A first network takes about a minute.", "Train a network", "train")
    st.stop()
drawn = {row.id: row.state for row in rows}
active = any(state in run_feed.ACTIVE for state in drawn.values())
drawn_at = time.monotonic()


@st.fragment(run_every=1.0 if active else None)
def watch() -> None:
    """What moves by itself. When a run has changed its state the whole page is drawn again once, and now and then besides."""
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
    draw_alarms(run, status, records)
    draw_numbers(status, progress, records)
    draw_curves(run, status, progress, records)


def draw_state(run: Run, status: Status, progress: Progress, records: list[dict]) -> None:
    """In words, what the run does and why; and what one can do with it."""
    word, color = run_feed.STATES[status.state]
    with st.container(horizontal=True, vertical_alignment="center", key="run_state"):
        st.badge(word, color=color)
        ahead = run_feed.ahead_of(store, run) if status.state == "queued" else 0
        tags = "".join(f" :gray-badge[{escape(tag)}]" for tag in run.notes().tags[:TAGS])
        st.markdown(escape(run_feed.in_words(status, progress, ahead, run.device)) + tags, width="stretch")
        if status.state not in LIVE:
            with st.popover("Delete", key="run_delete", icon=":material/delete:"):
                st.markdown("The run, its curves and its weights are removed for good.")
                st.button("Delete this run", key="run_delete_now", type="primary", on_click=attempt, args=(delete, run))
        fits = run_feed.fitting_batch(records) if status.state == "failed" else None
        if fits and st.button(f"Again with batches of {fits}", key="run_again_smaller", type="primary",
                              help="The device ran out of memory. So many images at once fit; everything else stays."):
            config_form.fill(run.config)
            config_form.put("train.batch_size", fits)
            go("train", dataset=run.config.data.dataset)
        if st.button("Again with changes", key="run_again", icon=":material/replay:",
                     help="Opens the form with the settings of this run."):
            go("train", run=run.id, again="1")
        with st.container(width=ACTION_WIDTH):           # a place that does not move when the button in it changes
            draw_action(run, status)
    if status.state != "finished":
        st.progress(run_feed.share_done(progress, records))


def draw_action(run: Run, status: Status) -> None:
    """The one thing that is most likely to be wanted next."""
    if status.state in run_feed.ACTIVE:
        st.button("Stop", key="run_stop", icon=":material/stop:", width="stretch", on_click=attempt, args=(run.stop,),
                  disabled=status.state == "stopping",
                  help="Ends the training within five seconds and keeps where it stands, so that it can be resumed.")
    elif status.state in RESUMABLE:
        st.button("Resume", key="run_resume", icon=":material/play_arrow:", type="primary", width="stretch", on_click=attempt,
                  args=(resume, run), help="Goes on exactly where the last checkpoint stands.")
    elif st.button("Train on top of it", key="run_on_top", icon=":material/stacks:", width="stretch",
                   help="A new run that starts from the weights of the best epoch."):
        go("train", run=run.id)


def draw_alarms(run: Run, status: Status, records: list[dict]) -> None:
    """What goes wrong, in words, the gravest first."""
    found = diagnose(records, run.config.train.epochs, class_names=examples.class_names, reason=status.reason,
                   majority=examples.majority)
    if not found:
        return
    with st.container(key="alarms", gap="xsmall"):
        for alarm in found[:ALARMS]:
            st.warning(f"**{escape(alarm.sentence)}** {escape(alarm.advice)}")
        if len(found) > ALARMS:
            with st.popover(f"{len(found) - ALARMS} more"):
                for alarm in found[ALARMS:]:
                    st.markdown(f"**{escape(alarm.sentence)}** {escape(alarm.advice)}")


def draw_numbers(status: Status, progress: Progress, records: list[dict]) -> None:
    epochs, steps = ([r for r in records if r["kind"] == kind] for kind in ("epoch", "step"))
    best, last = run_feed.best_epoch(records) or {}, steps[-1] if steps else {}
    speed = progress.images_per_second if status.state in LIVE else epochs[-1]["images_per_second"] if epochs else None
    monitor = best.get("monitor", "roc_auc")
    beside = "accuracy" if monitor != "accuracy" else "roc_auc"
    device = {"memory_bytes": ("Memory", layout.format_bytes, "Memory of the device that the training holds."),
              "device_use": ("Device use", lambda share: f"{100 * share:.0f} %",
                             "Share of the time in which the device was computing, when it was last looked at.")}
    device = {name: said for name, said in device.items() if last.get(name) is not None}
    at, first, second, pace, *more, clock = st.columns(5 + len(device))
    at.metric("Epochs finished", f"{len(epochs)} of {progress.epochs or '-'}",
              help="In an epoch the network sees every training image once.")
    first.metric(f"Best {METRICS[monitor].title}", layout.format_number(best.get(f"val_{monitor}")), help=(
        METRICS[monitor].help + " Measured on the validation images. "
        + (f"Reached in epoch {best['epoch']}, whose weights are kept." if best else "Known after the first epoch.")))
    second.metric(f"{METRICS[beside].title} then", layout.format_number(best.get(f"val_{beside}")),
                  help=f"{METRICS[beside].help} On the validation images, in the best epoch.")
    pace.metric("Images/s", layout.format_number(speed, 0), help="Training images, over the last seconds.")
    for column, (name, (title, words, help)) in zip(more, device.items()):
        column.metric(title, words(last[name]), help=help)
    if status.state in run_feed.ACTIVE:
        clock.metric("Time left", layout.format_seconds(progress.seconds_left), help="At the speed of the last seconds.")
    else:
        clock.metric("Time taken", layout.format_seconds(sum(r["seconds"] for r in epochs) if epochs else None),
                     help="Of training and validation, without waiting.")


def draw_curves(run: Run, status: Status, progress: Progress, records: list[dict]) -> None:
    """Which curves, beside which runs; the curves; and a few images between them."""
    with st.container(horizontal=True, vertical_alignment="center", key="curves_of"):
        chosen = curves.choose_measures(records)
        others = curves.choose_others(run.id, rows, store)
        measured = next((r.get("measured") for r in reversed(records) if r["kind"] == "epoch"), None)
        st.html(curves.legend(list(others), measured))
    end = (progress.epochs if status.state in run_feed.ACTIVE else 0) or run_feed.place(records) or 1
    curves.show_curves(run, records, chosen, others, epochs=end, of_answers=True)
    show_examples(run.id, examples, records)
    curves.show_curves(run, records, chosen, others, epochs=end, of_answers=False)


def attempt(action: Callable, *args) -> None:
    """Do what a button says; why it could not be done stays on the page until the next button."""
    st.session_state.pop("run_refusal", None)
    try:
        action(*args)
    except LightboxError as error:
        st.session_state["run_refusal"] = run_id, error


def resume(run: Run) -> None:
    store.resume(run)
    store.recover()


def delete(run: Run) -> None:
    store.delete(run)
    set_param("run", None)
    st.session_state["run_deleted"] = True


def draw_settings(run: Run) -> None:
    table = pd.DataFrame(run_feed.changed_first(run.config))
    n = int(table.pop("changed").sum())
    st.caption(f"{n} setting{'s differ' if n != 1 else ' differs'} from the default and stand{'' if n != 1 else 's'} first. "
               "A run's settings never change: take them into a new run with the button above.")
    st.dataframe(table, hide_index=True, height=320, alt="Settings of this run beside the defaults", column_config={
        "setting": "Setting", "value": "This run", "default": "Default"})


def draw_data(run: Run) -> None:
    data = run.data()
    if not data:
        st.caption("Known once the run has opened its images.")
        return
    n = data["n"]
    st.markdown(f"**{escape(data['title'])}**: {n['train']:,} training, {n['val']:,} validation and {n['test']:,} test images "
                f"of {data['size']} px, {'gray' if data['channels'] == 1 else 'colour'}.")
    st.markdown(escape(data["split_note"]))
    times = run.times_test_opened()
    st.caption(f"Classes: {escape(', '.join(data['class_names']))}. The test images stay shut until you open them on the page "
               + (f"Evaluate; that was done {times} time{'s' if times > 1 else ''}." if times else "Evaluate."))


def draw_how(run: Run) -> None:
    starts = run.records("start")
    if not starts:
        st.caption("Known once the run has started.")
        return
    start = starts[-1]
    how = start["how"]
    st.markdown(f"{start['parameters']:,} parameters on {escape(start['device'])}, {escape(how['precision'])}, "
                f"{how['threads']} CPU thread{'s' if how['threads'] != 1 else ''}, "
                f"{ORDER[how['channels_last']]} in memory.")
    for note in start["notes"]:
        st.markdown(escape(note))
    if how["tried"]:
        st.caption("What was tried at the start, to find the quickest way to compute on this machine:")
        st.dataframe(pd.DataFrame([{"CPU threads": row["threads"], "Order in memory": ORDER[row["channels_last"]],
                                    "Precision": row.get("precision", "float32"),
                                    "Images per second": round(row["images_per_second"])} for row in how["tried"]]),
                     hide_index=True, width="content", alt="Ways to compute and how quick they were")


def draw_log(run: Run) -> None:
    lines = run.log().splitlines()
    st.code("\n".join(lines[-LOG_LINES:]) or "The trainer has said nothing.", language=None, wrap_lines=True, height=320)


def examples_now() -> Examples:
    """The images of the strip. Known once the run has started: then its state has changed, and the page is drawn anew."""
    try:
        run = store.get(run_id)
        return examples_of(run, run_feed.follow(run))
    except LightboxError:                                # said where the run is shown
        return Examples([], ())


examples = examples_now()
if examples.style:
    st.html(examples.style)
watch()
about = {"Settings": draw_settings, "Images and split": draw_data, "How it computes": draw_how, "Log": draw_log}
runs_tab, queue_tab, notes_tab, *tabs = st.tabs(["All runs", "Queue", "Notes and tags", *about])
with runs_tab:
    draw_table(rows)
with queue_tab:
    draw_queue(store, rows)
try:
    with notes_tab:
        draw_notes(store.get(run_id), all_tags(rows))
    for tab, draw in zip(tabs, about.values()):
        with tab:
            draw(store.get(run_id))
except LightboxError as error:                           # deleted while the page was drawn
    show_error(error)
if drawn.get(run_id) == "finished":
    next_step("Next: judge it", "evaluate", run=run_id)
