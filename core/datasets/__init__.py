"""Where images come from, how they are stored and how they are split.

    data = open_dataset(DataConfig("breastmnist", size=28))
    data.counts()                 # classes x splits
    data.images[data.indices("train")[0]]      # (28, 28, 1) uint8

A data set is named by a row of DATASETS (registry.py), by a name that a person gave to images of their own (custom.py), or by
the path of a folder, a table, a zip or an .npz file (formats.py).
"""

from core.datasets.dataset import Dataset
from core.datasets.decode import DecodedImage, decode_image
from core.datasets.geometry import describe_fit, fit
from core.datasets.opening import is_ready, list_datasets, look_ahead, open_dataset, open_source
from core.datasets.registry import DATASETS, DatasetInfo
from core.datasets.source import Index, Source, Target

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "DecodedImage", "Index", "Source", "Target", "decode_image", "describe_fit",
           "fit", "is_ready", "list_datasets", "look_ahead", "open_dataset", "open_source"]
