"""The one exception that is meant for a person.

Whatever a person brings or does wrong ends as a `LightboxError`: a stable code (for scripts and tests) and plain
sentences that say what happened and what to do. Everything else is a bug and keeps its traceback.
"""


class LightboxError(Exception):
    """What went wrong, in words.

    Args:
        code: stable and dotted, for example "image.broken"; never shown alone
        message: what happened, in one sentence that ends with a full stop
        hint: what to do about it, in one sentence; may be empty
    """

    def __init__(self, code: str, message: str, hint: str = ""):
        super().__init__(code, message, hint)
        self.code, self.message, self.hint = code, message, hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
