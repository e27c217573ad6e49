"""The label editor: its text, what it does with labels, and what is said."""

import numpy as np
import pytest

from core.config import Task
from core.datasets.label_rows import edit_of, rows_of
from core.datasets.labels import (
    AS_STORED,
    LabelEdit,
    edit_target,
    parse_edit,
    put_positive,
    read_labels,
)
from core.datasets.source import Target
from core.errors import LightboxError


def target(names, labels, task=None):
    labels = np.array(labels, np.int64)
    task = task or (Task.MULTILABEL if labels.ndim == 2 else Task.BINARY if len(names) == 2 else Task.MULTICLASS)
    return Target("class", "Class", task, tuple(names), labels)


def edited(names, labels, text, **more):
    return edit_target(target(names, labels, **more), parse_edit(text))


def test_the_text_of_the_issue():
    found = edited(("0", "1", "?"), [0, 1, 2, 1], "0=survived, 1=died, ?=-")
    assert found.class_names == ("survived", "died") and found.task == Task.BINARY
    assert found.labels.tolist() == [0, 1, -1, 1]


def test_joined_by_plus_or_by_name():
    for text in ("b+c=sick", "b=sick,c=sick", "b+c=sick\n"):
        found = edited(("a", "b", "c", "d"), [0, 1, 2, 3, -1], text)
        assert found.class_names == ("a", "sick", "d") and found.labels.tolist() == [0, 1, 1, 2, -1]


def test_one_against_the_rest():
    found = edited(("mel", "nv", "bcc"), [0, 1, 2], "mel=melanoma, *=other, other | melanoma")
    assert found.class_names == ("other", "melanoma") and found.labels.tolist() == [1, 0, 0]


def test_swapped_names_do_not_join():
    assert edited(("0", "1"), [0, 1], "0=1, 1=0").class_names == ("1", "0")


def test_order_makes_grades_or_only_an_order():
    grades = edited(("mild", "none", "severe"), [0, 1, 2], "none < mild < severe")
    assert grades.task == Task.ORDINAL and grades.labels.tolist() == [1, 0, 2]
    plain = edited(("mild", "none", "severe"), [0, 1, 2], "none | severe", task=Task.ORDINAL)
    assert plain.task == Task.MULTICLASS and plain.class_names == ("none", "severe", "mild")
    joined = edited(("0", "1", "2", "3"), [0, 1, 2, 3], "2+3=high", task=Task.ORDINAL)
    assert joined.task == Task.ORDINAL and joined.class_names == ("0", "1", "high")


def test_findings_are_joined_left_out_and_made_a_question():
    labels = [[0, 1, -1], [0, 0, -1], [-1, 0, 0], [0, 0, 1]]
    joined = edited(("a", "b", "c"), labels, "a+b=ab, c | ab")
    assert joined.task == Task.MULTILABEL and joined.class_names == ("c", "ab")
    assert joined.labels.tolist() == [[-1, 1], [-1, 0], [0, -1], [1, 0]]
    alone = edited(("a", "b", "c"), labels, "c=nodule, *=-")
    assert (alone.task, alone.class_names, alone.labels.tolist()) == (Task.BINARY, ("no nodule", "nodule"), [-1, -1, 0, 1])


@pytest.mark.parametrize("text", [
    "0=survived, 1=died, ?=-", '"normal, benign"=healthy', '"a=b"=c, d="-"', r'"say \"a\""="\\"', "a < b < c", "a | b",
    "x=-, *=other", '"*"=star, *=-', '" a "=a', 'a="<5 mm"'])
def test_the_text_goes_round(text):
    once = parse_edit(text)
    assert parse_edit(str(once)) == once and str(parse_edit(str(once))) == str(once) and once


def test_quoted_names_are_taken_as_they_are():
    assert parse_edit('"*"=star, d="-"').names == (("*", "star"), ("d", "-"))
    assert parse_edit(r'"say \"a\""="\\"').names == (('say "a"', "\\"),)
    assert parse_edit(" \n , ") == LabelEdit() and not parse_edit("")


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a=b=c", "a<b|c", 'a="b', "a=b, a=c", "a<b, c<d", "a<a", 'a=""', "a+b", "+=c",
                                  "a b < ", "a=b+c", "a<b=c", "a|b=c"])
def test_what_is_not_understood_is_said_with_an_example(text):
    with pytest.raises(LightboxError) as caught:
        parse_edit(text)
    assert caught.value.code == "labels.map" and caught.value.hint


@pytest.mark.parametrize("text, code", [("tumour=x", "labels.class"), ("a=c, b=c", "labels.few"), ("*=-", "labels.few"),
                                        ("a=b, b<c", "labels.class")])
def test_what_does_not_fit_the_classes(text, code):
    with pytest.raises(LightboxError) as caught:
        edited(("a", "b"), [0, 1], text)
    assert caught.value.code == code


def test_a_class_is_found_whatever_its_case():
    assert edited(("Normal ", "sick"), [0, 1], "normal=well").class_names == ("well", "sick")


def test_the_positive_class_is_put_last():
    found, how = put_positive(target(("malignant", "benign"), [0, 1, -1]))
    assert (found.class_names, found.labels.tolist(), how) == (("benign", "malignant"), [1, 0, -1], "guessed")
    found, how = put_positive(target(("malignant", "benign"), [0, 1]), "benign")
    assert (found.class_names, found.labels.tolist(), how) == (("malignant", "benign"), [0, 1], "chosen")
    found, how = put_positive(target(("malignant", "benign"), [0, 1]), AS_STORED)
    assert (found.class_names, how) == (("malignant", "benign"), "")
    with pytest.raises(LightboxError) as caught:
        put_positive(target("abc", [0, 1, 2]), "b")
    assert caught.value.code == "labels.positive" and put_positive(target("abc", [0, 1, 2]))[1] == ""
    joined = edited("abc", [0, 1, 2], caught.value.hint.split("labels.map=")[1])
    assert put_positive(joined, "b")[0].class_names == ("other", "b")


def test_what_was_done_is_said():
    found, said = read_labels(target(("1", "0", "?"), [0, 1, 2]), ["1=died, 0=survived, ?=-"], "")
    assert found.class_names == ("survived", "died") and [one.code for one in said] == ["labels.map", "labels.positive"]
    assert said[1].value == "survived" and "guessed" in said[1].text and "1 image" in said[0].text
    assert read_labels(target("ab", [0, 1]), [], AS_STORED)[1] == []


def test_a_table_of_classes_is_the_same_edit():
    whole = target(("a", "b", "c", "d"), [0, 0, 1, 2, 3, -1])
    for text in ("", "a=x", "a+b=x", "d=-, c=y", "d | c | b | a", "a < d < c < b", "b=-, c+d=e, e | a"):
        edit = parse_edit(text)
        rows = rows_of(whole, edit)
        again = edit_target(whole, edit_of(rows, edit.ordinal))
        once = edit_target(whole, edit)
        assert (again.class_names, again.labels.tolist(), again.task) == (once.class_names, once.labels.tolist(), once.task), text
    assert [row.images for row in rows] == [2, 1, 1, 1] and str(edit_of(rows_of(whole, parse_edit("")))) == ""


def test_how_many_findings_are_not_known_is_said():
    said = read_labels(target(("a", "b"), [[-1, 1], [-1, 0], [1, 0]]), [], "")[1]
    assert [one.code for one in said] == ["labels.not_known"] and "a of 2" in said[0].text and "b of" not in said[0].text
