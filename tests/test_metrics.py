"""core.metrics and core.metrics.ranking against scikit-learn, the `medmnist` evaluator, closed forms and published tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sklearn.metrics as sk

from core.errors import LightboxError
from core.metrics import (
    METRICS,
    MULTI_LABEL,
    Judged,
    accuracy,
    bootstrap_interval,
    evaluate,
    measure,
    roc_auc,
    roc_auc_interval,
    wilson_interval,
)
from core.metrics.confusion import (
    binary_kappa,
    binary_matthews,
    cohen_kappa,
    confusion_matrix,
    counts,
    f1,
    kappas,
    majority_baseline,
    matthews,
    npv,
    precision,
    predict,
    recall,
    sensitivity,
    specificity,
)
from core.metrics.ranking import Z, auc_interval, binary_auc, placements, pr_curve, roc_curve, score_interval

TASKS = {"binary-class": 2, "multi-class": 5, MULTI_LABEL: 4, "ordinal-regression": 5}
KINDS = ("smooth", "tied", "extreme")


def sample(task: str, kind: str, n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels of unequal classes and scores that know a little of them: smooth, on a coarse grid, or nearly 0 and 1."""
    r, k = np.random.default_rng(seed), TASKS[task]
    if task == MULTI_LABEL:
        labels = (r.random((n, k)) < [0.5, 0.3, 0.1, 0.7]).astype(np.int64)
        logits = r.normal(size=(n, k)) + labels
    else:
        labels = r.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))
        logits = r.normal(size=(n, k)) + np.eye(k)[labels]
    logits = logits * 60 if kind == "extreme" else logits
    probs = 1 / (1 + np.exp(-logits)) if task == MULTI_LABEL else np.exp(logits - logits.max(1, keepdims=True))
    probs = probs if task == MULTI_LABEL else probs / probs.sum(1, keepdims=True)
    if kind == "tied":
        probs = np.round(probs * 8) / 8 if task == MULTI_LABEL else _grid(probs)
    return labels, probs


def _grid(probs: np.ndarray) -> np.ndarray:
    """Rows of sixteenths that still sum to 1; the rest goes to the first column."""
    rows = np.floor(probs * 16) / 16
    rows[:, 0] += 1 - rows.sum(axis=1)
    return rows


every = pytest.mark.parametrize("task, kind", [(t, k) for t in TASKS for k in KINDS])


# ---------------------------------------------------------------------------------------------- answers from elsewhere

@every
def test_auc_and_accuracy_are_those_of_the_medmnist_evaluator(task, kind):
    from medmnist.evaluator import getACC, getAUC
    labels, probs = sample(task, kind)
    assert roc_auc(labels, probs, task) == pytest.approx(getAUC(labels, probs, task), abs=1e-12)
    assert accuracy(labels, probs, task) == pytest.approx(getACC(labels, probs, task), abs=1e-12)


@every
def test_auc_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    scores = probs[:, 1] if task == "binary-class" else probs
    theirs = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert roc_auc(labels, probs, task) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("task", ["binary-class", "multi-class", "ordinal-regression"])
