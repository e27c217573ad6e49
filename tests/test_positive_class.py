"""Which of two classes is positive, guessed from names as public sets have them."""

import csv
import io
import json

import numpy as np
import pytest
from sklearn import metrics as sk

from core import metrics
from core.datasets.positive import guess_positive
from core.metrics.confusion import positive_last
from core.metrics.groups import breakdown
from core.report import contents, report
from core.report.figures import figures
from core.report.tables import evaluation_report
from tests import judged
from tests.judged import open_page, plant, rename_classes, text_of

run, trained = judged.run, judged.trained          # fixtures

# (negative, positive): folders, tables or papers of public sets have these names
PAIRS = [
    ("normal", "abnormal"),                         # MURA, phantoms
    ("negative", "positive"),                       # MURA studies
    ("normal, benign", "malignant"),                # BreastMNIST
    ("benign", "malignant"),                        # BUSI, BreakHis, ISIC, DDSM
    ("Benign", "Malignant"),
    ("Uninfected", "Parasitized"),                  # NIH malaria
    ("NORMAL", "PNEUMONIA"),                        # Kermany
    ("normal", "pneumonia"),                        # PneumoniaMNIST
    ("NonCOVID", "COVID"),                          # UCSD COVID-CT
    ("CT_NonCOVID", "CT_COVID"),
    ("non-COVID", "COVID"),                         # SARS-CoV-2 CT
    ("Normal", "Tuberculosis"),                     # Qatar TB
    ("no", "yes"),                                  # brain tumours
    ("notumor", "tumor"),
    ("no_tumor", "tumor"),
    ("Healthy", "Brain Tumor"),
    ("survived", "died"),                           # Hannover
    ("alive", "dead"),
    ("alive", "deceased"),
    ("not fractured", "fractured"),                 # bone fractures
    ("non_fractured", "fractured"),
    ("No Finding", "Finding"),
    ("0", "1"),
    ("0.0", "1.0"),
    ("False", "True"),
    ("B", "M"),                                     # Wisconsin
    ("nevus", "melanoma"),
    ("naevus", "melanoma"),
    ("hem", "all"),                                 # C-NMC leukaemia
    ("MSS", "MSIMUT"),                              # TCGA
    ("wildtype", "mutant"),
    ("No_DR", "DR"),
    ("nonreferable", "referable"),
    ("normal", "glaucoma"),
    ("Control", "Parkinson"),
    ("CN", "AD"),
    ("NonDemented", "Demented"),
    ("HC", "ASD"),
    ("normal", "osteoporosis"),
    ("healthy", "sick"),
    ("lung_n", "lung_aca"),                         # LC25000: only one says something
    ("colon_n", "colon_aca"),
    ("class 0", "class 1"),
    ("no metastasis", "metastasis"),                # Camelyon
    ("normal", "effusion"),
    ("without effusion", "effusion"),
    ("Monkeypox_no", "Monkeypox"),
    ("Normal", "Osteopenia"),
    ("notinfected", "infected"),                    # PCOS
    ("low grade", "high grade"),
    ("bacterial pneumonia", "viral pneumonia"),
    ("mild", "severe"),
    ("0_healthy", "1_cataract"),
    ("not malignant", "malignant"),
    ("absent", "present"),
    ("no event", "event"),
    ("IDC_negative", "IDC_positive"),
    ("normal", "not normal"),
    ("unaffected", "affected"),
    ("stable", "unstable"),
    ("-1", "1"),
    ("empty", "not empty"),
]


@pytest.mark.parametrize("negative, positive", PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
def test_the_positive_class_is_guessed_whichever_stands_first(negative, positive):
    assert guess_positive([negative, positive]) == 1
    assert guess_positive([positive, negative]) == 0


@pytest.mark.parametrize("names", [("left", "right"), ("male", "female"), ("cat", "dog"), ("AP", "PA"), ("x", "y"),
                                   ("tumor a", "tumor b"), ("normal", "healthy"), ("elbow", "hand"), ("", " ")])
def test_nothing_is_guessed_where_the_names_do_not_say(names):
    assert guess_positive(names) is None


def test_more_than_two_classes_have_no_positive_one():
    assert guess_positive(["normal", "mild", "severe"]) is None and guess_positive(["abnormal"]) is None


def test_metrics_of_the_other_class_are_sklearns_and_the_rest_stays():
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 2, 60), rng.random(60)
    found = metrics.evaluate(labels, np.stack([1 - p, p], axis=1), "binary-class", ["ill", "well"], 0.4, each=metrics.METRICS,
                             draws=40)
    other, pred = found.for_positive(0), (p > 0.4).astype(int)
    assert (found.positive_class, other.positive_class, other.as_dict()["positive_class"]) == ("well", "ill", "ill")
    want = {"sensitivity": sk.recall_score(labels, pred, pos_label=0), "precision": sk.precision_score(labels, pred, pos_label=0),
            "f1": sk.f1_score(labels, pred, pos_label=0), "specificity": sk.recall_score(labels, pred, pos_label=1),
            "npv": sk.precision_score(labels, pred, pos_label=1),
            "average_precision": sk.average_precision_score(1 - labels, 1 - p)}
    for name, value in want.items():
        assert other.value(name) == pytest.approx(value), name
    for name in set(metrics.METRICS) - set(want):
        assert other.value(name) == found.value(name), name
    assert other.estimates["accuracy"].n_positive == (labels == 0).sum()
    assert other.for_positive(1).value("f1") == found.value("f1")


