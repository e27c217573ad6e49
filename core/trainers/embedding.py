"""A frozen backbone embeds once: the features of every image, computed a single time and kept, so that only the head is left to
train.

While the backbone is frozen an image has the same features in every epoch. An epoch of the head on kept
features takes milliseconds where one through the backbone takes minutes. With random changes of the images
the features are those of k changed copies, which the epochs take in turn: copy c is changed by (seed, c), as
epoch c would change it.

    LIGHTBOX_HOME/features/<key>.npy     (rows, F) float32, row c N + i holds copy c of image i
                           <key>.json    its SHA-256 and how long it took; written last
                           <key>.part    the same while it is made: whole rows in order, so a maker that is stopped goes on there
                           <key>.lock    held by who makes it

The key is a hash of everything that the numbers depend on (`_facts`), so features that do not fit are never
read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.augment import AUGMENTATIONS, active
from core.config import RunConfig
from core.errors import LightboxError
from core.files import Lock, disk_errors, sha256, sync_folder, write_json
from core.trainers.augmenting import augment_inputs
from core.trainers.batches import Batches, SplitData, in_portions

FORMAT = 1                       # raise it when the same key would give other numbers
# of all features that are kept; the ones that were not used for longest go first
LIMIT_BYTES = 10 * 10**9
SPARE_BYTES = 100 * 10**6        # that stay free on the disk
# images and pixels in a batch: little enough to be stopped soon
MOST = {"cpu": (64, 2**20), "cuda": (1024, 2**23)}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Block:
    """N rows of features: `copy` changes the images as that epoch would, None leaves them; `half` is a trunk in bfloat16."""
    copy: int | None
    half: bool


def may_embed(model: nn.Module, config: RunConfig) -> bool:
    """Return whether the features of an image stay the same for the whole training.

    Mixup mixes pixels, and the features of a mixed image are no mixture of features: it goes through the
    backbone.
    """
    return model.frozen and not config.model.unfreeze_epoch and not config.train.mixup


def embedded(model: nn.Module, train_split: SplitData, val_split: SplitData, config: RunConfig, folder: Path,
             progress: Progress | None = None, *, precision: str = "float32", channels_last: bool = True
             ) -> tuple[SplitData, SplitData]:
    """Return the two splits as features of the model's backbone, computed or read again.

    Args:
        model: a Classifier on the device to train on, for which `may_embed` holds; left in the mode in which
            it was
        folder: of the features that are kept; made where it is missing
        progress: called with (sentence, images done, images); what it raises stops the work, and the next
            call goes on there
        precision: "float32" or "bfloat16" of the backbone for training images; validation is always float32
        channels_last: order of the numbers in memory, as the training would have it

    Returns:
        training and validation split with `embedded` true, and the training split's `note` says what was
            done; or both as
        they came, with a note, where the features would take more room than there is

    Raises:
        LightboxError: "embedding.nan" where the backbone gives no finite numbers; "disk.full",
            "disk.not_allowed"
    """
    changed, half = bool(active(config.augment)), precision == "bfloat16"
    copies = min(config.train.copies, config.train.epochs) if changed else 1
    blocks = {"training": [_Block(copy if changed else None, half) for copy in range(copies)],
              "validation": [_Block(None, False)]}
    if config.train.measure_train and blocks["validation"][0] not in blocks["training"]:
        # training images are measured unchanged, in float32
        blocks["training"].append(blocks["validation"][0])
    if not len(train_split) or not len(val_split):
        return train_split, val_split                            # the loop says so in words
    with disk_errors(folder / "features"):
        folder.mkdir(parents=True, exist_ok=True)
    makers = [_Maker(model, split, blocks[name], config, folder, name, progress or _silent, channels_last)
              for name, split in (("training", train_split), ("validation", val_split))]
    features = [maker.load() for maker in makers]
    need = sum(maker.bytes for maker, stored in zip(makers, features) if stored is None)
    if need and not _make_room(folder, need, keep={maker.key for maker in makers}):
        note = (f"The backbone is frozen, but its features would take {need / 1e9:.1f} GB, which is more than there is room for: "
                "they are computed again in every epoch.")
        return dataclasses.replace(train_split, note=note), val_split
    begun = time.perf_counter()
    features = [maker.make() if stored is None else stored for maker, stored in zip(makers, features)]
    seconds = time.perf_counter() - begun
    of_what = f"of {copies} augmented copies of each training image " if changed else ""
    how = f"once, in {seconds:.1f} s" if need else "once, by an earlier run"
    note = f"The backbone is frozen: its features {of_what}were computed {how}. Only the head trains."
    return (dataclasses.replace(train_split, images=features[0], copies=copies, note=note),
            dataclasses.replace(val_split, images=features[1], copies=1))


def kept_features(model: nn.Module, split: SplitData, config: RunConfig, folder: Path) -> np.ndarray | None:
    """Return what `plain_features` has kept, or None: nothing is computed."""
    return _plain(model, split, config, folder, _silent).load()


def plain_features(model: nn.Module, split: SplitData, config: RunConfig, folder: Path,
                   progress: Progress | None = None, name: str = "training") -> np.ndarray:
    """Return features (N, F) float32, mapped, of the unchanged images of a split, computed or read again; frozen or not.

    `name` says in the progress which images these are.

    Raises LightboxError "embedding.room" where they would take more room than there is, and as `embedded`
    does.
    """
    with disk_errors(folder / "features"):
        folder.mkdir(parents=True, exist_ok=True)
    maker = _plain(model, split, config, folder, progress or _silent, name)
    features = maker.load()
    if features is None and not _make_room(folder, maker.bytes, keep={maker.key}):
        raise LightboxError("embedding.room", f"The features of these images take {maker.bytes / 1e9:.1f} GB, more than there "
                            "is room for.", "Free some space or set LIGHTBOX_HOME to another disk.")
    return maker.make() if features is None else features


def _plain(model: nn.Module, split: SplitData, config: RunConfig, folder: Path, progress: Progress,
           name: str = "training") -> _Maker:
    return _Maker(model, split, [_Block(None, False)], config, folder, name, progress, True)


class _Maker:
    """Finds or computes the features of one split."""

    def __init__(self, model: nn.Module, split: SplitData, blocks: list[_Block], config: RunConfig, folder: Path, name: str,
                 progress: Progress, channels_last: bool):
        self.model, self.split, self.blocks, self.config, self.progress = model, split, blocks, config, progress
        self.channels_last, self.sentence = channels_last, f"Computing the features of the {name} images, once"
        self.shape = len(split) * len(blocks), model.features
        self.bytes = self.shape[0] * self.shape[1] * 4
        facts = _facts(model, split, blocks, config, channels_last)
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
        self.file, self.about, self.part, self.lock = (folder / f"{self.key}.{end}" for end in ("npy", "json", "part", "lock"))

    def load(self) -> np.ndarray | None:
        """Return (rows, F) float32, mapped; None where they are not there or not as they were written."""
        try:
            about = json.loads(self.about.read_bytes())
            features = np.load(self.file, mmap_mode="r", allow_pickle=False)
            if (features.shape, features.dtype) != (self.shape, np.float32) or sha256(self.file) != about["sha256"]:
                return None
            os.utime(self.about)                    # used now: others go first when room is needed
            # the mapping without its class, which makes each small read slower
            return np.asarray(features)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None

    def make(self) -> np.ndarray:
        lock = Lock(self.lock)
        while not lock.acquire():
            self.progress("Another run computes these features", 0, 0)
            time.sleep(0.2)
        try:
            features = self.load()                  # somebody else may have made them while we waited
            if features is not None:
                return features
            begun = time.perf_counter()
            with disk_errors(self.part):
                self._compute()
                whole = sha256(self.part)
                self.about.unlink(missing_ok=True)
                os.replace(self.part, self.file)
                sync_folder(self.file.parent)
                write_json(self.about, {"sha256": whole, "shape": self.shape, "seconds": time.perf_counter() - begun})
        finally:
            lock.release()
        features = self.load()
        if features is None:
            raise LightboxError("embedding.damaged", f"The features in {self.file.parent} are not what was written there.",
                                "The disk may be failing. Set LIGHTBOX_HOME to another one.")
        return features

    def _compute(self) -> None:
        """Append what is missing to the part."""
        model, device, n = self.model, next(self.model.parameters()).device, len(self.split)
        start, row = _header(self.shape), self.shape[1] * 4
        most, pixels = MOST.get(device.type, MOST["cuda"])
        size = model.preprocessing.size
        # not from the config: the bits must not depend on who came first
        batch = min(most, max(8, pixels // (size**2 * model.preprocessing.views)))
        batches, was_training = Batches(self.split, device), model.training
        model.to(memory_format=torch.channels_last if self.channels_last else torch.contiguous_format).eval()
        try:
            with open(self.part, "r+b" if self._goes_on(start) else "w+b") as file:
                file.seek(0, os.SEEK_END)
                done = max(0, file.tell() - len(start)) // row
                block, place = divmod(min(done, self.shape[0]), n)
                # whole batches: a batch cut elsewhere may differ in the last bit
                place -= place % batch
                file.truncate(len(start) + (block * n + place) * row)
                file.seek(0)
                file.write(start)
                file.seek(0, os.SEEK_END)
                self.progress(self.sentence, block * n + place, self.shape[0])
                for number in range(block, len(self.blocks)):
                    portions = in_portions(np.arange(place, n), batch)
                    for images, _ in batches(portions):
                        file.write(self._features(images, batches.rows, self.blocks[number], device))
                        place += len(images)
                        self.progress(self.sentence, number * n + place, self.shape[0])
                    place = 0
                file.flush()
                os.fsync(file.fileno())
        finally:
            model.train(was_training)

    def _goes_on(self, start: bytes) -> bool:
        """Whether there is a part that somebody was stopped at."""
        try:
            with open(self.part, "rb") as file:
                return file.read(len(start)) == start
        except OSError:
            return False

    def _features(self, images: torch.Tensor, rows: torch.Tensor, block: _Block, device: torch.device) -> bytes:
        with torch.no_grad():
            if block.copy is not None:
                images = augment_inputs(images, self.model.preprocessing.views, self.config.augment,
                                        (self.config.train.seed, block.copy), rows)
            if self.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=block.half):
                features = self.model.embed(images)
            rows = features.float().cpu().numpy()
        if not np.isfinite(rows).all():
            raise LightboxError("embedding.nan", "The frozen backbone gives features that are not finite, so nothing can be "
                                "learned from them.", "Start from other weights, or set train.precision to float32.")
        return np.ascontiguousarray(rows).tobytes()


def _facts(model: nn.Module, split: SplitData, blocks: list[_Block], config: RunConfig, channels_last: bool) -> dict:
    """All that the features depend on, as JSON.

    The device and its threads too: they decide the last bits, and a run is to end in the same ones whether
    its features were read or computed.
    """
    device = next(model.parameters()).device
    changed = any(block.copy is not None for block in blocks)
    pixels = split.token or hashlib.sha256(np.ascontiguousarray(split.images[split.indices])).hexdigest()
    rows = np.ascontiguousarray(split.indices, dtype=np.int64)
    return {"format": FORMAT, "pixels": pixels, "rows": hashlib.sha256(rows).hexdigest(),
            "preprocessing": {name: value for name, value in model.preprocessing.facts().items()
                              if name != "intensity"},      # which the pixels say
            "backbone": backbone_hash(model),
            "blocks": [dataclasses.astuple(block) for block in blocks],
            "augment": {knob: getattr(config.augment, knob) for name in active(config.augment)
                        for knob in AUGMENTATIONS[name].knobs(name)} if changed else {},
            "seed": config.train.seed if changed else None, "channels_last": channels_last, "torch": torch.__version__,
            "device": f"cpu, {torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
            if device.type == "cuda" else device.type}


def backbone_hash(model: nn.Module) -> str:
    """Return SHA-256 of what a Classifier's backbone is: its layers, and its weights and statistics.

    The head plays no part.
    """
    network, digest = model.network, hashlib.sha256(getattr(model.network, "how", "").encode())
    for part in network.trunk_parts + network.pool_parts:
        module = network.get_submodule(part)
        # strides and kinds of pooling are in no weight
        digest.update(f"{part}: {module!r}".encode())
        for name, tensor in module.state_dict().items():
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.view(-1).view(torch.uint8).numpy() if values.numel() else b"")
    return digest.hexdigest()


def _make_room(folder: Path, need: int, keep: set[str]) -> bool:
    """Delete what was not used for longest, but nothing of `keep`, until `need` bytes fit into the limit; False where they do
    not fit, into it or on the disk."""
    if need > LIMIT_BYTES:
        return False
    entries = []
    for key in {file.stem for file in folder.iterdir() if file.suffix in (".npy", ".part", ".json")}:
        files = [file for file in folder.glob(f"{key}.*") if file.suffix != ".lock"]
        stats = [file.stat() for file in files if file.exists()]
        entries.append((max((s.st_mtime for s in stats), default=0.0), sum(s.st_size for s in stats), key))
    total = sum(size for _, size, _ in entries)
    for _, size, key in sorted(entries):
        if total + need <= LIMIT_BYTES:
            break
        if key not in keep and not Lock.is_held(folder / f"{key}.lock"):
            for file in folder.glob(f"{key}.*"):
                with contextlib.suppress(PermissionError):       # Windows: somebody has it mapped
                    file.unlink(missing_ok=True)     # elsewhere, who has it mapped keeps it until they let go
            total -= size
    return shutil.disk_usage(folder).free > need + SPARE_BYTES


def _header(shape: tuple[int, int]) -> bytes:
    """The head of an .npy file of float32."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def _silent(sentence: str, done: int, total: int) -> None:
    pass
