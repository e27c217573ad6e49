"""Network in a real browser: the square on the image grows from layer to layer, follows the pointer and the sliders."""

import pytest
from playwright.sync_api import expect

from core.config import ModelConfig
from core.models import MODELS
from core.models.receptive import plan
from tests.browser_support import choose, wait_idle
from tests.tiny import tiny_npz


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_npz(tmp_path_factory.mktemp("set"))


def open_builder(app, page, tiny) -> None:
    page.goto(f"{app.url}/network?dataset={tiny}")
    expect(page.locator(".lb-net figure").first).to_be_visible(timeout=90_000)          # torch has come
    wait_idle(page)
    choose(page, page.get_by_role("combobox", name="Image size"), "28 (original size)")
    choose(page, page.get_by_role("combobox", name="Network"), MODELS["cnn"].title)
    expect(page.locator(".field .seen")).to_be_visible()
    if (prepare := page.get_by_role("button", name="Prepare now")).count():
        prepare.click()
        expect(prepare).to_have_count(0)
    wait_idle(page)


def square(page) -> list[float]:
    seen = page.locator(".field .seen")
    return [float(seen.get_attribute(name)) for name in ("x", "y", "width", "height")]


@pytest.mark.slow      # each step waits for the network
def test_the_square_grows_and_follows(app, page, tiny):
    open_builder(app, page, tiny)
    steps = plan(ModelConfig("cnn"), 28, 1)
    layer = page.get_by_role("slider", name="Layer", exact=True)
    assert square(page)[2:] == [steps[-1].field] * 2                       # the last layer to begin with
    layer.focus()
    page.keyboard.press("Home")
    widths = []
    for step in steps:
        widths.append(square(page)[2])
        expect(layer).to_have_attribute("aria-valuetext", f"{step.name.replace('layer', 'Layer ')}, {step.kind} "
                                        f"{step.kernel} x {step.kernel}" + (f", stride {step.stride}" if step.stride > 1 else "")
                                        + f": sees {step.field} pixels")
        page.keyboard.press("ArrowRight")
    assert widths == [step.field for step in steps]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")                                      # pooling: units lie two pixels apart
    picture = page.locator(".field .picture")
    picture.hover(position={"x": 3, "y": 3})
    assert square(page)[:2] == [steps[1].window(0)[0]] * 2
    box = picture.bounding_box()
    picture.hover(position={"x": box["width"] - 3, "y": box["height"] / 2})
    assert square(page)[0] == steps[1].window(steps[1].size - 1)[0]


def test_the_builders_sliders_change_field_drawing_and_warning(app, page, tiny):
    open_builder(app, page, tiny)
    expect(page.locator(".lb-net figure")).to_have_count(7)                # the image, five layers, the head
    page.get_by_role("slider", name="Pooling stride").focus()
    page.keyboard.press("ArrowLeft")
    wait_idle(page)
    expect(page.locator(".field .side .large")).to_contain_text("sees 16 x 16 px, 57 % of the side")     # 1 + 5 x 2 + 5 x 1
    page.get_by_role("slider", name="Convolutions").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("alert")).to_contain_text("10 of 28 pixels, only 36 %")
    expect(page.locator(".lb-net figure")).to_have_count(5)
    wait_idle(page)
    assert page.get_by_role("img", name="CNN builder: an image of 28 pixels").count() == 1
