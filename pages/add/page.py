"""Add images: where they are, how they are read, what the scan gives; saved as a data set under a name."""

from pathlib import Path

import streamlit as st

from core.datasets.custom import free_name, list_custom_datasets, remove_custom_dataset
from core.datasets.formats import FORMATS
from core.datasets.scan import add_custom_dataset
from core.datasets.uploads import SentFile, keep_folder
from core.errors import LightboxError
from pages.add import read_options
from pages.add.labels_form import draw_labels
from pages.add.options_form import draw_options, form
from pages.add.phantom_form import draw_phantom_form
from pages.add.read_options import Preview
from pages.add.understood import draw_understood
from pages.shared.damaged import draw_damaged_sets, draw_moved
from pages.shared.layout import (
    choose_param,
    escape,
    get_param,
    go,
    link,
    long_task,
    next_step,
    page_header,
    set_param,
    shorten,
    show_error,
    upload_limit,
)
from pages.shared.widget_state import follow

SIZES = (28, 64, 128, 224)
TASKS = {"multi-label, binary-class": "Multi-label: an image may have several of these findings, or none.",
         "ordinal-regression": "Ordinal: the classes in this order."}
EXAMPLES = {
    "Class folders": ("One folder per class. With train, val and test folders above them, that split is kept.",
                      "knees/\n  normal/  a.png  b.png\n  grade 1/ c.png  d.png"),
    "Table and images": ("A CSV with a row for each image. Any column can be the label, the patient or the split.",
                         "labels.csv   file,finding,patient\n             a.png,normal,17\nimages/      a.jpg  b.jpg"),
    "A zip or an .npz": ("A zip of either of these, or arrays in MedMNIST's layout.",
                         "knees.zip\nmine.npz     train_images (n, 64, 64)\n             train_labels (n, 1)"),
    "MURA": ("The folder as Stanford distributes it: the label is in the path.",
             "MURA-v1.1/\n  train/XR_ELBOW/patient00011/\n    study1_negative/image1.png"),
}


def take_path(path: str) -> None:
    st.session_state.pop("add_form", None)
    set_param("path", path.strip() or None)


def draw_where() -> str:
    """The path, typed or of an uploaded file."""
    typed, sent = st.columns([62, 38], gap="large")
    with typed:
        path = get_param("path", "")
        st.text_input("Path of a folder, table, zip or .npz file", placeholder="/path/to/images",
                      help="On the machine that runs Lightbox. Your files stay where they are and are never changed.",
                      **follow("add_path", path, take_path))
    with sent:
        file = st.file_uploader("Or upload a zip, a table or an .npz file", type=read_options.UPLOADS, key="add_upload",
                                help=f"{upload_limit()} For larger files enter the path instead.")
        sent_folder = draw_folder_upload()
    if sent_folder:
        take_path(sent_folder)
        st.rerun()
    if file is not None and st.session_state.get("add_sent") != file.file_id:
        try:
            path = read_options.keep_upload(file.name, file.getvalue())
        except LightboxError as error:
            show_error(error)
            return ""
        st.session_state["add_sent"] = file.file_id
        take_path(path)
        st.rerun()
    return path


def draw_folder_upload() -> str | None:
    """A folder sent by the browser; returns the path where it was kept, once."""
    files = st.file_uploader("Or upload a folder", accept_multiple_files="directory", key="add_upload_folder",
                             help=f"Its images and tables are copied to this machine. {upload_limit()} For large folders enter "
                                  "the path instead.")
    ids = tuple(file.file_id for file in files)
    if not files or st.session_state.get("add_folder_sent") == ids:
        return None
    st.session_state["add_folder_sent"] = ids
    try:
        with long_task("Keeping the folder", key="add_folder_keep") as progress:
            return str(keep_folder([SentFile(f.name, f.size, f.getvalue) for f in files], progress).path)
    except LightboxError as error:
        show_error(error)
        return None


def draw_examples() -> None:
    st.markdown("Enter the path of your images, or upload a file. Supported layouts:")
    for (title, (words, drawing)), column in zip(EXAMPLES.items(), st.columns(len(EXAMPLES), gap="medium")):
        with column, st.container(key=f"add_example_{title.split()[0].lower()}"):
            st.header(title, anchor=False)
            st.markdown(words)
            st.code(drawing, language=None)
    st.caption("Images: PNG, JPEG, BMP, TIFF, WebP, GIF and DICOM, 8 or 16 bits, gray or colour.")


# ------------------------------------------------------------------------------------------------- the result

