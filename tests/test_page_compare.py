"""The page that compares: its table is by validation, its tests are those of core.evaluation.compare, its views stand."""

import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from playwright.sync_api import expect

from core.evaluation.compare import compare
from core.evaluation.leaderboard import ungrouped
from core.runs.store import RunStore
from pages.compare.choice import BY_TEST, TABLE
from pages.shared import run_feed
from pages.shared.layout import escape, format_number
from pages.shared.run_table import as_csv
from tests import judged
from tests.browser_support import ROOT, serve, wait_idle
from tests.drawn import charts, run_table
from tests.judged import another_seed, galleries, open_page, plant, stored_arrays, text_of
from tests.test_compare import another, change

run, trained = judged.run, judged.trained          # fixtures
N = 40


@pytest.fixture
def two(run, monkeypatch):
    """A is better on validation, B on test; B has another learning rate and was made later."""
    monkeypatch.setattr("pages.compare.choice.SECONDS", 60)          # however busy the machine is, all intervals are there
    labels, rng = np.arange(N) % 2, np.random.default_rng(4)
    other = another(run, **{"optim.lr": 0.5, "name": "the other one"})
    for one, strengths in ((run, {"val": 0.3, "test": 0.05}), (other, {"val": 0.1, "test": 0.4})):
        for split, strength in strengths.items():
            p = np.clip(0.5 + strength * (2 * labels - 1) + rng.normal(0, 0.2, N), 0.01, 0.99)
            plant(one, split, labels, np.stack([1 - p, p], 1))
    return run, other


def toggle(at, label: str):
    at = next(t for t in at.toggle if t.label == label).set_value(True).run()
    assert not at.exception, at.exception
    return at


def test_without_a_run_it_invites_and_still_checks_printed_tables(lightbox_home):
    at = open_page("compare")
    assert "no runs to compare" in text_of(at) and "Train a network" in [b.label for b in at.button]
    assert not open_page("compare", view="check").exception and not open_page("compare", view="reported").exception


def test_the_table_is_by_validation_with_intervals_and_the_best_is_marked(two):
    a, b = two
    shown = run_table(open_page("compare"))
    assert [row["id"] for row in shown["rows"]] == [a.id, b.id] and [row["letter"] for row in shown["rows"]] == ["A", "B"]
    keys = [column.get("key") for column in shown["columns"]]
    auc, test_auc = keys.index("val:roc_auc"), keys.index("test:roc_auc")
    first, second = (row["cells"] for row in shown["rows"])                  # cells begin after the column of the buttons
    found = compare(a, b)["roc_auc"]
    assert first[auc - 1]["text"] == format_number(found["a"]) and " to " in first[auc - 1]["small"]
    assert first[auc - 1]["best"] and not second[auc - 1]["best"] and second[test_auc - 1]["best"]
    assert shown["columns"][auc]["sorted"] == "down" and shown["columns"][test_auc]["shut"]
    assert first[auc - 2] == {"text": "40", "small": "20 pos."}
    assert a.times_test_opened() == b.times_test_opened() == 0


def test_at_first_two_runs_are_picked_that_can_be_compared(two):
    a, b = two
    best = another(a, "20200102-000000-cafe", name="another task")
    labels = np.arange(N) % 2
    plant(best, "val", labels, np.eye(2)[labels])
    about = best.data() | {"class_names": ["left", "right"]}
    (best.folder / "data.json").write_text(json.dumps(about))
    rows = run_table(open_page("compare", of="all"))["rows"]
    assert [row["id"] for row in rows] == [best.id, a.id, b.id]
    assert [row["letter"] for row in rows] == ["", "A", "B"]
    unjudged = another(b, "20200103-000000-cafe", name="stopped before it was judged")
    (unjudged.folder / "predictions.npz").unlink(missing_ok=True)
    (unjudged.folder / "scores.json").unlink(missing_ok=True)
    rows = run_table(open_page("compare", of="all"))["rows"]
    assert {row["id"]: row["letter"] for row in rows} == {best.id: "", a.id: "A", b.id: "B", unjudged.id: ""}


def test_it_is_sorted_by_test_only_with_the_switch_that_warns(two):
    a, b = two
    at = open_page("compare", board="auc")
    assert [row["id"] for row in run_table(at)["rows"]] == [a.id, b.id] and BY_TEST not in [w.value for w in at.warning]
    at = toggle(at, "Sort by test")
    assert [row["id"] for row in run_table(at)["rows"]] == [b.id, a.id] and BY_TEST in [w.value for w in at.warning]


