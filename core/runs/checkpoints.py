"""Checkpoints: weights as safetensors, the rest for an exact resume, each with its SHA-256.

    checkpoints/e0003-s000000/weights.safetensors    the model's state
                              resume.safetensors     the optimiser's state
                              meta.json              where it stands, the preprocessing, the checksums

e0003-s000120 reads: three epochs finished, 120 steps of the fourth done. A checkpoint is built under a name
that starts with a dot and moved when it is whole, so what has its final name is complete. No file format
reader notices a flipped bit inside a tensor; the checksum does. Nothing here is ever unpickled.

What imports torch is imported inside functions: pages list checkpoints without it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from core.errors import LightboxError
from core.files import Damaged, disk_errors, read_json, sync_folder, write_atomic, write_json

NAME = re.compile(r"e(\d{4,9})-s(\d{6,15})")
META = {"meta": {"epoch": range(10**9), "step": range(10**15), "sha256": dict[str, str]}, "sha256": str}
BEST = {"meta": {"best": {"epoch": range(10**9)}}}


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint. `weights` and `resume` are dicts of name -> CPU tensor; meta is plain JSON."""
    epoch: int
    step: int
    weights: dict
    resume: dict
    meta: dict


def name_of(epoch: int, step: int = 0) -> str:
    return f"e{epoch:04d}-s{step:06d}"


def save(folder: Path, epoch: int, step: int, weights: dict, resume: dict, meta: dict) -> Path:
    """Write a checkpoint; returns its folder.

    One of the same place is replaced. Raises LightboxError "disk.full".
    """
    from safetensors.torch import save as to_bytes
    final = folder / name_of(epoch, step)
    half = folder / f".{final.name}-{secrets.token_hex(2)}"
    try:
        with disk_errors(folder):
            half.mkdir()
            sums = {}
            for name, tensors in (("weights.safetensors", weights), ("resume.safetensors", resume)):
                data = to_bytes({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
                sums[name] = hashlib.sha256(data).hexdigest()
                write_atomic(half / name, data)
            meta = {**meta, "epoch": epoch, "step": step, "sha256": sums}
            write_json(half / "meta.json", {"meta": meta, "sha256": checksum(meta)})
            if final.exists():
                shutil.rmtree(final)
            half.rename(final)
            sync_folder(folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return final


def load(folder: Path, with_resume: bool = True) -> Checkpoint:
    """Read a checkpoint and prove every byte of it.

    Raises LightboxError "checkpoint.missing" or "checkpoint.damaged".
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes
    damaged = LightboxError("checkpoint.damaged", f"The checkpoint {folder.name} is damaged: its checksum does not match.",
                            "An earlier one can be used; delete this one.")
    try:
        proved = read_json(folder / "meta.json", META)
        meta = proved["meta"]
        if checksum(meta) != proved["sha256"]:
            raise damaged
        tensors = {}
        for name in ("weights.safetensors", "resume.safetensors") if with_resume else ("weights.safetensors",):
            data = (folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != meta["sha256"][name]:
                raise damaged
            tensors[name] = from_bytes(data)
    except FileNotFoundError:
        raise LightboxError("checkpoint.missing", f"The checkpoint {folder.name} does not exist (any more).",
                            "Choose another run, or train again.") from None
    except (ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError, SafetensorError):
        raise damaged from None
    return Checkpoint(meta["epoch"], meta["step"], tensors["weights.safetensors"],
                      tensors.get("resume.safetensors", {}), meta)


def places(folder: Path) -> list[tuple[int, int]]:
    """Return (epochs finished, steps of the next) of all checkpoints, earliest first."""
    names = (NAME.fullmatch(path.name) for path in folder.glob("e*"))
    return sorted((int(m[1]), int(m[2])) for m in names if m)


def snapshots(folder: Path) -> list[int]:
    """Return the epochs whose last step was kept, earliest first: what the address RUN@EPOCH can name."""
    return [epoch for epoch, step in places(folder) if step == 0 and epoch > 0]


def preprocessing_of(folder: Path, epoch: int) -> dict:
    """Return what the network of an epoch does to an image before it looks, as its checkpoint has it: size, resize, channels,
    mean, std. Empty where that is not there or damaged. Cheap: no weights are read.
    """
    try:
        found = read_json(folder / name_of(epoch) / "meta.json", META)["meta"]["classifier"]["preprocessing"]
        mean, std = (tuple(float(value) for value in found[name]) for name in ("mean", "std"))
        return {"size": int(found["size"]), "resize": str(found["resize"]), "channels": int(found["channels"]), "mean": mean,
                "std": std}
    except (FileNotFoundError, Damaged, KeyError, TypeError, ValueError, OverflowError):
        return {}


def load_epoch(folder: Path, epoch: int) -> Checkpoint:
    """Read the weights after an epoch, counted from 1.

    Raises LightboxError "checkpoint.missing" where that epoch was not kept, "checkpoint.damaged".
    """
    kept = snapshots(folder)
    if epoch not in kept:
        there = f"It has epoch {', '.join(map(str, kept))}." if kept else "It has not finished an epoch yet."
        raise LightboxError("checkpoint.missing", f"This run has no checkpoint of epoch {epoch}. {there}",
                            "Choose an epoch that was kept; train.snapshots says how many are.")
    return load(folder / name_of(epoch), with_resume=False)


def load_latest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is sound, or None where there is none; and a sentence for each that was not."""
    notes = []
    for place in reversed(places(folder)):
        try:
            return load(folder / name_of(*place)), notes
        except LightboxError as error:
            notes.append(f"{error.message} The previous one was used.")
    return None, notes


def load_best(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Return the weights of the best epoch; of the newest sound epoch where the best one is damaged, with a note about that.

    Raises LightboxError "checkpoint.missing" where no epoch was finished, "checkpoint.damaged" where none is
    sound.
    """
    finished = snapshots(folder)
    if not finished:
        raise LightboxError("checkpoint.missing", "This run has not finished an epoch yet.",
                            "Wait for the first one, or choose another run.")
    best, notes = best_epoch(folder), []
    # stable: the best first, then newest to oldest
    for epoch in sorted(reversed(finished), key=lambda one: one != best):
        try:
            return load(folder / name_of(epoch), with_resume=False), notes
        except LightboxError as error:
            notes.append(f"{error.message} The next best intact one was used.")
    raise LightboxError("checkpoint.damaged", "Every checkpoint of this run is damaged: no checksum matches.",
                        "Train again, and check the disk: it may be failing.")


def prune(folder: Path, best_epoch: int, snapshots: Collection[int] = ()) -> None:
    """Keep the last two, the best, and the epochs that are snapshots of the run."""
    known, kept = places(folder), {(epoch, 0) for epoch in (best_epoch, *snapshots)}
    for place in known[:-2]:
        if place not in kept:
            shutil.rmtree(folder / name_of(*place), ignore_errors=True)
    for half in folder.glob(".e*"):            # left by a kill
        shutil.rmtree(half, ignore_errors=True)


def best_epoch(folder: Path) -> int | None:
    """Return the best epoch so far, as the newest readable checkpoint says."""
    for place in reversed(places(folder)):
        try:
            return read_json(folder / name_of(*place) / "meta.json", BEST)["meta"]["best"]["epoch"]
        except (FileNotFoundError, Damaged):
            continue
    return None


def checksum(meta: dict) -> str:
    """Return SHA-256 of a meta, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()
