"""Nearest training images: against scikit-learn, on planted twins, and kept on the disk."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from core.config import home
from core.datasets import open_dataset
from core.evaluation.neighbours import features_of, nearest, training_features
from core.runs.classifiers import as_input, load_classifier
from tests import judged

run, trained = judged.run, judged.trained          # fixtures


def test_nearest_is_what_scikit_learn_finds():
    rng = np.random.default_rng(0)
    features, queries = rng.normal(size=(300, 16)).astype(np.float32), rng.normal(size=(5, 16)).astype(np.float32)
    distance, index = NearestNeighbors(n_neighbors=7, metric="cosine").fit(features).kneighbors(queries)
    for query, d, i in zip(queries, distance, index):
        found, similarity = nearest(features, query, 7)
        assert found.tolist() == i.tolist()
        np.testing.assert_allclose(similarity, 1 - d, atol=1e-5)


def test_length_plays_no_part_and_zeros_are_near_to_nothing():
    features = np.array([[0, 0], [3, 4], [.3, .4], [-3, -4]], np.float32)
    found, similarity = nearest(features, np.array([6, 8], np.float32), 9)
    assert found.tolist() == [1, 2, 0, 3]
    np.testing.assert_allclose(similarity, [1, 1, 0, -1], atol=1e-6)


def test_features_are_the_models_are_kept_and_a_stop_goes_on(run):
    data, model = open_dataset(run.config.data), load_classifier(run.id).model
    assert training_features(run, data, model, make=False) is None
    said = []

    def stop(sentence, done, total):
        said.append((done, total))
        if done >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training_features(run, data, model, stop)
    assert said[-1] == (64, 160)
    said.clear()
    features = training_features(run, data, model, lambda sentence, done, total: said.append((done, total)))
    assert said[0] == (64, 160) and said[-1] == (160, 160), "it goes on where it was stopped"
    rows = data.indices("train")
    expected = model.embed(as_input(model, list(data.images[rows]))).detach().numpy()
    np.testing.assert_allclose(features, expected, atol=1e-4)
    assert list((home() / "features").glob("*.npy"))
    assert (training_features(run, data, model, make=False) == features).all()
    row = rows[17]                                               # an image is its own nearest neighbour
    found, similarity = nearest(features, features_of(model, [data.images[row]])[0], 3)
    assert found[0] == 17 and similarity[0] > 0.9999