def test_tags_narrow_it_and_columns_are_chosen(two):
    a, b = two
    b.annotate(tags=["<b>odd</b>"])
    at = open_page("compare")
    assert run_table(at)["rows"][1]["cells"][-1] == ["<b>odd</b>"]
    at.session_state["compare_table"] |= {"tags": ["<b>odd</b>"], "metrics": ["brier"]}
    shown = run_table(at.run())
    assert [row["id"] for row in shown["rows"]] == [b.id] and "val:brier" in [column.get("key") for column in shown["columns"]]
    assert "Pick a second run" in text_of(at)


def test_runs_are_found_by_their_words_and_a_person_may_leave_columns_out(two):
    a, b = two
    at = open_page("compare")
    keys = [column["key"] for column in run_table(at)["columns"]]
    assert "seconds" in keys and "test:roc_auc" in keys and [c["title"] for c in run_table(at)["columns"]].count("n") == 2
    assert [c["key"] for c in run_table(at)["columns"] if c.get("lesser")] == ["seconds"]     # left out of a narrow window
    at.session_state["compare_table"] |= {"columns": ["seconds"]}
    shown = run_table(at.run())["columns"]
    assert [c["key"] for c in shown] == [keys[0], *(key for key in keys if key and not key.startswith("test:"))]
    assert not any(c.get("lesser") for c in shown)                    # what was chosen stays
    at.session_state["compare_table"] |= {"words": "OTHER the"}
    assert [row["id"] for row in run_table(at.run())["rows"]] == [b.id]
    at.session_state["compare_table"] |= {"words": "nobody"}
    assert "No run matches" in text_of(at.run())


def test_whole_tables_can_be_chosen_and_stand_in_the_csv(two):
    a, b = two
    path = a.folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    trained = {"measured": "evaluated", "train_roc_auc": 0.87, "train_accuracy": 0.75}
    path.write_text("".join(json.dumps(one | trained if one["kind"] == "epoch" else one) + "\n" for one in lines))
    at = open_page("compare")
    chosen = {"columns": ["best_epoch", "counts", "train", "test"], "metrics": ["roc_auc", "accuracy"]}
    at.session_state["compare_table"] |= chosen
    shown = run_table(at.run())
    heads = [(column.get("group", ""), column["title"]) for column in shown["columns"]]
    groups = {"Training": [], "Validation": ["TP", "FN", "FP", "TN"], "Test, where opened": ["TP", "FN", "FP", "TN"]}
    assert heads == [("", ""), ("", "Run"), ("", "Best epoch"), *(
        (group, title) for group, counts in groups.items() for title in [*counts, "ROC AUC", "Accuracy"])]
    first, second = ([cell["text"] for cell in row["cells"]][2:] for row in shown["rows"])
    assert first[:2] == ["0.870", "0.750"] and second[:2] == ["-", "-"]                    # b did not measure training
    probs = stored_arrays(a)["val_probs"][:, 1]
    (tn, fp), (fn, tp) = sk.confusion_matrix(np.arange(N) % 2, probs > 0.5)
    assert first[2:6] == [str(count) for count in (tp, fn, fp, tn)]
    why = {column["key"]: column.get("help") for column in shown["columns"]}
    assert "Evaluate on training images" in why["train:accuracy"] and "has not been opened" in why["test:accuracy"]
    saved = pd.read_csv(io.StringIO(as_csv(TABLE, ungrouped(run_feed.all_runs(RunStore()))))).set_index("id")
    assert saved.loc[a.id, ["TP, val", "FN, val", "FP, val", "TN, val"]].tolist() == [tp, fn, fp, tn]
    assert saved.loc[a.id, "Best epoch"] == int(stored_arrays(a)["val_epoch"])
    for name, theirs in (("Macro precision", sk.precision_score), ("Balanced accuracy", sk.recall_score),
                         ("Macro F1", sk.f1_score)):
        assert saved.loc[a.id, f"{name}, val"] == pytest.approx(theirs(np.arange(N) % 2, probs > 0.5, average="macro"))
    assert saved.loc[a.id, "ROC AUC, train"] == 0.87 and np.isnan(saved.loc[b.id, "ROC AUC, train"])
    auc = sk.roc_auc_score(np.arange(N) % 2, stored_arrays(a)["test_probs"][:, 1])
    assert saved.loc[a.id, "ROC AUC, test"] == pytest.approx(auc)
    assert a.times_test_opened() == b.times_test_opened() == 0


def test_a_test_set_that_nobody_has_opened_is_empty_and_says_why(run, monkeypatch):
    monkeypatch.setattr("pages.compare.choice.SECONDS", 60)
    at = open_page("compare")
    assert not [column for column in run_table(at)["columns"] if column["key"].startswith("test:")]
    at.session_state["compare_table"] |= {"columns": ["test"]}
    shown = run_table(at.run())
    place = [column["key"] for column in shown["columns"]].index("test:roc_auc")
    assert shown["rows"][0]["cells"][place - 1]["text"] == "-" and "has not been opened" in shown["columns"][place]["help"]
    assert run.times_test_opened() == 0


