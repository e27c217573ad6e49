"""Phantom radiographs: X-rays of people who do not exist, generated from simple physics. See README.md beside this file.

    pixels, mask = render(patient=3, study=0, view=0)
    source = PhantomSource()
    source = PhantomSource(SEVEN_PARTS)

Not for clinical use.
"""

from core.datasets.phantom.cohort import PhantomConfig
from core.datasets.phantom.render import render
from core.datasets.phantom.source import PhantomSource

SEVEN_PARTS = PhantomConfig(parts=("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist"), patients=600)

__all__ = ["SEVEN_PARTS", "PhantomConfig", "PhantomSource", "render"]
