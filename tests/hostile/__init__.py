"""Broken and hostile inputs, and a program that opens them all in one process.

CASES is the table: name -> how to make it below a folder, how to open it, and which code its one sentence must have. "works"
stands for an input that looks odd and is read all the same, as documented.

    python -m tests.hostile FOLDER      makes all of them in FOLDER, opens one after the other, prints a line of JSON for each
"""

from tests.hostile import dicom, folders, images, npz, tables, zips  # noqa: F401    each adds its rows to CASES
from tests.hostile.cases import CASES, Case

__all__ = ["CASES", "Case"]
