"""Make plates: `python -m core.datasets.phantom SETTINGS K N` makes every N-th image from the K-th on that is not there yet.

Prints a line for each. Ends by itself when the process that started it is gone. Started by PhantomSource.prepare.
"""

import json
import os
import sys

from core.datasets.phantom.cohort import PhantomConfig
from core.datasets.phantom.set import PhantomSource


def main() -> None:
    settings, first, step = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    source, parent = PhantomSource(PhantomConfig(**settings)), os.getppid()
    for i in range(first, len(source.scan().table), step):
        if os.getppid() != parent:
            return
        if source.plates.read(i) is None:
            source.plates[i]                     # made and kept
            print(i, flush=True)


if __name__ == "__main__":
    main()
