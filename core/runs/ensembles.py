"""Ensembles as classifiers: several networks, each with its own preprocessing, and one way to combine what they say.

    load_ensemble(run)              an Ensemble: what `load_classifier` gives for such a run
    member_problems(run)            a sentence for each member that was deleted or changed
    fitted_of(run)                  what it learned on validation, without torch

What imports torch is imported inside functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.config import RunConfig
from core.datasets.geometry import fit
from core.errors import LightboxError
from core.files import Damaged, read_json
from core.models.combine import WAYS, Fitted, mixture_of_experts, scores_to_probs
from core.runs import checkpoints
from core.runs.members import EPOCH, EnsembleSpec, Member
from core.runs.run import Run
from core.runs.store import RunStore

if TYPE_CHECKING:
    from core.models.classifier import Classifier

GATE_SIDE = 32            # px: the gate sees the image at this size


class Ensemble:
    """Networks that predict together. It has of a Classifier what a page asks of one that only predicts.

    Args:
        spec: how
        networks: in the order of `spec.members`, in evaluation mode; `lead` is the one that sees the largest images
        fitted: what was learned on validation, {name: array}
        configs: of the members' runs, for augmented copies of an image
    """

    def __init__(self, spec: EnsembleSpec, networks: Sequence[Classifier], fitted: Fitted, configs: Sequence[RunConfig] = ()):
        self.spec, self.networks, self.fitted, self.configs = spec, tuple(networks), fitted, tuple(configs)
        # of the images of its data set: the largest that a member sees
        lead = self.lead = max(self.networks, key=lambda network: (network.preprocessing.size, network.preprocessing.channels))
        self.preprocessing, self.task, self.class_names = lead.preprocessing, lead.task, lead.class_names
        same = {(p.size, p.resize, p.channels) for p in (network.preprocessing for network in self.networks)}
        self.notes: tuple[str, ...] = () if len(same) == 1 else (
            "The members see images of different sizes. Maps of the images of a data set are made of images of "
            f"{self.preprocessing.size} px, which each member brings to its own size.",)
        every = {network.stages for network in self.networks}
        self.stages = every.pop() if len(every) == 1 else ()

    @property
    def device(self):
        return self.networks[0].device

    def to(self, *args, **kwargs) -> Ensemble:
        """Move all members, as `torch.nn.Module.to` does."""
        for network in self.networks:
            network.to(*args, **kwargs)
        return self

    def classify(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return probabilities of pictures of any size: (N, K) float32."""
        return self.combine(self.by_member(pictures), pictures)

    def by_member(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return what each member says: (M, N, K), the mean over the folds of one config."""
        said = [self.of_member(i, pictures) for i in range(len(self.networks))]
        return np.stack([np.mean([said[i] for i, member in enumerate(self.spec.members) if member.column == m], axis=0)
                         for m in range(self.spec.width)])

    def of_member(self, i: int, pictures: list[np.ndarray]) -> np.ndarray:
        """Return what a network says, of augmented copies where the ensemble is of such: (N, K) float32."""
        from core.runs.classifiers import as_input, classify
        network = self.networks[i]
        if not self.spec.draws:
            return classify(network, pictures)
        from core.augment.tta import augmented_probabilities
        config = self.configs[i]
        return augmented_probabilities(network, as_input(network, pictures), config.augment, self.spec.draws,
                                       config.train.seed).cpu().numpy()

    def combine(self, probs: np.ndarray, pictures: list[np.ndarray]) -> np.ndarray:
        """Return (N, K) from what the members say of pictures, (M, N, K)."""
        if self.spec.how == "experts":
            return mixture_of_experts(probs, {"gate": self.gate(pictures)}, self.task).astype(np.float32)
        if self.spec.on_features:
            return self.from_features(self.features(pictures))
        return WAYS[self.spec.how].combine(probs, self.fitted, self.task).astype(np.float32)

    def gate(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return the weight of each expert for pictures of which no part is known: (N, M), from the learned gate."""
        p = self.preprocessing
        pixels = np.stack([gate_pixels(fit(picture, p.size, p.resize, p.channels)) for picture in pictures])
        return gate_weights(pixels, self.fitted)

    def features(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return the features of all members side by side, (N, F1 + F2 + ...) float32."""
        import torch

        from core.runs.classifiers import as_input
        with torch.no_grad():
            return np.concatenate([network.embed(as_input(network, pictures)).float().cpu().numpy()
                                   for network in self.networks], axis=1)

    def from_features(self, features: np.ndarray) -> np.ndarray:
        """Return (N, K) from the features of all members, by the stacking model that was fitted on them."""
        scaled = (features - self.fitted["mean"]) / self.fitted["scale"]
        return scores_to_probs(scaled @ self.fitted["coef"].T + self.fitted["intercept"], self.task).astype(np.float32)

    def weights(self, pictures: list[np.ndarray]) -> np.ndarray:
        """Return how much each network counts for N pictures: (N, networks), rows that sum to 1, for a mean of their maps.
        Of experts these are the learned gate's; of a way without weights all are alike."""
        if self.spec.how == "experts":
            by_column = self.gate(pictures)
        else:
            alike = np.full(self.spec.width, 1 / self.spec.width)
            by_column = np.tile(self.fitted.get("weights", alike), (len(pictures), 1))
        columns = np.array([member.column for member in self.spec.members])
        return by_column[:, columns] / np.bincount(columns)[columns]


def gate_pixels(image: np.ndarray) -> np.ndarray:
    """Return what a gate sees of an image (S, S, C) uint8: its gray values at GATE_SIDE px a side, in [0, 1], (GATE_SIDE^2,)."""
    import cv2
    gray = np.asarray(image).mean(axis=2, dtype=np.float32)
    return cv2.resize(gray, (GATE_SIDE, GATE_SIDE), interpolation=cv2.INTER_AREA).ravel() / 255


def gate_weights(pixels: np.ndarray, fitted: Fitted) -> np.ndarray:
    """Return the probability of each part, (N, M): the softmax of a logistic regression on pixels (N, GATE_SIDE^2)."""
    scaled = (pixels - fitted["gate_mean"]) / fitted["gate_scale"]
    return scores_to_probs(scaled @ fitted["gate_coef"].T + fitted["gate_intercept"], "multi-class")


# ------------------------------------------------------------------------------------------------- loading

def load_ensemble(run: Run) -> tuple[Ensemble, int, tuple[str, ...]]:
    """Load all members of an ensemble and prove that they are those that it was made from.

    Returns:
        the ensemble, its one epoch, and sentences about what was wrong on the way

    Raises LightboxError "ensemble.member" for a member that was deleted or changed, "checkpoint.damaged".
    """
    spec = run.ensemble
    saved, notes = checkpoints.load_best(run.checkpoints)
    fitted = {name: value.numpy() for name, value in saved.weights.items() if name != "none"}
    store = RunStore()
    model = Ensemble(spec, [load_member(member) for member in spec.members], fitted,
                     [store.get(member.run).config for member in spec.members])
    return model, saved.epoch, (*notes, *model.notes)


def fitted_of(run: Run) -> Fitted:
    """Return what an ensemble learned on validation, {} where nothing or where the file is damaged. Imports no torch."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
    try:
        saved = load_file(run.checkpoints / checkpoints.name_of(EPOCH) / "weights.safetensors")
    except (OSError, SafetensorError, ValueError):
        return {}
    return {name: value for name, value in saved.items() if name != "none"}


def load_member(member: Member) -> Classifier:
    """Load a member's network, in evaluation mode. Raises LightboxError "ensemble.member"."""
    from core.runs.classifiers import load_classifier
    if problem := member_problem(member):
        raise LightboxError("ensemble.member", problem, "Make the ensemble again from the runs that there are.")
    return load_classifier(member.address).model


def member_problems(run: Run) -> list[str]:
    """Return a sentence for each member that was deleted or changed since the ensemble was made; of a soup none, which needs
    its members no more."""
    spec = run.ensemble
    return [] if spec is None or spec.is_soup else [text for member in spec.members if (text := member_problem(member))]


def member_problem(member: Member) -> str:
    """Return what is wrong with a member in a sentence, "" where nothing is."""
    try:
        run = RunStore().get(member.run)
    except LightboxError:
        return f"The member {member.name} ({member.run}) was deleted."
    found = weights_hash(run, member.epoch)
    if found == member.sha256:
        return ""
    if found is None:
        return f"The weights of epoch {member.epoch} of the member {member.name} ({member.run}) are no longer there."
    return f"The weights of the member {member.name} ({member.run}) have changed since this ensemble was made."


def note_test_opened(run: Run) -> None:
    """Count that somebody looked at test images with a run; with an ensemble each of its members has seen them too."""
    run.note_test_opened()
    for run_id in {member.run for member in run.ensemble.members} if run.ensemble else ():
        RunStore().get(run_id).note_test_opened()


def weights_hash(run: Run, epoch: int) -> str | None:
    """Return the SHA-256 of the weights of a finished epoch, as its checkpoint says; None where it is not there. The ensemble's
    own stands for all of its members'."""
    try:
        meta = read_json(run.checkpoints / checkpoints.name_of(epoch) / "meta.json", checkpoints.META)["meta"]
        return meta["sha256"]["weights.safetensors"]
    except (FileNotFoundError, Damaged, KeyError):
        return None


def digest(fitted: Fitted) -> str:
    """Return SHA-256 of what was fitted, to tell two ensembles of the same members apart."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(fitted[name]).tobytes() for name in sorted(fitted))).hexdigest()