@pytest.mark.parametrize("kind", KINDS)
def test_rates_per_class_are_those_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    answers, k = predict(probs, task), TASKS[task]
    matrix = confusion_matrix(labels, answers, k)
    assert (matrix == sk.confusion_matrix(labels, answers, labels=range(k))).all()
    p, s, f, n = sk.precision_recall_fscore_support(labels, answers, labels=range(k), zero_division=np.nan)
    np.testing.assert_allclose(precision(matrix), p)
    np.testing.assert_allclose(sensitivity(matrix), s)
    np.testing.assert_allclose(recall(matrix), s)
    np.testing.assert_allclose(f1(matrix), f)
    np.testing.assert_allclose(specificity(matrix), [sk.recall_score(labels != c, answers != c) for c in range(k)])
    assert (counts(matrix)[0] + counts(matrix)[1] == n).all()
    assert cohen_kappa(matrix) == pytest.approx(sk.cohen_kappa_score(labels, answers))
    theirs = sk.cohen_kappa_score(labels, answers, weights="quadratic")
    assert cohen_kappa(matrix, quadratic=True) == pytest.approx(theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_per_finding_are_those_of_scikit_learn(kind):
    labels, probs = sample(MULTI_LABEL, kind)
    answers = predict(probs, MULTI_LABEL)
    matrix = confusion_matrix(labels, answers, 4)
    assert (matrix == sk.multilabel_confusion_matrix(labels, answers)).all()
    p, s, f, _ = sk.precision_recall_fscore_support(labels, answers, zero_division=np.nan)
    np.testing.assert_allclose(precision(matrix), p)
    np.testing.assert_allclose(sensitivity(matrix), s)
    np.testing.assert_allclose(f1(matrix), f)
    kappas = [sk.cohen_kappa_score(labels[:, j], answers[:, j]) for j in range(4)]
    assert cohen_kappa(matrix) == pytest.approx(np.mean(kappas))


@every
def test_every_single_number_of_the_table_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    answers, k = predict(probs, task), TASKS[task]
    truth = labels if task == MULTI_LABEL else np.eye(k, dtype=int)[labels]
    average = {"binary-class": "binary"}.get(task, "macro")
    matrices = sk.multilabel_confusion_matrix(truth, answers if task == MULTI_LABEL else np.eye(k, dtype=int)[answers])
    specificities = matrices[:, 0, 0] / matrices[:, 0].sum(axis=1)
    findings = task == MULTI_LABEL
    columns = range(k) if findings else []
    theirs = {
        "average_precision": (sk.average_precision_score(labels, probs[:, 1]) if k == 2
                              else sk.average_precision_score(truth, probs, average="macro")),
        "balanced_accuracy": (np.mean([sk.balanced_accuracy_score(labels[:, j], answers[:, j]) for j in columns])
                              if findings else sk.balanced_accuracy_score(labels, answers)),
        "sensitivity": sk.recall_score(labels, answers, average=average),
        "specificity": specificities[1] if k == 2 else specificities.mean(),
        "precision": sk.precision_score(labels, answers, average=average),
        "f1": sk.f1_score(labels, answers, average=average),
        "macro_f1": sk.f1_score(labels, answers, average="macro"),
        "micro_f1": sk.f1_score(labels, answers, average="micro"),
        "weighted_f1": sk.f1_score(labels, answers, average="weighted"),
        "npv": (sk.precision_score(labels, answers, pos_label=0) if k == 2 else
                np.mean([sk.precision_score(truth[:, j], (answers[:, j] if findings else answers == j), pos_label=0)
                         for j in range(k)])),
        "cohen_kappa": (np.mean([sk.cohen_kappa_score(labels[:, j], answers[:, j]) for j in columns]) if findings
                        else sk.cohen_kappa_score(labels, answers)),
        "matthews": (np.mean([sk.matthews_corrcoef(labels[:, j], answers[:, j]) for j in columns]) if findings
                     else sk.matthews_corrcoef(labels, answers)),
        "loss": (np.mean([sk.log_loss(labels[:, j], probs[:, j]) for j in columns]) if findings
                 else sk.log_loss(labels, probs)),
        "brier": (np.mean([sk.brier_score_loss(labels[:, j], probs[:, j]) for j in columns]) if findings
                  else ((probs - truth) ** 2).sum(axis=1).mean() / 2),
        "quadratic_kappa": (sk.cohen_kappa_score(labels, answers, weights="quadratic")
                            if task == "ordinal-regression" else None),
    }
    assert METRICS.keys() - theirs.keys() == {"accuracy", "roc_auc"}               # those are tested above
    for name, value in theirs.items():
        ours = METRICS[name].function(labels, probs, task)
        assert ours is None and value is None or ours == pytest.approx(value, abs=1e-9), name
    together = measure(labels, probs, task)
    assert together == {name: metric.function(labels, probs, task) for name, metric in METRICS.items()}
    if k == 2:
        assert METRICS["brier"].function(labels, probs, task) == pytest.approx(sk.brier_score_loss(labels, probs[:, 1]))


@every
def test_each_class_against_the_rest_is_that_of_scikit_learn(task, kind):
    labels, probs = sample(task, kind)
    k, answers = TASKS[task], predict(probs, task)
    judged = Judged(labels, probs, task)
    for j in range(k):
        true = labels[:, j] if task == MULTI_LABEL else (labels == j).astype(int)
        said = answers[:, j] if task == MULTI_LABEL else (answers == j).astype(int)
        theirs = {
            "accuracy": sk.accuracy_score(true, said), "balanced_accuracy": sk.balanced_accuracy_score(true, said),
            "sensitivity": sk.recall_score(true, said), "specificity": sk.recall_score(true, said, pos_label=0),
            "precision": sk.precision_score(true, said), "npv": sk.precision_score(true, said, pos_label=0),
            "f1": sk.f1_score(true, said), "cohen_kappa": sk.cohen_kappa_score(true, said),
            "matthews": sk.matthews_corrcoef(true, said), "roc_auc": sk.roc_auc_score(true, probs[:, j]),
            "average_precision": sk.average_precision_score(true, probs[:, j]),
            "loss": sk.log_loss(true, probs[:, j]), "brier": sk.brier_score_loss(true, probs[:, j])}
        assert set(theirs) == {name for name, metric in METRICS.items() if metric.function.each}
        for name, value in theirs.items():
            assert METRICS[name].function.each(judged, [j])[0] == pytest.approx(value, abs=1e-9), name


@pytest.mark.parametrize("task, threshold", [("binary-class", 0.2), ("binary-class", 0.9), (MULTI_LABEL, 0.3),
                                             (MULTI_LABEL, np.array([0.1, 0.4, 0.6, 0.9])), ("multi-class", 0.9)])
def test_another_threshold_moves_the_answers_and_nothing_else(task, threshold):
    labels, probs = sample(task, "smooth")
    answers = (probs > threshold).astype(int) if task == MULTI_LABEL else (probs[:, 1] > threshold).astype(int)
    answers = probs.argmax(axis=1) if task == "multi-class" else answers             # several classes have no threshold
    assert (predict(probs, task, threshold) == answers).all()
    there, plain = measure(labels, probs, task, threshold), measure(labels, probs, task)
    for name in ("roc_auc", "average_precision", "loss", "brier"):
        assert there[name] == plain[name]
    assert there["accuracy"] == pytest.approx((answers == labels).mean())
    assert there["f1"] == pytest.approx(sk.f1_score(labels, answers, average="binary" if task == "binary-class" else "macro"))
    result = evaluate(labels, probs, task, [str(k) for k in range(TASKS[task])], threshold)
    assert result["confusion_matrix"] == confusion_matrix(labels, answers, TASKS[task]).tolist()
    assert result["accuracy"] == there["accuracy"] and result["accuracy_interval"][0] < there["accuracy"]


def test_matthews_and_kappa_where_one_side_is_all_the_same():
    def both(tn, fp, fn, tp):
        matrix = np.array([[tn, fp], [fn, tp]])
        return matthews(matrix), cohen_kappa(matrix), binary_matthews(matrix)[1], binary_kappa(matrix)[1]
    assert both(0, 30, 0, 20) == both(30, 20, 0, 0) == (0, 0, 0, 0)                  # one answer, one true class
    undefined = both(0, 0, 0, 50)
    assert undefined[1] is None and np.isnan([undefined[0], *undefined[2:]]).all()   # nothing varies at all
    huge = np.array([[4, 1], [2, 3]]) * 10**7                                        # counts whose products leave 64 bits
    assert matthews(huge) == pytest.approx(matthews(huge // 10**7)) and binary_matthews(huge)[1] == pytest.approx(matthews(huge))


def test_many_matrices_at_once_are_each_by_itself():
    many = np.random.default_rng(0).integers(0, 20, (7, 4, 4))
    np.testing.assert_allclose(matthews(many), [matthews(m) for m in many])
    np.testing.assert_allclose(kappas(many, quadratic=True), [cohen_kappa(m, quadratic=True) for m in many])
    np.testing.assert_allclose(f1(counts(many, findings=False)), [f1(m) for m in many])
    little = many.reshape(7, 4, 2, 2)
    np.testing.assert_allclose(npv(counts(little, findings=True)), [npv(m) for m in little])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thin", [True, False])
def test_curves_are_those_of_scikit_learn(kind, thin):
    labels, probs = sample("binary-class", kind)
    curve = sk.roc_curve(labels, probs[:, 1], drop_intermediate=thin)
    for ours, theirs in zip(roc_curve(labels == 1, probs[:, 1], thin), curve):
        np.testing.assert_allclose(ours, theirs)
    for ours, theirs in zip(pr_curve(labels == 1, probs[:, 1]), sk.precision_recall_curve(labels, probs[:, 1])):
        np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("table, kappa, f, sens, prec, acc", [      # TN, FP, FN, TP; macro averages as a report has
    ((499, 1168, 229, 1301), .146, .534, .575, .606, .563),
    ((1461, 206, 683, 847), .436, .711, .715, .743, .722),
    ((1385, 282, 613, 917), .434, .714, .715, .729, .720),
])
def test_published_mura_tables(table, kappa, f, sens, prec, acc):
    matrix = np.array(table).reshape(2, 2)
    ours = cohen_kappa(matrix), f1(matrix).mean(), sensitivity(matrix).mean(), precision(matrix).mean()
    assert ours == pytest.approx((kappa, f, sens, prec), abs=6e-4)
    assert matrix.trace() / matrix.sum() == pytest.approx(acc, abs=6e-4)


# ----------------------------------------------------------------------------------------------------------- intervals

@pytest.mark.parametrize("k, n, low, high", [(98, 100, 93.0, 99.4), (2531, 2580, 97.50, 98.56),
                                             (2538, 2580, 97.81, 98.79)])
def test_wilson_gives_the_published_limits(k, n, low, high):
    digits = 1 if n == 100 else 2
    assert tuple(round(100 * x, digits) for x in wilson_interval(k, n)) == (low, high)


@pytest.mark.parametrize("k, n", [(0, 10), (10, 10), (1, 3), (114, 156)])
def test_wilson_limits_are_the_shares_that_a_score_test_just_allows(k, n):
    for limit in wilson_interval(k, n):
        if 0 < limit < 1:           # the definition: |k/n - t| is exactly z standard errors *at t*
            assert abs(k / n - limit) == pytest.approx(Z * np.sqrt(limit * (1 - limit) / n), rel=1e-9)
    assert wilson_interval(0, 10)[0] == 0 and wilson_interval(10, 10)[1] == 1


def slow_delong(positive, scores):
    """AUC and its variance as DeLong et al. define them: every positive against every negative."""
    x, y = scores[positive][:, None], scores[~positive][None]
    psi = (x > y) + 0.5 * (x == y)
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01), v10, v01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 300])
def test_auc_placements_and_interval_are_those_of_all_pairs(kind, n):
    labels, probs = sample("binary-class", kind, n, seed=2)      # the order is not perfect
    positive, scores = labels == 1, probs[:, 1]
    area, variance, v10, v01 = slow_delong(positive, scores)
    assert binary_auc(positive, scores) == pytest.approx(area, abs=1e-12)
    np.testing.assert_allclose(placements(positive, scores)[positive], v10, atol=1e-12)
    np.testing.assert_allclose(placements(positive, scores)[~positive], v01, atol=1e-12)
    low, high = roc_auc_interval(labels, probs, "binary-class")
    sd = np.diff(np.log([low / (1 - low), high / (1 - high)]))[0] / (2 * Z) * area * (1 - area)   # back from logits
    assert sd == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert low < area < high


