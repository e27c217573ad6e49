"""Split images by patient, and look for what is wrong with a split. `python -m docs.split_and_audit`

The set is made here: phantom radiographs of 30 patients, of whom some are known under two numbers and some images are filed
a second time under somebody else. A split by image puts most patients on both sides; a split by patient puts none there, but
it cannot know of the second numbers and the copies. The copies are found by looking at the pixels.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from core import open_dataset
from core.audit import audit
from core.config import DataConfig
from core.datasets.phantom import PhantomConfig
from core.datasets.phantom.export import Plan, export


def make_set(folder: Path) -> Path:
    """Write the images and a table with columns for image, patient, study and label; return the table."""
    config = PhantomConfig(patients=30, two_numbers=0.2, copies=0.08)
    return export(Plan(config, "table", size=128), folder / "phantom")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = make_set(Path(folder))
        for split in ("image", "patient"):
            data = open_dataset(DataConfig(str(table), size=128, split=split))
            report = audit(data)
            test = report.overlaps["test"]
            across = [pair for pair in report.duplicates if report.crosses(pair)]
            print(f"Split by {split}: {len(data.indices('train'))} images to train, {len(data.indices('test'))} to test.")
            print(f"  {test.patients} of {test.n} test images show a patient who is also in training.")
            print(f"  {len(report.duplicates)} pairs of copies, {len(across)} of them on both sides.")
            for pair in across[:3]:
                print(f"    {report.image_ids[pair.a]} ({report.split[pair.a]}) and "
                      f"{report.image_ids[pair.b]} ({report.split[pair.b]})")


if __name__ == "__main__":
    main()
