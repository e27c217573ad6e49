"""Public sets as they lie on the disk of those who download them: each case folder is read as a person expects."""

import json

import pytest

from tests.layout_support import CASES, differences

NAMES = sorted(path.parent.name for path in CASES.glob("layouts/*/EXPECT.json")) or [None]


@pytest.mark.parametrize("name", NAMES)
def test_a_layout_is_read_as_a_person_expects(name):
    if name is None:
        pytest.skip(f"There are no cases in {CASES}. Set LIGHTBOX_TEST_CASES to the folder that holds them.")
    case = CASES / "layouts" / name
    assert differences(case / "input", json.loads((case / "EXPECT.json").read_text())) == []


# Small inputs after public complaints (their EXPECT.txt in keys).
COMPLAINTS = {
    "excel_sep_line": {"images": 12, "classes": ["a", "b"]},
    "label_float": {"images": 12, "classes": ["0", "1"], "note": "1.0"},
    "nfd_names": {"images": 12, "classes": ["a", "b"]},
    "patient_float": {"images": 12, "note": "0.0"},
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_a_complaint_is_answered(name):
    if not (CASES / "complaints").is_dir():
        pytest.skip(f"There are no cases in {CASES}.")
    assert differences(CASES / "complaints" / name / "input", COMPLAINTS[name]) == []
