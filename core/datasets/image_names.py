"""Names of files: which are worth a try as an image, and what the others are. One table for everybody who lists files.

Whether a file is an image shows when it is decoded (decode.py), never by its name: here only names are looked at, so that
100,000 files are listed in a second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from core.datasets.text import suffix_of

FORMATS = {                     # format -> the suffixes that its files go by
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jif", ".jfif"),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "PGM, PPM": (".pgm", ".ppm", ".pnm", ".pbm"),
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf"),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif", ".hif"),
    "DICOM": (".dcm", ".dicom", ".dic", ".ima", ".img", ""),      # "" also for names that are a UID: 1.2.276.0.7230010
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)     # worth a try

SLICES = "Save its slices as PNG, or as DICOM with one slice a file."
EXPORT = "Export it as PNG or TIFF from the program that wrote it."
OTHERS = {                      # suffix of a format that is known and not read -> (its name, what to do)
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".img.gz"), ("NIfTI or Analyze volume", SLICES)),
    **dict.fromkeys((".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".mnc"), ("volume", SLICES)),
    **dict.fromkeys((".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".bif", ".czi", ".lif", ".nd2", ".vsi"),
                    ("microscope slide", "Cut it into tiles and save them as PNG or JPEG.")),
    **dict.fromkeys((".npy",), ("NumPy array", "Save each image as PNG, or all in one .npz in MedMNIST's layout.")),
    **dict.fromkeys((".mat", ".h5", ".hdf5", ".pkl", ".pt", ".pth", ".tfrecord", ".tfrecords", ".parquet", ".lmdb"),
                    ("container of arrays", "Save each image as PNG, or all in one .npz in MedMNIST's layout.")),
    **dict.fromkeys((".jxl", ".jxr", ".exr", ".psd", ".xcf", ".svg", ".ai", ".eps", ".ico", ".tga", ".pcx"),
                    ("image of another format", EXPORT)),
    **dict.fromkeys((".jls", ".ljpg"), ("bare JPEG-LS or JPEG Lossless stream", EXPORT)),
    **dict.fromkeys((".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".bin", ".dat"), ("raw data", EXPORT)),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".wmv", ".webm"),
                    ("video", "Save the frames that matter as PNG.")),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".ppt", ".pptx"), ("document", "Save the images inside as PNG.")),
    **dict.fromkeys((".zip", ".tar", ".tar.gz", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"),
                    ("archive", "Unpack it, and give the folder.")),
}


def is_image_name(name: str) -> bool:
    """Return whether a file of this name may be an image and is worth a try.

    >>> [is_image_name(name) for name in ("a/B.JFIF", "1.2.276.0.7230010", "IM0001", "brain.nii.gz", "labels.csv")]
    [True, True, True, False, False]
    """
    return suffix_of(name) in SUFFIXES


def other_format(name: str) -> tuple[str, str] | None:
    """Return what a file of a known format that is not read is, and what to do; None where the name says neither.

    >>> other_format("brain.NII.GZ")[0], other_format("x.png"), other_format("notes.txt")
    ('NIfTI or Analyze volume', None, None)
    """
    return OTHERS.get(_long_suffix(name))


def in_words(names: Iterable[str]) -> tuple[str, str]:
    """Return what files that are not read are, in one sentence, and what to do ("" where that is not known).

    >>> in_words(["a.nii.gz", "b.nii.gz"])[0]
    '2 files, all .nii.gz (NIfTI or Analyze volume), which is not read.'
    """
    suffixes = Counter(map(_long_suffix, names))
    total, (most, count) = suffixes.total(), (suffixes.most_common(1) or [("", 0)])[0]
    if not total:
        return "It holds no files.", ""
    what, todo = OTHERS.get(most, ("", ""))
    kind = (most or "without a suffix") + (f" ({what})" if what else "")
    files = "1 file" if total == 1 else f"{total:,} files"
    which = f"{'' if total == 1 else 'all '}{kind}" if count == total else f"{count:,} of them {kind}"
    return f"{files}, {which}, which is not read.", todo


def _long_suffix(name: str) -> str:
    suffix = suffix_of(name)
    if suffix in (".gz", ".bz2", ".xz"):
        return next((known for known in (".nii.gz", ".img.gz", ".tar.gz") if name.lower().endswith(known)), suffix)
    return suffix
