"""Add images: say where they are, see how they are read, change that, and keep them under a name."""

from pathlib import Path

import streamlit as st

from core.datasets.custom import free_name, list_custom_datasets, remove_custom_dataset
from core.datasets.delimited import DELIMITERS, ENCODINGS, NONE
from core.datasets.formats import FORMATS
from core.datasets.scan import add_custom_dataset
from core.datasets.table_options import SEPARATORS
from core.errors import LightboxError
from pages.add import read_options
from pages.add.phantom_form import draw_phantom_form
from pages.shared.layout import choose_param, escape, get_param, go, link, next_step, page_header, set_param, shorten, show_error
from pages.shared.widget_state import follow

SIZES = (28, 64, 128, 224)
EXAMPLES = {
    "Class folders": ("One folder for each class. With train, val and test above them the split is kept.",
                      "knees/\n  normal/  a.png  b.png\n  grade 1/ c.png  d.png"),
    "Table and images": ("A CSV with a line for each image. Any column can be the label, the patient or the split.",
                         "labels.csv   file,finding,patient\n             a.png,normal,17\nimages/      a.jpg  b.jpg"),
    "A zip or an .npz": ("A zip of either of these, or arrays in MedMNIST's layout.",
                         "knees.zip\nmine.npz     train_images (n, 64, 64)\n             train_labels (n, 1)"),
    "MURA": ("The folder as Stanford hands it out: the label is in the path.",
             "MURA-v1.1/\n  train/XR_ELBOW/patient00011/\n    study1_negative/image1.png"),
}
ROLES = {      # field -> (label, help)
    "patient": ("Patient", "All images of a patient stay in one split: the network is tested on people it has never seen."),
    "study": ("Study", "One visit, with several views. The number may begin anew for each patient."),
    "view": ("View", "How the image was taken, such as PA or lateral."),
    "split": ("Split", "A column with train, val and test, where the set brings its own split."),
}


def form() -> dict:
    """What this person has said about the place that they look at: {"kind": ..., "title": ..., "values": {field: value}}."""
    return st.session_state.setdefault("add_form", {"kind": None, "title": None, "values": {}})


def put(field: str, value) -> None:
    form()["values"][field] = list(value) if isinstance(value, (list, tuple)) else value


def take_path(path: str) -> None:
    st.session_state.pop("add_form", None)
    set_param("path", path.strip() or None)


def draw_where() -> str:
    """The path, typed or of a file that was sent."""
    typed, sent = st.columns([62, 38], gap="large")
    with typed:
        path = get_param("path", "")
        st.text_input("Path of a folder, table, zip or .npz file", placeholder="/path/to/images",
                      help="On the machine where Lightbox runs. Nothing is moved or changed there.",
                      **follow("add_path", path, take_path))
        st.caption("Images are read where they lie: nothing is moved or changed.")
    with sent:
        file = st.file_uploader("Or send a zip, a table or an .npz file", type=read_options.UPLOADS, key="add_upload",
                                max_upload_size=read_options.MAX_UPLOAD, help=f"Up to {read_options.MAX_UPLOAD} MB. For more, give the path: "
                                "then nothing has to go through the browser.")
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


def draw_examples() -> None:
    st.markdown("Give the path of your images, or send a file. These are understood:")
    for (title, (words, drawing)), column in zip(EXAMPLES.items(), st.columns(len(EXAMPLES), gap="medium")):
        with column, st.container(key=f"add_example_{title.split()[0].lower()}"):
            st.header(title, anchor=False)
            st.markdown(words)
            st.code(drawing, language=None)
    st.caption("Images: PNG, JPEG, BMP, TIFF, WebP, GIF and DICOM, with 8 or 16 bits, gray or colour.")


# ---------------------------------------------------------------------------------------------------- how it is read

def choose(field: str, label: str, options: list, value, words=str, **more) -> None:
    """A selectbox for one field of the reading."""
    options = list(dict.fromkeys([*options, value]))
    st.selectbox(label, options, format_func=words, **more, **follow(f"add_{field}", value, put, field))


def draw_table(seen: read_options.Look) -> None:
    if seen.table:
        draw_columns(seen)
    reading = seen.reading
    folder, delimiter, encoding = st.columns([2, 1, 1])
    with folder:
        st.text_input("Folder with the images", help="The files are looked for here and in all folders below.",
                      **follow("add_folder", reading.folder, put, "folder"))
    with delimiter:
        choose("delimiter", "Delimiter", list(DELIMITERS), reading.delimiter, lambda d: DELIMITERS.get(d, d),
               help="The sign between two cells of a line.")
    with encoding:
        choose("encoding", "Encoding", list(ENCODINGS), reading.encoding, lambda e: ENCODINGS.get(e, "found by looking"),
               help="How letters are stored. If names look wrong, try another.")
    if seen.table:
        st.caption(f"{seen.table.files_found:,} of {seen.table.rows:,} rows name a file that is there.")
        rows = read_options.columns_table(seen)
        st.dataframe(rows, hide_index=True, alt="How each column of the table was read", column_config={
            "different": st.column_config.NumberColumn(width="small", help="How many different values the column holds."),
            "empty": st.column_config.NumberColumn(width="small", help="How many cells hold nothing."),
            "for example": st.column_config.TextColumn(width="large")})
        with st.expander("First rows of the table"):
            st.dataframe(seen.table.first, hide_index=True, alt="First rows of the table")