@pytest.mark.parametrize("task", TASKS)
def test_interval_of_the_mean_auc_agrees_with_the_bootstrap(task):
    labels, probs = sample(task, "smooth", 400)
    drawn = bootstrap_interval(roc_auc, labels, probs, task, draws=600, seed=1)
    ours = roc_auc_interval(labels, probs, task)
    assert ours[1] - ours[0] == pytest.approx(drawn[1] - drawn[0], rel=0.15)
    assert np.mean(ours) == pytest.approx(np.mean(drawn), abs=0.006)
    assert drawn == bootstrap_interval(roc_auc, labels, probs, task, draws=600, seed=1)      # the seed decides


def test_interval_holds_the_truth_about_as_often_as_it_says():
    r, held = np.random.default_rng(5), 0
    truth = 0.8555778168267576                  # two normals 1.5 apart: Phi(1.5 / sqrt(2))
    positive = np.arange(60) < 30
    for _ in range(400):
        low, high = auc_interval(positive[:, None], (r.normal(size=60) + 1.5 * positive)[:, None])
        held += low <= truth <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_perfect_order_has_an_interval_that_depends_on_how_many_images_there_were():
    few, many = (auc_interval((np.arange(2 * m) < m)[:, None], -np.arange(2.0 * m)[:, None]) for m in (5, 50))
    assert few[1] == many[1] == 1
    assert 0.5 < few[0] < many[0] - 0.1 < 1


