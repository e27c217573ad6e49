"""What decoding says: notes about what was done to an image, and the errors that every format has."""

from __future__ import annotations

from functools import partial

from core.errors import LightboxError

MAX_PIXELS = 25_000_000      # a full-resolution digital radiograph has some 12 million
MAX_BYTES = 200_000_000      # 25 million pixels of three 16-bit channels are 150 MB
AGAIN = "Copy or download it again, or open it in an image viewer and save it again."
PLAIN = "Save it as PNG or JPEG and try again."


class Note(str):
    """A sentence about how an image was read, with a code: the same for all images of which the same is said.

    `facts` are numbers of this image: frames, how many it has; least and most, its darkest and its brightest value.
    """

    code: str
    facts: dict[str, float]

    def __new__(cls, code: str, sentence: str, **facts: float) -> Note:
        note = super().__new__(cls, sentence)
        note.code, note.facts = code, facts
        return note

    def __reduce__(self):
        return partial(Note, self.code, str(self), **self.facts), ()


def damaged(kind: str, why: str) -> LightboxError:
    """Return the error for a damaged file."""
    return LightboxError("image.broken", f"The {kind} image is damaged or incomplete: {why}.", AGAIN)


def unsupported(what: str, todo: str = PLAIN) -> LightboxError:
    """Return the error for an image that is sound and not read; `what` is a sentence."""
    return LightboxError("image.unsupported", what, todo)


def too_large(what: str) -> LightboxError:
    """Return the error for an image that is too large; `what` is the beginning of a sentence."""
    return LightboxError("image.too_large", f"{what}; the limit is {MAX_PIXELS / 1e6:.0f} million pixels and "
                         f"{MAX_BYTES / 1e6:.0f} MB.", "Make it smaller in an image editor; networks use a few hundred "
                         "pixels a side.")
