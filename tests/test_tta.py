"""The mean over augmented copies, against the copies predicted one by one."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.augment.images import augment
from core.augment.tta import augmented_probabilities, image_numbers
from core.config import AugmentConfig
from core.errors import LightboxError
from core.trainers.augmenting import augment_inputs
from core.trainers.batches import Batches, SplitData
from core.trainers.tta import predict_augmented
from core.trainers.validation import predict
from tests.tiny import tiny_arrays, tiny_config
from tests.trained import small

CHANGES = AugmentConfig(flip=0.5, rotate=15.0, brightness=0.2, noise=0.05, blur=0.5)


@pytest.fixture(scope="module")
def split():
    images, labels = tiny_arrays(150)
    return SplitData(images[..., None], np.arange(10, 150), labels[10:])


@pytest.fixture(scope="module")
def model():
    return small(tiny_config("x")).eval()


def pixels(split, i: int) -> torch.Tensor:
    return torch.from_numpy(split.images[split.indices[i]]).permute(2, 0, 1)[None].float() / 255


def test_it_is_the_mean_of_the_copies_by_hand(model, split):
    draws, seed = 5, 3
    found = predict_augmented(model, split, CHANGES, draws, seed)
    assert found.shape == (140, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    for i in (0, 63, 64, 139):
        image = pixels(split, i)
        copies = [image] + [augment(image, CHANGES, (seed, t), image_numbers(image)) for t in range(1, draws)]
        assert all(not torch.equal(image, copy) for copy in copies[1:])
        with torch.no_grad():
            by_hand = torch.stack([model(copy).softmax(dim=1)[0] for copy in copies]).mean(dim=0)
        np.testing.assert_allclose(found[i], by_hand.numpy(), atol=1e-6)


def test_an_image_is_predicted_alike_in_any_batch_and_alone(model, split):
    whole = predict_augmented(model, split, CHANGES, 4, 0)
    order = np.random.default_rng(0).permutation(140)[:70]
    some = SplitData(split.images, split.indices[order], split.labels[order])
    np.testing.assert_allclose(predict_augmented(model, some, CHANGES, 4, 0), whole[order], atol=1e-6)
    alone = augmented_probabilities(model, pixels(split, 7), CHANGES, 4, 0)
    np.testing.assert_allclose(alone[0].numpy(), whole[7], atol=1e-6)
    again, other = (predict_augmented(model, split, CHANGES, 4, seed) for seed in (0, 1))
    assert (again == whole).all() and not np.allclose(other, whole, atol=1e-5)


def test_one_draw_is_the_plain_prediction_and_the_model_is_left_as_it_was(model, split):
    *_, (_, plain) = predict(model, Batches(split, torch.device("cpu")), 64)
    said = []
    np.testing.assert_allclose(predict_augmented(model, split, AugmentConfig(), 1, 0, lambda *done: said.append(done[1:])), plain,
                               atol=1e-6)
    assert said == [(64, 140), (128, 140), (140, 140)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    augmented_probabilities(model, pixels(split, 0), CHANGES, 2, 0)
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()


def test_the_mean_of_a_flip_is_blind_to_the_side(split):
    """With always a flip, draw 0 is the image and draw 1 its mirror image: the mean says the same of both."""
    model, always = small(tiny_config("x"), norm=False).eval(), AugmentConfig(flip=1.0)
    image = pixels(split, 0)
    one, mirrored = (augmented_probabilities(model, x, always, 2, 0) for x in (image, image.flip(-1)))
    assert torch.allclose(one, mirrored, atol=1e-6)
    assert not torch.allclose(model(image), model(image.flip(-1)), atol=1e-4)


def test_several_findings_are_each_for_itself(split):
    model = small(tiny_config("x"), task="multi-label, binary-class", classes=3).eval()
    found = augmented_probabilities(model, pixels(split, 0), CHANGES, 3, 0)
    assert found.shape == (1, 3) and not torch.allclose(found.sum(), torch.tensor(1.0), atol=1e-3)


def test_each_view_of_a_unit_is_changed_by_itself(split):
    class Sides(torch.nn.Module):
        """Logits are the mean of the left view and of the right one."""
        preprocessing = SimpleNamespace(views=2)

        def forward(self, images):
            return torch.stack([half.mean(dim=(1, 2, 3)) for half in images.chunk(2, dim=3)], dim=1)

        def probabilities(self, logits):
            return logits
    pair = torch.cat([pixels(split, 0), pixels(split, 1)], dim=3)
    number, changes = image_numbers(pair), AugmentConfig(shift=0.3, brightness=0.3)
    found = augmented_probabilities(Sides(), pair, changes, 2, 5)[0]
    for view in (0, 1):
        alone = pixels(split, view)
        copy = augment(alone, changes, (5, 1), number * 2 + view)
        assert found[view].item() == pytest.approx((alone.mean() + copy.mean()).item() / 2, abs=1e-6)
    in_training = augment_inputs(pair, 2, changes, (5, 1), number)
    assert torch.allclose(found, (Sides()(pair) + Sides()(in_training))[0] / 2, atol=1e-6)
    half = torch.cat([pixels(split, 0), torch.zeros(1, 1, 28, 28)], dim=3)                 # the second view is absent
    assert augmented_probabilities(Sides(), half, changes, 4, 5)[0, 1] == 0


def test_nothing_to_draw_is_a_sentence(model, split):
    for config, draws, code in ((AugmentConfig(), 8, "tta.nothing"), (CHANGES, 0, "tta.draws")):
        with pytest.raises(LightboxError) as caught:
            predict_augmented(model, split, config, draws, 0)
        assert caught.value.code == code and caught.value.hint