def test_score_interval_ends_where_newcombes_equation_holds():
    m, n, area = 20, 35, 0.83
    for t in score_interval(area, m, n):
        h = (m + n) / 2 - 1
        variance = t * (1 - t) / (m * n) * (1 + h * (1 - t) / (2 - t) + h * t / (1 + t))
        assert (area - t) ** 2 == pytest.approx(Z**2 * variance, rel=1e-9)
    assert score_interval(0.5, 20, 20) == pytest.approx((1 - np.array(score_interval(0.5, 20, 20)))[::-1])


def test_one_positive_image_has_a_wide_interval_and_no_warning():
    labels, probs = np.array([1, 0, 0, 0]), np.array([[.4, .6], [.7, .3], [.3, .7], [.9, .1]])
    with np.errstate(all="raise"):
        low, high = roc_auc_interval(labels, probs, "binary-class")
    assert low < 0.3 and high > 0.9


def test_findings_of_one_image_do_not_count_as_independent():
    r = np.random.default_rng(0)
    right = np.repeat(r.random((200, 1)) < 0.8, 6, axis=1)            # an image is right in all six findings or in none
    labels = np.zeros((200, 6), dtype=np.int64)
    result = evaluate(labels, np.where(right, 0.1, 0.9), MULTI_LABEL, list("abcdef"))
    assert result["accuracy_interval"] == pytest.approx(wilson_interval(right[:, 0].sum(), 200))
    mixed = evaluate(labels, np.where(r.random((200, 6)) < 0.8, 0.1, 0.9), MULTI_LABEL, list("abcdef"))
    low, high = mixed["accuracy_interval"]
    assert high - low == pytest.approx(np.diff(wilson_interval(960, 1200))[0], rel=0.15)


