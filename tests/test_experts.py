"""Experts: which runs know one part only, and which images they share with another run."""

from core.evaluation.experts import find_experts, own_part, same_images

PART_OF = {"a1": "wrist", "a2": "wrist", "b1": "elbow", "b2": "elbow", "c1": "hand"}


def test_a_run_belongs_to_a_part_only_when_all_of_its_images_do():
    assert own_part(["a1", "a2"], PART_OF) == own_part(["a2"], PART_OF) == "wrist"
    assert own_part(["a1", "b1"], PART_OF) is None
    assert own_part(["a1", "stranger"], PART_OF) is None and own_part(["stranger"], PART_OF) is None


def test_experts_are_found_part_by_part():
    others = {"wrist 1": ["a1", "a2"], "all": list(PART_OF), "wrist 2": ["a2"], "elbow": ["b2", "b1"], "none": [], "other": ["x"]}
    assert find_experts(PART_OF, others) == {"wrist": ["wrist 1", "wrist 2"], "elbow": ["elbow"]}
    assert find_experts({"a1": "wrist", "a2": "wrist"}, others) == {}


def test_images_are_matched_by_name_and_not_by_place():
    ours, theirs = same_images(["b1", "a1", "a2"], ["a2", "x", "a1"])
    assert ours.tolist() == [2, 1] and theirs.tolist() == [0, 2]
    assert [len(part) for part in same_images(["a"], ["b"])] == [0, 0]