def draw_columns(seen: read_options.Look) -> None:
    """What each column means, and what its values mean."""
    reading, columns = seen.reading, [column.name for column in seen.table.columns]

    def or_none(name: str) -> str:
        return "none" if name == NONE else shorten(name)

    file, labels = st.columns([1, 2])
    with file:
        choose("file", "Image file", columns, reading.file, or_none,
               help="The column with the names. A path, a part of it or the bare name; the ending may differ.")
    with labels:
        st.multiselect("Labels", columns, format_func=shorten, help="What is to be learned. Several columns are several tasks.",
                       **follow("add_labels", list(reading.labels), put, "labels"))
    for (role, (label, help)), column in zip(ROLES.items(), st.columns(4)):
        with column:
            choose(role, label, [NONE, *columns], getattr(reading, role), or_none, help=help)
    separator, nothing, switches = st.columns([1, 1, 2], vertical_alignment="bottom")
    with separator:
        choose("separator", "Joined by", [NONE, *SEPARATORS], reading.separator, or_none, accept_new_options=True,
               help="The sign between several findings in one cell. With it an image can have several findings at once.")
    with nothing:
        if reading.separator != NONE:
            st.text_input("Means none", help="The word that stands where nothing was found.",
                          **follow("add_nothing", "" if reading.nothing == NONE else reading.nothing, put_nothing))
    with switches, st.container(horizontal=True):
        st.toggle("Grades in order", help="The classes are steps of one scale, such as 0 to 4: to be wrong by one step is less "
                  "wrong than by four.", **follow("add_ordinal", reading.ordinal, put, "ordinal"))
        if len(reading.labels) > 1:
            st.toggle("0/1 columns are one task", help="Each column is one finding, and an image may have several.",
                      **follow("add_together", reading.together, put, "together"))


def put_nothing(word: str) -> None:
    put("nothing", word.strip() or NONE)


PATIENTS = {"known": "known names", "own": "my pattern", "none": "not in names"}


def draw_folder(seen: read_options.Look) -> None:
    pattern = form()["values"].get("pattern", "")
    way = form().get("way") or ("none" if pattern == NONE else "own" if pattern else "known")
    how, order = st.columns([2, 1], vertical_alignment="bottom")
    with how:
        st.segmented_control("The patient is read from the name by", list(PATIENTS), format_func=PATIENTS.get, required=True,
                             help="All images of a patient stay in one split. Known are the names of MURA, ChestX-ray14, the "
                             "chest X-rays of Kermany and the knees of the OAI.", **follow("add_way", way, take_way))
    with order:
        st.toggle("Grades in order", help="The classes are steps of one scale, such as 0 to 4: to be wrong by one step is less "
                  "wrong than by four.", **follow("add_ordinal", bool(form()["values"].get("ordinal")), put, "ordinal"))
    if way == "own":
        st.text_input("Pattern", placeholder=r"(?P<patient>person\d+)_", help="A regular expression, searched in the path below "
                      "the class folder. It takes what stands in the groups patient, study and view: "
                      r"(?P<patient>\d+)(?P<view>[LR]) takes 9003175 and L from 9003175L.png.",
                      **follow("add_pattern", pattern, put, "pattern"))
    if seen.names is not None:
        st.caption("What is taken from some of the names:")
        st.dataframe(seen.names, hide_index=True, alt="What is taken from some of the names")


def take_way(way: str) -> None:
    form()["way"] = way
    put("pattern", {"none": NONE}.get(way, ""))


def draw_mura(seen: read_options.Look) -> None:
    from core.datasets.mura import PARTS
    st.multiselect("Parts of the body", PARTS, placeholder="all seven",
                   **follow("add_parts", list(seen.reading.parts), put, "parts"))
    st.toggle("With abnormal images", help="Without them only the part of the body can be learned.",
              **follow("add_abnormal", seen.reading.abnormal, put, "abnormal"))


def draw_npz(seen: read_options.Look) -> None:
    st.markdown("The file says itself what it holds: images, labels and the split.")


HOW = {"table": draw_table, "folder": draw_folder, "mura": draw_mura, "npz": draw_npz}


def draw_how(seen: read_options.Look) -> None:
    title, kind = st.columns([2, 1], vertical_alignment="center")
    with title:
        st.header(f"{FORMATS[seen.kind].title}: how it is read", anchor=False)
    if len(seen.kinds) > 1:
        with kind:
            st.selectbox("Read as", seen.kinds, format_func=lambda k: FORMATS[k].title, label_visibility="collapsed",
                         **follow("add_kind", seen.kind, form().__setitem__, "kind"))
    HOW[seen.kind](seen)


# ------------------------------------------------------------------------------------------------------- what comes out

