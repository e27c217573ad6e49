"""Printed tables: the faults of the reports are found, what is possible is not called a fault, matrices equal a brute force."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from core.errors import LightboxError
from core.metrics.table_check.cells import read_cells
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


# ------------------------------------------------------------------------------------------------- tables as documents have them

DOCUMENTS = {       # of SPEC.md: with an empty corner, measures as rows, sets named in headings, several counts in a cell
    "R002": """\tPath\tChest\tDerma\tOCT\tPneum.\tRetina\tBreast\tOrgA\tOrgC\tOrgS
R18 AUC\t.98071\t.69807\t.90152\t.95088\t.96157\t.71389\t.49603\t.99597\t.98904\t.96778
R18 ACC\t.87549\t.94524\t.70324\t075226\t.84295\t.54000\t.73077\t.91758\t.88652\t.74755
R50 AUC\t.98179\t.69391\t.89062\t.94371\t.95404\t.71253\t.86967\t.99434\t.99037\t.96828
R50 ACC\t.86335\t.94537\t.71334\t.77201\t.87512\t.46500\t.80128\t.91233\t.89506\t.72795""",
    "R002, Retina": """RetinaMNIST\ttrain AUC\ttrain ACC\tval_auc\tval_acc\ttest_auc\tTest ACC
RetinaMNIST original\t.86832\t.62222\t.80850\t.55000\t.71389\t.54000
RetinaMNIST ImageNet\t.83553\t.56701\t.75999\t.50313\t.68577\t.49812""",
    "R004": """arch\tR18\tR34\tR50\tSq1_0\tSq1_1
TP/FN/FP/TN\t4/26/23/225\t9/21/34/214\t16/14/98/150\t15/15/44/204\t6/24/46/202
F1\t.14\t.25\t.22\t.33\t.15""",
    "R004, survey": """Model\tSensitivity\tSpecificity
ResNet-18\t98 \u00b1 2.7 %\t90.7 \u00b1 1.1 %
SqueezeNet\t98% \u00b1 2.7%\t92.9 +/- .9 %""",
    "R000": """\tTest accuracy\tTest images
DenseNet-169\t0.98100\t2580
ResNet-50\t0.98372\t2,580""",
}
FAULTY = {"R002": {"Path R50", "Derma R50", "OCT R18", "OCT R50", "Pneum. R50"}, "R002, Retina": {"RetinaMNIST ImageNet Test"}}
FORMS = {
    "tabs": "\n".join, "Markdown": lambda lines: "\n".join([_bars(lines[0]), _bars("---\t" * lines[0].count("\t") + "---"),
                                                          *map(_bars, lines[1:])]),
    "bars": lambda lines: "\n".join(line.replace("\t", " | ") for line in lines),
    "commas": lambda lines: "\n".join(",".join(f'"{c}"' if "," in c else c for c in line.split("\t")) for line in lines),
    "HTML": lambda lines: "<table>" + "".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in line.split("\t")) + "</tr>\n" for line in lines) + "</table>"}


def _bars(line: str) -> str:
    return "| " + line.replace("\t", " | ") + " |"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", [*PRINTED_TABLES, *DOCUMENTS])
def test_a_table_says_the_same_in_any_form_and_either_way_round(key, form, turned):
    cells = read_cells(DOCUMENTS[key] if key in DOCUMENTS else PRINTED_TABLES[key].text)
    plain = check_table("\n".join(map("\t".join, cells)))
    found = check_table(FORMS[form](list(map("\t".join, zip(*cells) if turned else cells))))
    assert {row.claim.name: row for row in found.rows}.keys() == {row.claim.name: row for row in plain.rows}.keys()
    impossible = [{row.claim.name for row in one.rows if row.error or not row.verdict.possible} for one in (found, plain)]
    assert impossible[0] == impossible[1]
    assert sum(f.fault for f in found.findings) == sum(f.fault for f in plain.findings) == (2 if key == "r000-split" else 0)
    if key in DOCUMENTS:
        assert impossible[0] == FAULTY.get(key, set())
        assert found.rows, "it is read"


def test_what_rounding_truncation_or_another_n_explains_is_said_and_no_fault():
    rows = {row.claim.name: row.verdict for row in check_table(DOCUMENTS["R000"]).rows}
    assert "2,531 correct of 2,580, truncated: rounded it would be 0.98101" in rows["DenseNet-169"].findings[0].sentence
    said = faults(check(Claim("", {"accuracy": ".87512"}, 624)))
    assert "It would be 876 of 1,001" in said and round(876 / 1001, 5) == 0.87512
    cut = check(Claim("", {"accuracy": "0.66", "recall": "0.50", "specificity": "0.83"}, 3 * 4, 6))    # 8/12, 3/6, 5/6
    assert cut.possible and "truncated" in " ".join(f.sentence for f in cut.findings)
    guessed, = (row.verdict for row in check_table("\tacc\nBreastMNIST\t.73077").rows)
    assert "114 correct of 156, the public test part, since the table prints no n" in guessed.findings[0].sentence


def test_a_wald_interval_is_called_one():
    row = check(Claim("", {"recall": "98%"}, 3100, 100, margins={"recall": "2.7%"}))
    low, high = proportion_confint(98, 100, method="wilson")
    assert row.possible and f"Wilson's of 98 of 100 is {low:.3f} to {high:.3f}" in row.findings[0].sentence
    assert "passes 0 or 1" in row.findings[0].sentence
    assert 0.98 - proportion_confint(98, 100, method="normal")[0] == pytest.approx(0.027, abs=5e-4)
    assert not check(Claim("", {"recall": "98%"}, 3100, 1000, margins={"recall": "2.7%"})).findings, "some other interval"
    unknown, = (f.sentence for f in check_table("model,sens\nA,98 \u00b1 2.7 %").rows[0].verdict.findings)
    assert "of some 103 images" in unknown


def test_an_accuracy_of_the_majority_is_said():
    said = " ".join(f.sentence for f in check(Claim("", {"accuracy": ".73077"}, 156, 114)).findings)
    assert "correct on 114 of 156 images (0.731); .73077 is no better" in said
    assert "no better" not in " ".join(f.sentence for f in check(Claim("", {"accuracy": ".80128"}, 156, 114)).findings)


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
