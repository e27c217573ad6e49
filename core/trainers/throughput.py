"""Images per second and time left, while it goes on."""

from __future__ import annotations

import time

# between two "step" records: each reads the loss back from the device, which waits for it
REPORT_SECONDS = 0.5


class Clock:
    """Images per second and time left, over the last seconds, so that a slow start does not spoil them."""

    def __init__(self, steps: int, done: int):
        self.left = steps - done
        self.marks = [(time.perf_counter(), 0, self.left)]      # (time, images so far, steps left)
        self.images, self.reported = 0, time.perf_counter()

    def tick(self, images: int) -> None:
        self.images += images
        self.left -= 1

    def report_due(self) -> bool:
        now = time.perf_counter()
        if now - self.reported < REPORT_SECONDS:
            return False
        self.reported = now
        self.marks = [*self.marks[-20:], (now, self.images, self.left)]
        return True

    def _span(self) -> tuple[float, int, int]:
        (t0, i0, l0), now = self.marks[0], time.perf_counter()
        return max(now - t0, 1e-9), self.images - i0, l0 - self.left

    def images_per_second(self) -> float:
        seconds, images, _ = self._span()
        return images / seconds

    def seconds_left(self) -> float:
        seconds, _, steps = self._span()
        return self.left * seconds / max(steps, 1)