def draw_result(shown: Preview) -> None:
    st.header("Result", anchor=False)
    if shown.error:
        show_error(shown.error)
        return
    result = shown.result
    images, patients, skipped = st.columns(3)
    images.metric("Images", f"{len(result.index.table):,}")
    patients.metric("Patients", f"{result.patients:,}" if result.patients else "-",
                    help="Number of different people. Without patient IDs a split cannot keep the images of one person together.")
    skipped.metric("Skipped", f"{len(result.index.skipped):,}", help="Rows or files that cannot be used, listed below.")
    for name, target in result.index.targets.items():
        st.html(read_options.counts_html(target, result.counts[name]))
        st.caption(TASKS.get(target.task, "Each image has exactly one class."))
    said = {one.text for one in result.index.understood}
    notes = [note for note in result.index.notes if note not in said]
    if notes:
        st.caption("\n".join(f"- {escape(note)}" for note in notes))
    if result.index.skipped:
        with st.expander(f"Skipped: {len(result.index.skipped):,}"), st.container(height=220, border=False):
            for item in result.index.skipped[:200]:
                st.caption(f"**{escape(item['path'])}** {escape(item['reason'])}")
    draw_name(shown)


def draw_name(shown: Preview) -> None:
    if there := read_options.added_as(shown):
        st.success("These images have already been added with these options.")
        link("Browse them", "browse", icon=":material/arrow_forward:", dataset=there)
        return
    title = form()["title"] or shown.result.source.title
    st.text_input("Title", max_chars=100, help="The name of the data set on all pages. It cannot be changed later, so that a "
                  "run always shows what it was trained on.",
                  **follow("add_title", title, form().__setitem__, "title"))
    if st.button("Add these images", type="primary", width="stretch", key="add_go"):
        try:
            custom, _ = add_custom_dataset(shown.format, shown.path, shown.options, free_name(title), title, shown.labels)
            go("browse", dataset=custom.name)
        except LightboxError as error:
            show_error(error)


def draw_fits(shown: Preview) -> None:
    """Some images at the size of the network's input, with what each way of making them square costs."""
    with st.container(horizontal=True, vertical_alignment="center", key="add_fits"):
        st.header("Resized to", anchor=False, width="content")
        size = st.segmented_control("Size", SIZES, default=64, format_func=lambda s: f"{s} px", label_visibility="collapsed",
                                    key="add_size", required=True, persist_state="session")
    result = shown.result
    columns = st.columns(2, gap="large")
    for k, row in enumerate(read_options.sample_rows(result)):
        with columns[k % 2]:
            st.markdown(read_options.caption_of(result, row))
            image = result.index.table["path"].iloc[row]
            st.html(read_options.fits_of(str(shown.path), repr(shown.options), image, size, result.source, row))


# --------------------------------------------------------------------------------------------- what was added

def draw_custom_datasets() -> None:
    sets = list_custom_datasets()
    if not sets:
        return
    st.header("Your data sets", anchor=False)
    for own in sets:
        title, where, remove = st.columns([3, 5, 2], vertical_alignment="center")
        with title:
            link(escape(shorten(own.title)), "browse", dataset=own.name)
        with where:
            kind = FORMATS[own.format].title if own.format in FORMATS else own.format
            st.caption(f"{escape(kind)}: {escape(shorten(own.path, 90))}" if own.path else escape(kind))
            draw_moved(own.name)
        with remove, st.popover("Remove", key=f"add_remove_{own.name}"):
            st.markdown(f"Remove **{escape(own.title)}** from the list? The images stay where they are. Runs trained on it "
                        "keep their results but cannot be evaluated again.")
            if st.button("Remove it", key=f"add_remove_{own.name}_go"):
                try:
                    remove_custom_dataset(own.name)
                    st.rerun()
                except LightboxError as error:
                    show_error(error)


def draw_files() -> None:
    """Images that exist already: where they are, how they are read, what the scan gives."""
    path = draw_where()
    shown = None
    with st.container():            # a place of its own: what comes and goes here does not move what stands below
        if path:
            try:
                with st.spinner("Scanning"):
                    shown = read_options.preview(path, form()["kind"], form()["values"])
            except LightboxError as error:
                show_error(error)
    if shown is None:
        draw_examples()
    else:
        if shown.result:
            draw_understood(shown)
        left, right = st.columns([62, 38], gap="large")
        with left:
            draw_options(shown)
            shown = draw_labels(shown) if shown.result else shown
        with right:
            draw_result(shown)
        if shown.result:
            draw_fits(shown)


def choose_way(way: str) -> None:
    choose_param("way", way)
    set_param("way", way)


WAYS = {"files": "My images", "phantom": "Generate phantom X-rays"}

st.html(Path(__file__).with_suffix(".css"))
page_header("Add images")
way = get_param("way", "files")
way = way if way in WAYS else "files"
st.pills("Source of the images", list(WAYS), format_func=WAYS.get, required=True, label_visibility="collapsed",
         **follow("add_from", way, choose_way))
if way == "phantom":
    draw_phantom_form()
else:
    draw_files()
draw_custom_datasets()
draw_damaged_sets(remove=True)
next_step("Next: browse the images", "browse")
