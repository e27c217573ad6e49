"""Which of two classes is positive, guessed from names as public sets have them."""

import numpy as np
import pytest
from sklearn import metrics as sk

from core import metrics
from core.datasets.positive import guess_positive

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
