"""How people mark images: three marks and a note for each, the chip that filters by them, the file of all.

They are kept for each data set: for all runs, and for everybody who uses this app.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.errors import LightboxError
from core.runs.marks import KINDS, NOTE_LENGTH, Mark, marks_csv, marks_file, put_mark, read_marks
from pages.shared.layout import Chip, escape, show_error
from pages.shared.widget_state import follow


def mark_chip() -> Chip:
    return Chip("mark", "Marks", {"any": "Any mark", "marked": "Marked", **KINDS, "note": "With a note",
                                  "none": "Not marked"},
                width=140)


def marks_of(dataset: str) -> dict[str, Mark] | None:
    """Return the marks of a set, read anew when the file changed. None, after a sentence, where the file
    is damaged."""
    try:
        changed = marks_file(dataset).stat()
    except OSError:
        return {}
    try:
        return _marks(dataset, str(marks_file(dataset)), changed.st_mtime_ns, changed.st_ino)
    except LightboxError as error:
        show_error(error)
        return None


@st.cache_resource(max_entries=16, show_spinner=False)
def _marks(dataset: str, path: str, changed: int, inode: int) -> dict[str, Mark]:
    return read_marks(dataset)


def has_mark(mark: Mark | None, wanted: str) -> bool:
    """Whether a mark passes the filter of `mark_chip`."""
    if wanted in KINDS:
        return mark is not None and mark.kind == wanted
    return {"any": True, "marked": mark is not None and bool(mark.kind),
            "note": mark is not None and bool(mark.note),
            "none": mark is None or not mark.kind}[wanted]


def draw_mark(dataset: str, image_id: str, mark: Mark | None, class_names: Sequence[str] = ()) -> None:
    """The three marks and the note of an image; what is chosen or typed is saved at once. Of a mislabelled one
    the right class of `class_names` can be said too."""
    mark = mark or Mark()
    with st.container(gap="xsmall", key="mark"):
        st.segmented_control("Mark this image", list(KINDS), format_func=KINDS.get,
                             help="Saved with the data set: for all runs, and for everybody who uses this "
                                  "app.",
                             **follow(f"mark_{image_id}", mark.kind or None, _put, dataset, image_id, "kind"))
        if class_names and (mark.kind == "mislabelled" or mark.label):
            st.selectbox("Correct label", list(dict.fromkeys(["", *class_names, mark.label])),
                         format_func=lambda name: name or "not known",
                         help="Kept with the mark. It counts where corrected labels are taken: under Judged on, "
                              "on the page Evaluate.",
                         **follow(f"right_{image_id}", mark.label, _put, dataset, image_id, "label"))
        st.text_input("Note", max_chars=NOTE_LENGTH, placeholder="A note for the next reader",
                      label_visibility="collapsed",
                      **follow(f"note_{image_id}", mark.note, _put, dataset, image_id, "note"))
    if error := st.session_state.pop("mark_error", None):
        show_error(error)


def _put(dataset: str, image_id: str, field: str, value: str | None) -> None:
    try:
        put_mark(dataset, image_id, **{field: value or ""})
    except LightboxError as error:
        st.session_state["mark_error"] = error


def draw_download(dataset: str, marks: dict[str, Mark] | None) -> None:
    """The marks of the set as a file; nothing where there are none."""
    if marks:
        name = marks_file(dataset).stem.rsplit("-", 1)[0]
        st.download_button(f"{len(marks):,} mark{'' if len(marks) == 1 else 's'} as CSV",
                           lambda: marks_csv(dataset),
                           f"marks-{name}.csv", "text/csv", icon=":material/download:", type="tertiary",
                           on_click="ignore",
                           help="All marks of this data set. On the command line: python -m core marks "
                                f"{escape(dataset)}")