# ---------------------------------------------------------------------------------------------- evaluate and its notes

def test_majority_of_breastmnist():
    labels = np.repeat([0, 1], [42, 114])
    assert majority_baseline(labels, 2) == (pytest.approx(0.7308, abs=1e-4), 1)
    result = evaluate(labels, np.tile([0.3, 0.7], (156, 1)), "binary-class", ["malignant", "normal, benign"])
    assert result["majority_accuracy"] == result["accuracy"] == 114 / 156
    assert result["majority_class"] == "normal, benign" and result["roc_auc"] == 0.5
    assert "The accuracy (0.731) is not above always answering 'normal, benign' (0.731)." in result["notes"]
    assert result["notes"][0].startswith("Every image got the same answer, 'normal, benign', all 156 of them")
    assert result["cohen_kappa"] == 0 and result["per_class"][0]["precision"] is None


def test_majority_and_evaluator_on_the_real_breastmnist(real_data):
    import medmnist
    with np.load(real_data / "medmnist" / "breastmnist.npz") as arrays:
        labels = arrays["test_labels"][:, 0].astype(np.int64)
    assert majority_baseline(labels, 2) == (114 / 156, 1)
    second = np.random.default_rng(0).random(156)
    probs = np.stack([1 - second, second], axis=1)
    auc, acc = medmnist.Evaluator("breastmnist", "test", root=str(real_data / "medmnist")).evaluate(probs)
    assert (roc_auc(labels, probs, "binary-class"), accuracy(labels, probs, "binary-class")) == pytest.approx((auc, acc))


