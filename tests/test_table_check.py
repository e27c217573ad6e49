"""Printed tables: the faults of the reports are found, what is possible is not called a fault, matrices equal a brute force."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from core.errors import LightboxError
from core.metrics.table_check.check import Claim, check
from core.metrics.table_check.matrices import AVERAGES, matrices, measures_of, whole_counts, window
from core.metrics.table_check.parse import check_table
from core.metrics.table_check.tables import PRINTED_TABLES


def rows_of(key: str) -> dict:
    return {row.claim.name: row.verdict for row in check_table(PRINTED_TABLES[key].text).rows}


def faults(verdict) -> str:
    return " ".join(finding.sentence for finding in verdict.findings if finding.fault)


# --------------------------------------------------------------------------------------------------- the faults of the reports

def test_the_total_of_12941_is_found():
    findings = check_table(PRINTED_TABLES["r000-split"].text).findings
    wrong = [finding.sentence for finding in findings if finding.fault]
    assert wrong == [f"{where} Total adds up to 12,901, but 12,941 is printed." for where in ("Row", "Column")]
    assert len(findings) == 8


def test_the_accuracy_of_073_cannot_go_with_its_other_numbers():
    rows = rows_of("r001")
    assert rows["DenseNet-201 augmented"].possible
    said = faults(rows["DenseNet-201 augmented (second table)"])
    assert "No confusion matrix of 3,197 images" in said and "Without the accuracy the others would be consistent" in said


def test_seven_rows_of_single_parts_fit_only_the_whole_test_set():
    rows = rows_of("r001")
    alone = {name: verdict for name, verdict in rows.items() if any(part in name for part in ("wrist", "elbow", "forearm"))}
    assert len(alone) == 7
    for verdict in alone.values():
        assert "They do fit 3,197 images with 1,530 positive" in faults(verdict)
    whole = rows.keys() - alone.keys() - {"DenseNet-201 augmented (second table)"}
    assert len(whole) == 6 and all(rows[name].possible for name in whole)


def test_matrices_of_r001_are_those_that_were_rebuilt_by_hand():
    rebuilt = {"Own CNN": (499, 1168, 229, 1301), "DenseNet-201 (second table)": (1400, 267, 613, 917),
               "DenseNet-169": (1461, 206, 683, 847), "DenseNet-121": (1385, 282, 613, 917),
               "DenseNet-201 augmented": (1516, 151, 798, 732)}
    rows = rows_of("r001")
    for name, table in rebuilt.items():
        assert any((rows[name].matrices["macro"] == table).all(axis=1)), name


def test_accuracies_that_are_no_whole_number_of_images():
    rows = rows_of("r002")
    impossible = {name for name, verdict in rows.items() if not verdict.possible}
    assert impossible == {"PathMNIST ResNet-50", "DermaMNIST ResNet-50", "OCTMNIST ResNet-18", "OCTMNIST ResNet-50",
                          "PneumoniaMNIST ResNet-50"}
    assert "546.07 correct of 624" in faults(rows["PneumoniaMNIST ResNet-50"])
    assert "lost its decimal point" in faults(rows["OCTMNIST ResNet-18"])
    assert not any(verdict.possible for verdict in rows_of("r002-retina").values())


def test_the_row_that_sums_to_279():
    rows = rows_of("r004-cut")
    assert {name for name, verdict in rows.items() if not verdict.possible} == {"2"}
    assert "sum to 279, but there are 278" in faults(rows["2"])


def test_the_macro_f1_of_r004_is_that_of_the_positive_class():
    verdict = rows_of("r004-average")["macro"]
    assert any("F1 of the positive class is 0.3371: .33 was truncated" in f.sentence for f in verdict.findings)
    assert any(".40, is that of the positive class; the macro average is 0.642" in f.sentence
               for f in rows_of("r004-average")["micro"].findings)
    assert verdict.intervals["accuracy"][1:] == pytest.approx(proportion_confint(219, 278, method="wilson"), abs=1e-6)


# --------------------------------------------------------------------------------------------------------- numbers and matrices

def test_window_keeps_the_digits():
    assert window("0.70") == pytest.approx((0.695, 0.705))
    assert window("72.4 %") == pytest.approx((0.7235, 0.7245))
    assert window("72.4") == pytest.approx((0.7235, 0.7245))
    assert window("-,05") == pytest.approx((-0.055, -0.045))
    for bad in ("", "abc", "075226", "1e3", "250"):
        with pytest.raises(LightboxError, match="printed.number|number|between"):
            window(bad)


def test_whole_counts_are_those_that_print_alike():
    for printed, n in itertools.product(("0.5", "0.333", "0.87", "0.731", "1.00", "0.0"), (7, 30, 156, 624)):
        digits = len(printed.partition(".")[2])
        alike = [k for k in range(n + 1) if abs(k / n - float(printed)) <= 0.5 * 10**-digits + 1e-12]
        assert list(whole_counts(printed, n)) == alike


def test_measures_equal_scikit_learn():
    generator = np.random.default_rng(0)
    for tn, fp, fn, tp in generator.integers(0, 40, (20, 4)) + [1, 0, 0, 1]:
        truth = np.repeat([0, 0, 1, 1], (tn, fp, fn, tp))
        answers = np.repeat([0, 1, 0, 1], (tn, fp, fn, tp))
        for average in ("binary", "macro", "weighted", "micro"):
            ours = measures_of(*(np.array(c) for c in (tn, fp, fn, tp)), average)
            theirs = precision_recall_fscore_support(truth, answers, average=average, zero_division=0)
            assert [float(ours[name]) for name in ("precision", "recall", "f1")] == pytest.approx(theirs[:3])
            assert float(ours["accuracy"]) == pytest.approx(accuracy_score(truth, answers))
            assert float(ours["kappa"]) == pytest.approx(cohen_kappa_score(truth, answers))


@pytest.mark.parametrize("average", AVERAGES)
def test_search_finds_what_trying_all_tables_finds(average):
    n, truth = 23, (9, 3, 4, 7)
    has = measures_of(*(np.array(c) for c in truth), average)
    values = {name: f"{float(has[name]):.2f}" for name in ("accuracy", "precision", "recall", "f1", "kappa")}
    tables = np.array([(tn, fp, fn, n - tn - fp - fn) for tn in range(n + 1) for fp in range(n + 1 - tn)
                       for fn in range(n + 1 - tn - fp)])
    every = measures_of(*tables.T, average)
    alike = [np.abs(every[name] - float(text)) <= 0.005 + 1e-9 for name, text in values.items()]
    expected = {tuple(table) for table in tables[np.logical_and.reduce(alike)].tolist()}
    assert truth in expected
    assert {tuple(m) for m in matrices(values, n, None, [average])[average].tolist()} == expected
    positive = {m for m in expected if m[2] + m[3] == 11}
    assert {tuple(m) for m in matrices(values, n, 11, [average])[average].tolist()} == positive
    del values["accuracy"]
    assert positive <= {tuple(m) for m in matrices(values, n, 11, [average])[average].tolist()}


def test_true_numbers_are_never_called_impossible():
    generator = np.random.default_rng(1)
    for _ in range(30):
        positive, negative = generator.integers(5, 200, 2)
        tp, tn = generator.integers(0, positive + 1), generator.integers(0, negative + 1)
        average = generator.choice(list(AVERAGES))
        has = measures_of(*(np.array(c) for c in (tn, negative - tn, positive - tp, tp)), average)
        digits = generator.integers(2, 5)
        values = {name: f"{float(has[name]):.{digits}f}" for name in ("accuracy", "precision", "recall", "f1", "kappa")}
        verdict = check(Claim("", values, int(positive + negative), int(positive)))
        assert verdict.possible, (values, faults(verdict))
        if "accuracy" in verdict.intervals:
            value, low, high = verdict.intervals["accuracy"]
            assert low <= value <= high


def test_counts_are_held_against_their_numbers():
    counts = {"tp": 10, "fn": 5, "fp": 3, "tn": 82}
    assert check(Claim("", {"accuracy": "0.92", "recall": "0.67", "kappa": "0.67"}, 100, 15, counts)).possible
    said = faults(check(Claim("", {"accuracy": "0.95", "f1": "0.5"}, 100, 20, counts)))
    assert "accuracy of these counts is 0.9200, not 0.95" in said
    assert "F1 of these counts is 0.714" in said
    assert "TP and FN sum to 15, but 20" in said


def test_sentences_for_what_cannot_be_read():
    with pytest.raises(LightboxError) as error:
        check_table("just one line")
    assert error.value.code == "printed.table"
    with pytest.raises(LightboxError) as error:
        check_table("a,b\n1,2")
    assert error.value.code == "printed.table"
    rows = check_table("run\taccuracy\tn\nA\t0.5\tmany\nB\t0.5\t-\nC\t0.9\t0").rows
    assert "'many' in column n is not a whole number" in rows[0].error
    assert rows[1].verdict.possible
    assert "n is 0" in rows[2].error
    with pytest.raises(LightboxError) as error:
        matrices({"recall": "0.5"}, 10_000, None, ["binary"])
    assert error.value.code == "printed.large"


@pytest.mark.parametrize("sign", [",", "\t", ";", "|"])
def test_tables_come_with_any_sign_between_columns(sign):
    text = "\n".join(sign.join(line) for line in (("Run", "Acc.", "Kappa", "n", "pos"), ("A", "0.75", "0.50", "40", "20")))
    row, = check_table(text).rows
    assert row.claim == Claim("A", {"accuracy": "0.75", "kappa": "0.50"}, 40, 20) and row.verdict.possible
