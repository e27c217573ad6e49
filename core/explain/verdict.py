"""What the checks of some heat-maps mean, in a sentence: whether to trust the maps, and where they point."""

from __future__ import annotations

from dataclasses import dataclass

from core.explain.sanity_checks import SHIFT, CheckResults

SAME = 0.5         # rank correlation: from here on the order of the pixels is more kept than lost. Unrelated smooth maps: about 0
GAIN = 0.02        # of probability: two draws of random places differ by about so much on sixteen images
STABLE = 0.5       # as SAME, of an image that was moved by SHIFT
POINTED = 2.0      # times the heat of an even map, from which on the maps point there


@dataclass(frozen=True)
class Verdict:
    """What the checks mean together.

    Attributes:
        trust: "yes", "doubtful" or "no"
        sentence: why, in plain words, with the number that decided
    """
    trust: str
    sentence: str


def verdict(results: CheckResults) -> Verdict:
    """Return one sentence: the first check that fails decides, the hardest first."""
    random = float(results.randomised.spearman[-1])
    if results.empty == results.images:
        return Verdict("no", "No heat-map to trust: at this layer there is no evidence for the class.")
    if random >= SAME:
        return Verdict("no", f"Failed. The maps stay nearly the same when all weights are random (rank correlation {random:.2f}; "
                       f"the limit is {SAME}): they show the image, not what the network has learned.")
    if results.gain < GAIN:
        return Verdict("doubtful", "Doubtful. The prediction depends no more on what the maps mark than on "
                       f"{results.best_baseline} (difference {results.gain:+.2f} of probability; the limit is {GAIN}).")
    if results.shifts is not None and results.shifts < STABLE:
        return Verdict("doubtful", f"Doubtful. Images moved by {100 * SHIFT:.0f} % of their side get different maps (rank "
                       f"correlation {results.shifts:.2f}; the limit is {STABLE}).")
    sentence = (f"The maps of {results.images} images of which the network is surest passed: what they mark changes the "
                f"probability by {results.gain:.2f} more than {results.best_baseline}, and random weights give different maps "
                f"(rank correlation {random:.2f}). The map above was not tested by itself, and a map that passes may explain a "
                "wrong prediction.")
    if results.seeds is not None and results.seeds < SAME:
        sentence += (f" But a network trained with another seed gives different maps ({results.seeds:.2f}): they tell "
                     "about this network, not about the images.")
    return Verdict("yes", sentence)


def points_at(results: CheckResults) -> str:
    """Return the known region that the maps point at, such as "finding" or "letters"; "" where they point at none."""
    known = {name: place for name, place in results.places.items() if name != "border ring"}
    hottest = max(known, key=lambda name: known[name].lift, default="")
    return hottest if hottest and known[hottest].lift >= POINTED else ""


def where(results: CheckResults) -> str:
    """Return where the maps point, in a sentence; "" where no region of the images is known."""
    known = {name: place for name, place in results.places.items() if name != "border ring"}
    if not known:
        return ""
    hottest = points_at(results)
    if not hottest:
        shares = (f"{100 * p.energy:.0f} % of the heat is in the {name}, which covers {100 * p.area:.0f} % of the image"
                  for name, p in known.items())
        return f"They point at no known region: {', '.join(shares)}."
    place = known[hottest]
    return (f"They point at the {hottest}: {100 * place.energy:.0f} % of the heat lies there, {place.lift:.1f} times "
            "as much as in an even map.")