def test_all_negative_is_the_baseline_of_several_findings():
    labels = np.zeros((50, 3), dtype=np.int64)
    labels[:4, 0] = labels[:2, 1] = labels[0, 2] = 1
    assert majority_baseline(labels, 3) == (pytest.approx(143 / 150), None)
    result = evaluate(labels, np.full((50, 3), 0.1), MULTI_LABEL, ["A", "B", "C"])
    assert result["notes"][0] == "The network has collapsed: at this threshold it sees no finding on any of the 50 images."
    assert "The accuracy (0.953) is not above always answering that there is no finding (0.953)." in result["notes"]
    assert "Precision is undefined for 'A', 'B' and 'C': no image got that answer." in result["notes"]


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_is_whole_and_goes_into_json(task):
    labels, probs = sample(task, "smooth")
    names = [f"class {k}" for k in range(TASKS[task])]
    result = json.loads(json.dumps(evaluate(labels, probs, task, names), allow_nan=False))
    assert set(METRICS) <= set(result)
    assert result["n"] == 300 and len(result["per_class"]) == TASKS[task]
    assert [row["n"] for row in result["per_class"]] == list(result["n_per_class"].values())
    assert result["accuracy_interval"][0] < result["accuracy"] < result["accuracy_interval"][1]
    assert result["roc_auc_interval"][0] < result["roc_auc"] < result["roc_auc_interval"][1]
    areas = [row["roc_auc"] for row in result["per_class"]]
    assert result["roc_auc"] == pytest.approx(np.mean(areas))
    if task == "multi-class":
        assert result["notes"] == [] and np.array(result["confusion_matrix"]).sum() == 300


def test_good_answers_need_no_note_and_shaky_ones_get_one():
    labels = np.repeat([0, 1], 60)
    good = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    good[:3] = good[:3, ::-1]
    assert evaluate(labels, good, "binary-class", ["a", "b"])["notes"] == []
    shaky = good.copy()
    shaky[:55] = [0.2, 0.8]
    note = evaluate(labels, shaky, "binary-class", ["a", "b"])["notes"][0]
    assert "may be no better than always answering 'a' (0.500)" in note
    assert evaluate(labels[50:], good[50:], "multi-class", ["a", "b"])["notes"] == []       # ten images of a
    note = evaluate(labels[51:], good[51:], "multi-class", ["a", "b"])["notes"][0]          # nine
    assert note.startswith("Fewer than 10 images of 'a'")


@pytest.mark.parametrize("task", ["multi-class", "ordinal-regression"])
def test_an_absent_class_leaves_the_auc_undefined_and_says_so(task):
    labels, probs = sample(task, "smooth")
    keep = labels != 2
    result = evaluate(labels[keep], probs[keep], task, list("abcde"))
    for name in ("roc_auc", "roc_auc_interval", "balanced_accuracy", "average_precision"):
        assert result[name] is None
    assert result["per_class"][2]["roc_auc"] is result["per_class"][2]["sensitivity"] is None
    assert result["per_class"][1]["roc_auc"] is not None
    assert "ROC AUC is undefined: no image of class 'c' here." in result["notes"]
    json.dumps(result, allow_nan=False)