def draw_result(seen: read_options.Look) -> None:
    st.header("What comes out", anchor=False)
    if seen.error:
        show_error(seen.error)
        return
    found = seen.found
    images, patients, left_out = st.columns(3)
    images.metric("Images", f"{len(found.index.table):,}")
    patients.metric("Patients", f"{found.patients:,}" if found.patients else "-",
                    help="Different people. Unknown where no column or name says it: then a split cannot keep them apart.")
    left_out.metric("Left out", f"{len(found.index.skipped):,}", help="Rows or files that cannot be used, listed below.")
    for name, target in found.index.targets.items():
        st.html(read_options.counts_html(target, found.counts[name]))
        st.caption({"multi-label, binary-class": "An image may have several of these findings, or none.",
                    "ordinal-regression": "Grades, in this order."}.get(target.task, "Each image has one of these."))
    if found.index.notes:
        st.caption("\n".join(f"- {escape(note)}" for note in found.index.notes))
    if found.index.skipped:
        with st.expander(f"Left out: {len(found.index.skipped):,}"), st.container(height=220, border=False):
            for item in found.index.skipped[:200]:
                st.caption(f"**{escape(item['path'])}** {escape(item['reason'])}")
    draw_name(seen)


def draw_name(seen: read_options.Look) -> None:
    if there := read_options.added_as(seen):
        st.success("These images are added already, read in this way.")
        link("Browse them", "browse", icon=":material/arrow_forward:", dataset=there)
        return
    title = form()["title"] or seen.found.source.title
    st.text_input("Title", max_chars=100, help="What the set is called everywhere. It can be removed and added again, but not "
                  "changed, so that a run always knows on what it was trained.",
                  **follow("add_title", title, form().__setitem__, "title"))
    if st.button("Add these images", type="primary", width="stretch", key="add_go"):
        try:
            own, _ = add_custom_dataset(seen.kind, seen.place, seen.reading, free_name(title), title)
            go("browse", dataset=own.name)
        except LightboxError as error:
            show_error(error)


def draw_fits(seen: read_options.Look) -> None:
    """Some images at the size at which they would be learned, with what each way of making them square costs."""
    with st.container(horizontal=True, vertical_alignment="center", key="add_fits"):
        st.header("Made square: three ways, at", anchor=False, width="content")
        size = st.segmented_control("Size", SIZES, default=64, format_func=lambda s: f"{s} px", label_visibility="collapsed",
                                    key="add_size", required=True, persist_state="session")
    found = seen.found
    columns = st.columns(2, gap="large")
    for k, row in enumerate(read_options.sample_rows(found)):
        with columns[k % 2]:
            st.markdown(read_options.caption_of(found, row))
            image = found.index.table["path"].iloc[row]
            st.html(read_options.fits_of(str(seen.place), repr(seen.reading), image, size, found.source, row))


# ------------------------------------------------------------------------------------------------------- what was added

def draw_own() -> None:
    sets = list_custom_datasets()
    if not sets:
        return
    st.header("Sets that were added", anchor=False)
    for own in sets:
        title, where, remove = st.columns([3, 6, 1], vertical_alignment="center")
        with title:
            link(escape(shorten(own.title)), "browse", dataset=own.name)
        with where:
            kind = FORMATS[own.format].title if own.format in FORMATS else own.format
            st.caption(f"{escape(kind)}: {escape(shorten(own.path, 90))}" if own.path else escape(kind))
        with remove, st.popover("Remove", key=f"add_remove_{own.name}"):
            st.markdown(f"Remove **{escape(own.title)}** from the list? The images stay where they are. Runs that were trained "
                        "on it keep their results, and cannot be evaluated anew.")
            if st.button("Remove it", key=f"add_remove_{own.name}_go"):
                try:
                    remove_custom_dataset(own.name)
                    st.rerun()
                except LightboxError as error:
                    show_error(error)


def draw_files() -> None:
    """Images that are there already: where, how they are read, what comes out."""
    path = draw_where()
    seen = None
    with st.container():            # a place of its own: what comes and goes here does not move what stands below
        if path:
            try:
                with st.spinner("Looking ..."):
                    seen = read_options.look(path, form()["kind"], form()["values"])
            except LightboxError as error:
                show_error(error)
    if seen is None:
        draw_examples()
    else:
        left, right = st.columns([62, 38], gap="large")
        with left:
            draw_how(seen)
        with right:
            draw_result(seen)
        if seen.found:
            draw_fits(seen)


def choose_way(way: str) -> None:
    choose_param("way", way)
    set_param("way", way)


WAYS = {"files": "Images that I have", "phantom": "Make phantom X-rays"}

st.html(Path(__file__).with_suffix(".css"))
page_header("Add images")
way = get_param("way", "files")
way = way if way in WAYS else "files"
st.pills("Where from", list(WAYS), format_func=WAYS.get, required=True, label_visibility="collapsed",
         **follow("add_from", way, choose_way))
if way == "phantom":
    draw_phantom_form()
else:
    draw_files()
draw_own()
next_step("Next: look at the images", "browse")