def test_the_address_says_which_data_sets_and_what_is_not_there(two):
    a, b = two
    third = another(b, "20200103-000000-cafe", name="of other images", **{"data.dataset": "pneumoniamnist"})
    (third.folder / "data.json").write_text(json.dumps(third.data() | {"title": "Other"}))
    at = open_page("compare", runs=third.id)                            # a link needs no data set
    assert [row["id"] for row in run_table(at)["rows"]] == [third.id]
    both = open_page("compare", runs=f"{a.id},{third.id}")
    letters = {row["id"]: row["letter"] for row in run_table(both)["rows"]}
    assert letters == {a.id: "A", third.id: "B", b.id: ""}
    for name in ("runs", "view", "board"):
        lost = open_page("compare", **{name: "<nonsense>"})
        assert not lost.exception and "nonsense" in lost.warning[0].value and "<nonsense>" not in lost.warning[0].value


def test_tasks_of_one_data_set_are_not_in_one_ranking(two):
    a, b = two
    third = another(b, "20200103-000000-cafe", name="of the body part")
    (third.folder / "data.json").write_text(json.dumps(third.data() | {"class_names": ["elbow", "wrist"]}))
    at = open_page("compare", run=a.id)
    (chip,) = [box for box in at.selectbox if box.label == "Data set"]
    titles = [f"{a.data()['title']}: {names}" for names in (", ".join(a.data()["class_names"]), "elbow, wrist")]
    assert sorted(chip.options) == sorted([*titles, "All data sets"])
    assert [row["id"] for row in run_table(at)["rows"]] == [a.id, b.id]
    assert [row["id"] for row in run_table(chip.set_value(titles[1]).run())["rows"]] == [third.id]


def test_two_runs_get_the_tests_what_differs_and_where_they_disagree(two):
    a, b = two
    at, found = open_page("compare", split="val"), compare(a, b)
    words = text_of(at)
    assert escape(found["roc_auc"]["sentence"]) in words and escape(found["accuracy"]["sentence"]) in words
    differs = next(d.value for d in at.dataframe if "Setting" in d.value)
    assert differs.values.tolist() == [["Learning rate", str(a.config.optim.lr), "0.5"]]
    grid, = galleries(at)
    assert len(grid["captions"]) == found["disagreements"] > 0
    turned = open_page("compare", split="test", runs=f"{b.id},{a.id}")
    assert escape(compare(b, a, "test")["roc_auc"]["sentence"]) in text_of(turned)


def test_other_images_are_refused_in_a_sentence(two):
    a, b = two
    change(b, val_image_ids=lambda ids: np.array([f"{i}-new" for i in ids]))
    at = open_page("compare", runs=f"{a.id},{b.id}")
    assert "different validation images" in text_of(at) and not galleries(at)
    assert "Setting" in [column for d in at.dataframe for column in d.value]


def test_several_findings_are_tested_one_at_a_time(two):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (N, 3))
    for one in two:
        plant(one, "val", labels, rng.random((N, 3)))       # the answers to test are of two classes still: they are not shown
        about = json.loads((one.folder / "data.json").read_text())
        about |= {"task": "multi-label, binary-class", "class_names": ["mass", "fluid", "<script>$x$"]}
        (one.folder / "data.json").write_text(json.dumps(about))
    at = open_page("compare", finding="2", runs=",".join(one.id for one in two))
    words, found = text_of(at), compare(*two)
    assert escape(found["roc_auc"]["sentence"]) in words and escape(found["findings"][2]["accuracy"]["sentence"]) in words
    assert len(galleries(at)[0]["captions"]) and not open_page("compare", view="curves").exception


def test_seeds_are_folded_and_every_view_stands(two):
    a, b = two
    another_seed(b)
    at = toggle(open_page("compare"), "Group seeds")
    rows = run_table(at)["rows"]
    assert len(rows) == 2 and "2 seeds" in rows[1]["cells"][0]["small"]
    for view in ("curves", "cost", "away", "reported", "check"):
        at.query_params["view"] = view
        at.run()
        assert not at.exception and (view == "check" or not at.error), (view, at.exception, [e.value for e in at.error])


