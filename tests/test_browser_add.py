"""Add images in a real browser: from the start page to a set of real images that is browsed under its own name."""

from playwright.sync_api import expect

from tests.browser_support import choose


def test_a_table_of_real_images_is_added_with_its_patients(app, page, real_data):
    page.goto(app.url)
    page.get_by_label("Path of a folder, table, zip or .npz file").fill(str(real_data / "covid_mortality"))
    page.get_by_role("button", name="Use my images").click()
    expect(page.get_by_role("heading", name="Add images")).to_be_visible()
    expect(page.get_by_role("row", name="1 32", exact=True)).to_be_visible()
    patients = page.get_by_test_id("stMetric").filter(has_text="Patients")
    expect(patients).to_contain_text("78")
    for choice, count in (("none", "-"), ("patient", "78")):
        choose(page, page.get_by_role("combobox", name="Patient").first, choice)
        expect(patients).to_contain_text(count)
        expect(page.locator("[data-tag]")).to_have_text(["died"])
    expect(page.get_by_alt_text("Pad:").first).to_be_visible()
    page.get_by_role("textbox", name="Title").fill("Covid <b>deaths</b>")
    page.get_by_role("textbox", name="Title").press("Enter")
    page.get_by_role("button", name="Add these images").click()
    expect(page.get_by_role("heading", name="Browse", exact=True)).to_be_visible()
    expect(page.get_by_text("of 157 images")).to_be_visible(timeout=60_000)
    assert "dataset=covid-b-deaths-b" in page.url

    page.goto(app.url + "/add")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("Your data sets")).not_to_be_visible()