def test_one_class_only_leaves_the_binary_auc_undefined():
    result = evaluate(np.ones(20, dtype=int), np.tile([.4, .6], (20, 1)), "binary-class", ["normal", "abnormal"])
    assert result["roc_auc"] is result["roc_auc_interval"] is result["cohen_kappa"] is None
    assert result["sensitivity"] == 1 and result["specificity"] is None
    assert "ROC AUC is undefined: no image of class 'normal' here." in result["notes"]
    assert roc_curve(np.ones(3, bool), np.arange(3.0)) is pr_curve(np.zeros(3, bool), np.arange(3.0)) is None


def test_a_finding_in_every_image_leaves_the_auc_undefined():
    labels, probs = sample(MULTI_LABEL, "smooth")
    labels[:, 1] = 1
    result = evaluate(labels, probs, MULTI_LABEL, list("abcd"))
    assert result["roc_auc"] is None and "ROC AUC is undefined: every image here has 'b'." in result["notes"]


# ----------------------------------------------------------------------------------------------------------- bad input

def bad(code, labels, probs, task="multi-class", names=("a", "b", "c")):
    with pytest.raises(LightboxError) as caught:
        evaluate(np.array(labels), np.array(probs, dtype=float), task, names)
    assert caught.value.code == code and str(caught.value).endswith(".")


def test_what_does_not_fit_is_refused_in_words():
    good = [[.2, .3, .5], [.1, .8, .1]]
    bad("metrics.nan", [0, 1], [[np.nan, .5, .5], [.1, .8, .1]])
    bad("metrics.nan", [0, 1], [[np.inf, .5, .5], [.1, .8, .1]])
    bad("metrics.probs", [0, 1], [[-3, 2, 2], [.1, .8, .1]])
    bad("metrics.probs", [0, 1], [[.9, .9, .9], [.1, .8, .1]])
    bad("metrics.shape", [0, 1, 2], good)
    bad("metrics.shape", [[0], [1]], good)
    bad("metrics.shape", [0, 1], [.2, .8])
    bad("metrics.shape", [0, 1], [[.2], [.8]], "binary-class", ["a"])
    bad("metrics.shape", [0, 1], good, MULTI_LABEL)
    bad("metrics.shape", [0, 1], good, names=("a", "b"))
    bad("metrics.shape", [0, 1], good, names=("a", "b", "b"))
    bad("metrics.labels", [0, 3], good)
    bad("metrics.labels", [0, -1], good)
    bad("metrics.labels", [0.5, 1], good)
    bad("metrics.labels", [[0, 1, 2], [0, 0, 1]], good, MULTI_LABEL)
    bad("metrics.empty", np.zeros(0, int), np.zeros((0, 3)))
    bad("metrics.task", [0, 1], good, "regression")


def test_what_the_caller_holds_is_left_alone_and_half_precision_is_taken():
    labels, probs = sample("multi-class", "smooth")
    before = labels.copy(), probs.copy()
    evaluate(labels, probs, "multi-class", list("abcde"))
    assert (labels == before[0]).all() and (probs == before[1]).all()
    assert roc_auc(labels.astype(np.int32), probs.astype(np.float16), "multi-class") == pytest.approx(
        roc_auc(labels, probs, "multi-class"), abs=0.002)


def test_the_table_explains_itself():
    for name, metric in METRICS.items():
        assert metric.title and metric.equation and metric.help.endswith(".") and metric.help.count(". ") == 0, name
        low, high = metric.range
        for task, kind in [(t, k) for t in TASKS for k in KINDS]:
            value = metric.function(*sample(task, kind), task)
            assert value is None or low <= value <= high, (name, task)