def test_the_tables_of_a_report_stand_whole_below_its_numbers(two):
    at = open_page("compare", view="reported")
    at = next(box for box in at.selectbox if box.label == "Published result").select("r004-survey").run()
    assert not at.exception, at.exception
    tables = [element.value for element in at.dataframe]
    layers = next(table for table in tables if "Layers" in table.columns)
    assert layers.shape == (12, 6) and layers.set_index("Layers").loc["6", "Running time"] == "2h3m57s"
    assert any("Specificity (%)" in table.columns for table in tables) and "and passes 100" in text_of(at)
    assert not any("3D-CNN" in table.columns for table in tables)                          # of another report


def test_a_head_sorts_and_a_line_is_picked_by_a_click(two, page, tmp_path):
    a, b = two
    with serve(ROOT / "app.py", tmp_path, "--server.headless", "true", LIGHTBOX_HOME=str(RunStore().root)) as server:
        page.goto(f"{server.url}/compare")
        expect(page.get_by_text("Which is better?")).to_be_visible()
        names = page.locator("tbody tr td.name")
        assert "the other one" in names.nth(1).inner_text()
        page.get_by_role("button", name="Sort by ROC AUC").click()
        expect(names.nth(0)).to_contain_text("the other one")                 # the order is turned round
        page.get_by_role("button", name="Pick the other one").click()
        expect(page.get_by_text("Pick a second run of the same data set")).to_be_visible()
        wait_idle(page)
        assert page.url.endswith(f"runs={a.id}") or f"runs={a.id}" in page.url and b.id not in page.url
        page.get_by_test_id("stPopoverButton").click()                        # opened late, it still shows what is chosen
        chosen = page.get_by_test_id("stPopoverBody").locator("button[data-selected=true], button[aria-pressed=true], "
                                                              "[data-testid$=Active], [aria-checked=true]")
        expect(chosen).to_have_count(8)
        page.get_by_text("Test results", exact=True).click()
        expect(page.locator("th", has_text="Test, where opened")).to_have_count(0)
        expect(page.get_by_role("button", name="Sort by ROC AUC")).to_have_count(1)
        page.keyboard.press("Escape")
        page.set_viewport_size({"width": 390, "height": 844})                 # the name stays while the numbers go by
        wait_idle(page)
        scroll, left = page.locator(".scroll"), names.nth(0).bounding_box()["x"]
        assert scroll.evaluate("box => { box.scrollLeft = 90; return box.scrollLeft }") == 90
        assert names.nth(0).bounding_box()["x"] == left
        page.goto("about:blank")


@pytest.fixture
def folds(run):
    """Two cross-validations of three folds, of which the second lacks one."""
    for name, values, lr in (("net", (.8, .85, .82), 0.001), ("other", (.7, .75, .71), 0.5)):
        for k, value in enumerate(values):
            one = judged.another_run(run, f"2020010{k + 1}-000000-{'aaaa' if name == 'net' else 'bbbb'}", **{
                "data.folds": 3, "data.fold": k, "optim.lr": lr, "name": f"{name}, fold {k + 1} of 3"})
            judged.change_json(one, "data", split_hash=f"fold {k}")
            lines = [json.loads(line) for line in (one.folder / "metrics.jsonl").read_text().splitlines()]
            (one.folder / "metrics.jsonl").write_text("".join(json.dumps(line | ({"val_roc_auc": value} if "val_roc_auc" in line
                                                                                 else {})) + "\n" for line in lines))
            for file in ("predictions.npz", "scores.json"):
                (one.folder / file).unlink(missing_ok=True)
    shutil.rmtree(one.folder)
    return run


def test_cross_validations_have_a_table_a_test_and_the_click_for_what_is_missing(folds, monkeypatch):
    monkeypatch.setattr("core.runs.store.start_worker", lambda *_: None)
    at = open_page("compare", view="folds")
    table = at.dataframe[0].value
    assert sorted(table["Network"]) == ["net", "other"]
    net = table.set_index("Network").loc["net"]
    assert (net["Fold 1"], net["Fold 3"], net["Mean"], net["SD"]) == ("0.800", "0.820", "0.823", "0.025")
    assert table.set_index("Network").loc["other"]["Fold 3"] == "-"
    said = text_of(at).replace("\\", "")
    assert "Mean ROC AUC over 2 folds" in said and "other lacks fold 3 of 3" in said
    drawn, = charts(at, "ROC AUC of each fold")
    assert len(drawn.rows("folds")) == 5
    at.button("train_folds_0_" + str(table["Network"].tolist().index("other"))).click().run()
    made = next(one for one in RunStore().list() if one.status().state == "queued")
    assert (made.config.data.fold, made.config.optim.lr, made.name) == (2, 0.5, "other, fold 3 of 3")


def test_without_a_cross_validation_its_view_invites(two):
    assert "One click on Train" in text_of(open_page("compare", view="folds"))
