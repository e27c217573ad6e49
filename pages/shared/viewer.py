"""One image as large as there is room, and at its own pixels after a click.

Streamlit's own image element makes everything wider than 1,460 pixels smaller; a radiograph is looked at
closer than that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st

from pages.shared.gallery import pack

HERE = Path(__file__).parent

_element = st.components.v2.component(
    "lightbox_viewer",
    html="<div class='frame' tabindex='0' role='button'><img></div>",
    css=(HERE / "viewer.css").read_text(),
    js=(HERE / "viewer.js").read_text(),
)


def viewer(image: bytes, kind: str, *, key: str, alt: str) -> None:
    """Draw an encoded image. A click (or Enter) shows it pixel by pixel about that place, the next one whole
    again.

    Args:
        image: a PNG or JPEG
        kind: its MIME type
        alt: what it shows, for people who do not see it
    """
    header = {"kind": kind, "alt": alt, "id": hashlib.sha256(image).hexdigest()}
    _element(data=pack(header, image), key=key)
