"""Tasks, splits, and the settings of the images."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from core.config.knob import knob


class Task(StrEnum):
    """What is learned from an image, in MedMNIST's words. A member equals its text."""

    BINARY = "binary-class"
    MULTICLASS = "multi-class"
    MULTILABEL = "multi-label, binary-class"      # several findings, each there or not
    ORDINAL = "ordinal-regression"                # grades


ORDERED = (Task.ORDINAL, Task.BINARY)      # two classes are in order whichever comes first


class Split(StrEnum):
    """The three parts of a data set. A member is its text: `Split.VAL == "val"`."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


OUT_OF_FOLD = -1                           # of data.fold: the validation images of all folds together

SPLIT_NAMES = {Split.TRAIN: "training", Split.VAL: "validation", Split.TEST: "test"}      # for a sentence


@dataclass(frozen=True)
class DataConfig:
    """Which images, at which size, split how."""

    dataset: str = knob(
        "phantom", "Data set", "A name such as phantom or breastmnist, or the path of a folder or an .npz "
        "file.", group="header")
    _: KW_ONLY
    target: str = knob(
        "", "Task", "Which labels to learn, where a data set has several. Empty: the first.", group="images")
    label_map: str = knob(
        "", "Edit classes", "Rename, join, leave out and order classes: 0=survived, 1=died, unclear=- (left out); "
        "mild+severe=sick; melanoma=melanoma, *=other; none < mild < severe (grades). A name with a sign in it stands in "
        "quotes. Empty: as the data set has them.")
    positive: str = knob(
        "", "Positive class", "Which of two classes is looked for: sensitivity, PPV, F1 and average precision are of it. "
        "Empty: guessed from the names (malignant, died, COVID ...), else the second. as stored: the second.",
        offered={"": "Guessed from the names", "as stored": "The second class"})
    size: int = knob(
        64, "Image size", "Images are resized to this many pixels a side. Larger images show finer detail; "
        "time and memory grow with the square.", low=16, high=512, unit="px", group="images",
        offered={28: "28", 64: "64", 128: "128", 224: "224"})
    resize: str = knob(
        "pad", "Resize", "How an image that is not square becomes square. pad: black bars, the aspect ratio "
        "stays. stretch: distorted. crop: the longer side is cut.",
        choices={"pad": "Pad with black", "stretch": "Stretch", "crop": "Centre crop"})
    channels: int = knob(
        0, "Channels", "1: gray. 3: colour (RGB). 0: as in the data set.",
        choices={0: "As in the data set", 1: "Gray", 3: "Colour (RGB)"})
    split: str = knob(
        "auto", "Split", "official: the split that the data set came with (a missing validation set is "
        "taken from training, by patient). patient: all images of a patient stay together. study: all "
        "images of a study stay together. image: ignores both, to show what that does. copies: copies of an "
        "image stay together, and all images of a patient where patients are known. auto: official where "
        "there is one, else patient.",
        choices={"auto": "Official, else by patient", "official": "Official", "patient": "By patient",
                 "study": "By study", "image": "By image, ignoring patients",
                 "copies": "By copies and patient"}, group="images")
    copies: str = knob(
        "keep", "Copies", "What happens to images that occur twice. keep: nothing, they are split like any other. "
        "together: a part that is made here, such as a validation set that is taken from training, keeps them "
        "together. first: one of each group of copies is kept, of an official test set first; the others are in "
        "no part. Copies are searched once for each data set and size, which takes seconds to minutes.",
        choices={"keep": "Keep all", "together": "Keep together", "first": "Keep one of each"})
    val_fraction: float = knob(
        0.15, "Validation fraction", "Fraction of the images for validation: they choose the best epoch.",
        low=0.01, high=0.5, step=0.01, shown_if={"data.folds": 0})
    test_fraction: float = knob(
        0.15, "Test fraction", "Fraction of the images held out until the end. With 0 none are taken; a "
        "test set that came with the data stays as it is.", low=0.0, high=0.5, step=0.01)
    split_seed: int = knob(
        0, "Split seed", "Random seed of the split: the same seed gives the same split.", low=0,
        high=2**31 - 1)
    folds: int = knob(
        0, "Folds", "For cross-validation. 5: the images outside the test set are cut into five folds; one "
        "validates, the others train. Five runs, one per fold, use every image for validation once. 0: one "
        "validation set.", low=0, high=20, offered={0: "None", 3: "3", 4: "4", 5: "5", 10: "10"})
    fold: int = knob(
        0, "Validation fold", "Which fold validates, counted from 0. The test set is the same for all. -1: all folds "
        "together, for what the networks of all folds predict of the images that they were not trained on; nothing is "
        "left to train on.", low=OUT_OF_FOLD, high=19, hidden_if={"data.folds": 0})
    only: str = knob(
        "", "Only", "A column and one of its values, or several: body_part:wrist, side:L|R. Other images are left out after the "
        "split was made, so that networks for single values and one for all can be compared on the same images. Empty: all.",
        offered={"": "All images"})
    unit: str = knob(
        "image", "Unit", "What one prediction is made for. image: each image. study: all views of a study together. patient: all "
        "images of a patient together. Split, metrics and errors are then by study or patient.",
        choices={"image": "Image", "study": "Study", "patient": "Patient"}, group="images")
    view_column: str = knob(
        "", "Named views", "A column of the table that names the views: each name has a place of its own in the input. Its most "
        "frequent names are taken, or those after a colon: view:frontal|lateral. Empty: the first views in order of their names, "
        "none in a special place.", offered={"": "None", "view": "Column view"}, hidden_if={"data.unit": "image"}, group="images")
    views: int = knob(
        4, "Views", "How many views of a study or patient are seen at most.", low=1, high=16, step=1,
        hidden_if={"data.unit": "image"}, group="images")
    incomplete: str = knob(
        "mask", "Incomplete", "Studies or patients that lack one of the named views. mask: the missing view counts for nothing. "
        "leave out: they are in no part.", choices={"mask": "Mask what is missing", "leave out": "Leave out"},
        shown_if={"data.view_column": "?*"}, hidden_if={"data.unit": "image"}, group="images")
    train_fraction: float = knob(
        1.0, "Training fraction", "Less than 1 trains on a subset of the training images, for a learning "
        "curve. Validation and test sets stay the same, and a smaller subset is part of a larger one.",
        low=0.01, high=1.0, step=0.01, grid=(0.1, 0.25, 0.5, 1.0))

    bootstrap: int = knob(
        0, "Bootstrap by patient", "Which draw: as many training patients as there are, drawn with replacement, so that some "
        "stand there twice and 37 % not at all. Networks of several draws differ more than those of several seeds, and vote. "
        "Validation and test stay the same. 0: off, every image once.", low=0, high=1000, grid=(1, 2, 3, 4, 5),
        offered={0: "Off", 1: "Draw 1", 2: "Draw 2", 3: "Draw 3", 4: "Draw 4", 5: "Draw 5"})

    @property
    def needs_copies(self) -> bool:
        """Whether the split can only be made once copies have been searched."""
        return self.split == "copies" or self.copies != "keep"
