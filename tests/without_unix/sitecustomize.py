"""Python as it is on Windows, so far as Linux can play it: for tests/test_platforms.py, first on PYTHONPATH of all its processes.

What only Unix has is missing: the modules for our own code, the functions for everybody. Paths, open files that can be renamed
and signals remain those of this system, and filelock still locks by flock; its contract on Windows is the same.
"""

import builtins
import os
import sys

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog"}
FUNCTIONS = ("nice", "sysconf", "pread", "pwrite", "setsid", "killpg", "getpgid", "getloadavg", "sched_getaffinity",
             "mkfifo", "set_blocking")

real_import = builtins.__import__


def import_without(name, globals=None, locals=None, fromlist=(), level=0):
    asks = str((globals or {}).get("__name__", ""))
    if name in MODULES and (asks == "__main__" or asks.split(".")[0] in ("core", "pages", "app")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real_import(name, globals, locals, fromlist, level)


if os.environ.get("WITHOUT_UNIX"):
    builtins.__import__ = import_without
    import core.files  # filelock finds its flock before the functions go
    core.files.WINDOWS = True
    for function in FUNCTIONS:
        if hasattr(os, function):
            delattr(os, function)
    print("without Unix", file=sys.stderr)
