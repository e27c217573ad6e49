"""What an ensemble is made of: its members, each by the hash of its weights, and how they are combined.

    config.json of an ensemble has a key "ensemble" with an EnsembleSpec; what was fitted on validation is its checkpoint.

No torch, and nothing of a run: `core.runs.run` reads this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from core.files import Damaged, fit_shape
from core.models.combine import WAYS

SOUPS = ("soup", "greedy_soup")           # averages of weights: one network, with a checkpoint like any other
TITLES = {name: way.title for name, way in WAYS.items()} | {"soup": "Soup", "greedy_soup": "Greedy soup"}
SOUPS_ABOUT = {"soup": "One network whose weights are the mean of the members' weights.",
               "greedy_soup": "One network whose weights are the mean of those members that made validation no worse."}
EPOCH = 1                                 # an ensemble is finished when it is made: it has this one


@dataclass(frozen=True)
class Member:
    """One network of an ensemble.

    Args:
        run: id of the run that trained it
        name: of that run when the ensemble was made
        epoch: whose weights
        sha256: of the file of these weights
        column: which of the M members it belongs to: the folds of one config count as one
        part: value of the column whose expert it is; "" where members are no experts
    """
    run: str
    name: str
    epoch: int
    sha256: str
    column: int
    part: str = ""

    @property
    def address(self) -> str:
        """What `load_classifier` takes: these weights, even where the run has better ones by now."""
        return f"{self.run}@{self.epoch}"


@dataclass(frozen=True)
class EnsembleSpec:
    """How an ensemble predicts.

    Args:
        how: a key of core.models.combine.WAYS, or one of SOUPS
        members: in the order of their columns
        gate: of experts: the column of the table whose value chooses one, "" for others
        learned: whether a gate guesses that value from the image, and weighs all experts by it
        draws: of test-time augmentation: how many augmented copies of an image each member sees; 0 is the image alone
        on_features: whether stacking sees the features of the members instead of their probabilities
    """
    how: str
    members: tuple[Member, ...]
    gate: str = ""
    learned: bool = False
    draws: int = 0
    on_features: bool = False

    @property
    def columns(self) -> list[list[Member]]:
        """The members by column: one network each, or the folds of one config."""
        return [[member for member in self.members if member.column == m] for m in range(self.width)]

    @property
    def width(self) -> int:
        """M, the members that are combined."""
        return 1 + max((member.column for member in self.members), default=-1)

    @property
    def is_soup(self) -> bool:
        """Whether it is one network with averaged weights."""
        return self.how in SOUPS

    @property
    def title(self) -> str:
        """What stands where a run that was trained has its network.

        >>> EnsembleSpec("soft", tuple(Member(f"r{i}", "ResNet-18", 1, "", i) for i in range(3))).title
        'Soft vote of 3'
        """
        if self.width == 1 and len(self.members) > 1 and not self.is_soup:
            return f"Out of fold, {len(self.members)} folds"
        if self.width == 1:
            return f"{self.draws} augmented copies"
        return f"{TITLES.get(self.how, self.how)} of {self.width}" + (f", {self.draws} augmented copies" if self.draws else "")

    @property
    def about(self) -> str:
        """What it does with its members, in sentences.

        >>> EnsembleSpec("soft", tuple(Member(f"r{i}", "ResNet-18", 1, "", i) for i in range(3)), draws=8).about
        "The mean of the members' probabilities. Each member sees 8 augmented copies of an image."
        """
        said = [SOUPS_ABOUT[self.how] if self.is_soup else WAYS[self.how].about if self.how in WAYS else ""]
        folds = max(map(len, self.columns))
        if folds > 1 and not self.is_soup:
            said = said if self.width > 1 else []
            said.append(f"Validation is out of fold: each image is predicted by the network that was not trained on it. Other "
                        f"images get the mean of the {folds} folds.")
        if self.gate:
            column = self.gate.replace("_", " ")
            said.append(f"A gate guesses the {column} from the image, and weighs all experts by it." if self.learned else
                        f"The known {column} of an image chooses its expert; where it is not known, a gate guesses it from the "
                        "image.")
        if self.on_features:
            said = ["A logistic regression on the features of all members, instead of their probabilities."]
        if self.draws:
            said.append(f"Each member sees {self.draws} augmented copies of an image.")
        return " ".join(filter(None, said))

    def as_dict(self) -> dict:
        """Return it for config.json."""
        return asdict(self)

    @staticmethod
    def read(raw: Mapping) -> EnsembleSpec:
        """Return what `as_dict` gave. Raises `Damaged` for anything else."""
        spec = fit_shape(raw, EnsembleSpec)
        if not spec.members or sorted({member.column for member in spec.members}) != list(range(spec.width)):
            raise Damaged("an ensemble without members")
        return spec