# ----------------------------------------------------------- everywhere the same positive class, the same confusion matrix

@pytest.fixture
def breast(run):
    """A run of before classes were put in order: class 0 is malignant, all are called "normal, benign", as by a collapsed one."""
    rename_classes(run, "malignant", "normal, benign")
    about = json.loads((run.folder / "data.json").read_text())
    about.pop("label_edit", None)                                      # it noted no order of the classes
    (run.folder / "data.json").write_text(json.dumps(about))
    labels = np.array([0] * 10 + [1] * 30)
    p = np.linspace(0.6, 0.99, 40)
    p[:4] = 0.2                                                        # but four, which are malignant
    plant(run, "val", labels, np.stack([1 - p, p], 1))
    return run, labels, (p > 0.5).astype(int)


def test_one_layout_of_the_confusion_matrix_is_sklearns_with_the_positive_class_last():
    rng = np.random.default_rng(1)
    labels, pred = rng.integers(0, 2, (2, 50))
    matrix = metrics.confusion_matrix(labels, pred, 2)
    for positive in (0, 1):
        shown, names = positive_last(matrix, ("a", "b"), positive)
        order = [1 - positive, positive]
        assert (shown == sk.confusion_matrix(labels, pred, labels=order)).all() and names == tuple("ab"[k] for k in order)
    labels, pred = rng.integers(0, 4, (2, 50))
    matrix = metrics.confusion_matrix(labels, pred, 4)
    assert (positive_last(matrix, "abcd", 3)[0] == sk.confusion_matrix(labels, pred)).all()


def test_metrics_of_groups_are_of_the_positive_class():
    rng = np.random.default_rng(2)
    labels, p, site = rng.integers(0, 2, 80), rng.random(80), rng.choice(["x", "y"], 80)
    rows = breakdown(labels, np.stack([1 - p, p], 1), "binary-class", site, names=("sensitivity", "specificity", "precision"),
                     draws=20, positive=0)
    for row in rows:
        true, pred = labels[site == row.group], (p > 0.5).astype(int)[site == row.group]
        assert row.n_positive == (true == 0).sum()
        assert row.estimates["sensitivity"].value == pytest.approx(sk.recall_score(true, pred, pos_label=0))
        assert row.estimates["specificity"].value == pytest.approx(sk.recall_score(true, pred, pos_label=1))
        assert row.estimates["precision"].value == pytest.approx(sk.precision_score(true, pred, pos_label=0))


def test_every_tab_the_report_and_the_tables_are_of_the_same_class(breast):
    run, labels, pred = breast
    want = sk.recall_score(labels, pred, pos_label=0)                   # 4 of 10 malignant ones
    assert want == 0.4
    for section in ("overview", "threshold", "measures", "groups"):
        at = open_page("evaluate", run=run.id, section=section)
        assert at.metric[2].label == "Sensitivity" and at.metric[2].value == "0.400", section
        assert {box.value for box in at.selectbox if box.label == "Positive class"} == {0}
        if section == "measures":
            table = at.dataframe[0].value.set_index("metric")
            assert table.loc["Sensitivity", "value"] == "0.400" and table.loc["Sensitivity", "n_positive"] == 10
        if section == "groups":
            assert at.dataframe[0].value["n_positive"].tolist()[0] == 10
    assert "Positive class: malignant" in text_of(open_page("errors", run=run.id))
    what = contents(run)
    assert what.result.positive_class == "malignant" and what.result.value("sensitivity") == pytest.approx(want)
    rows = list(csv.DictReader(io.StringIO(evaluation_report(what))))
    overall = next(row for row in rows if row["class"] == "all" and row["metric"] == "Sensitivity")
    assert (overall["positive_class"], float(overall["value"])) == ("malignant", pytest.approx(want))
    chart = figures(what)["confusion"][1]
    assert chart.tables["cells"]["n"].to_pylist() == sk.confusion_matrix(labels, pred, labels=[1, 0]).ravel().tolist()
    assert "Positive class: <b>malignant</b>" in report(what)


def test_the_matrix_has_one_layout_on_every_tab_and_its_cells_open_their_images(breast):
    run, labels, pred = breast
    at = open_page("evaluate", run=run.id)
    shown = json.loads(next(e.proto.json for e in at.get("bidi_component") if e.proto.component_name.endswith("confusion")))
    assert shown["names"] == ["normal, benign", "malignant"]
    assert shown["counts"] == sk.confusion_matrix(labels, pred, labels=[1, 0]).tolist()
