"""The larger view: zoom and pan, marks, words and facts of its picture, the heat map."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from .conftest import CAPTION, Site, drag, edges_of, search, session_of, shown, take, until

OpenPage = Callable[..., Page]


def view(page: Page, words: str = "red", at: int = 0) -> None:
    search(page, words)
    page.locator(".photo").nth(at).focus()
    page.keyboard.press("o")
    expect(page.locator(".view-photo img")).to_be_visible()


def wide(page: Page) -> float:
    return edges_of(page, ".view-photo")["width"]


def test_wheel_and_keys_zoom_and_what_is_under_the_pointer_stays(open_page: OpenPage) -> None:
    page = open_page()
    view(page)
    whole = edges_of(page, ".view-photo")
    at = (whole["x"] + 0.4 * whole["width"], whole["y"] + 0.4 * whole["height"])
    page.mouse.move(*at)
    page.mouse.wheel(0, -400)
    until(page, f"() => document.querySelector('.view-photo').clientWidth > {1.5 * whole['width']}")
    zoomed = edges_of(page, ".view-photo")
    assert abs((at[0] - zoomed["x"]) / zoomed["width"] - 0.4) < 0.02
    assert abs((at[1] - zoomed["y"]) / zoomed["height"] - 0.4) < 0.02
    page.keyboard.press("0")
    assert abs(wide(page) - whole["width"]) < 2
    page.keyboard.press("+")
    assert abs(wide(page) / whole["width"] - 1.5) < 0.02
    expect(page.locator(".zoom-bar output")).to_have_text(re.compile("^1[.]5"))
    page.keyboard.press("-")
    page.keyboard.press("-")  # never smaller than the whole
    assert abs(wide(page) - whole["width"]) < 2


def test_an_enlarged_picture_is_moved_and_parts_are_marked_there(open_page: OpenPage) -> None:
    page = open_page()
    view(page)
    for _ in range(4):
        page.keyboard.press("+")
    before = edges_of(page, ".view-photo")
    drag(page, ".view-stage", (0.6, 0.6, 0.5, 0.5))
    after = edges_of(page, ".view-photo")
    assert after["x"] < before["x"] - 20
    assert after["y"] < before["y"] - 20
    expect(page.locator(".box")).to_have_count(0)
    expect(page.locator(".mark")).to_have_count(0)  # moving is no click either
    page.keyboard.press("Shift+ArrowRight")
    assert edges_of(page, ".view-photo")["x"] < after["x"] - 20
    page.get_by_role("button", name="Drag moves").click()
    drag(page, ".view-stage", (0.4, 0.4, 0.6, 0.6))
    expect(page.locator(".viewer .box.draft")).to_have_count(1)
    drawn = edges_of(page, ".viewer .box")
    stage = edges_of(page, ".view-stage")
    assert abs(drawn["width"] - 0.2 * stage["width"]) < 8
    page.keyboard.press("r")
    expect(page.locator(".viewer .box.relevant")).to_have_count(1)
    (mark,) = session_of(page)["judgements"]
    assert mark["box"][2] - mark["box"][0] < 0.15  # a small part of the picture


def test_two_fingers_zoom_and_draw_nothing(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 375, "height": 720}, has_touch=True, is_mobile=True)
    search(page, "red")
    page.locator(".tile").first.get_by_role("button", name="Larger view").tap()
    whole = wide(page)
    edges = edges_of(page, ".view-photo")
    x, y = edges["x"] + edges["width"] / 2, edges["y"] + edges["height"] / 2
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, apart: float) -> None:
        points = [] if kind == "touchEnd" else [
            {"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1},
        ]  # fmt: skip
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 30)
    for step in range(1, 6):
        fingers("touchMove", 30 + 12 * step)
    fingers("touchEnd", 0)
    assert wide(page) > 2 * whole
    expect(page.locator(".box, .rubber")).to_have_count(0)
    expect(page.locator(".viewer .yes[aria-pressed=true]")).to_have_count(0)


def test_words_of_a_box_are_written_in_the_view(open_page: OpenPage) -> None:
    page = open_page()
    view(page)
    drag(page, ".view-photo", (0.2, 0.2, 0.7, 0.7))
    panel = page.locator(".view-marks")
    panel.get_by_role("button", name="Relevant", exact=True).click()
    expect(panel.locator(".chip")).to_have_text(CAPTION)
    page.locator(".viewer .box").focus()
    page.keyboard.press("e")
    expect(page.locator(".viewer")).to_be_visible()
    field = panel.get_by_label("Caption of this box")
    expect(field).to_be_focused()
    field.fill("a red corner")
    field.press("Enter")
    expect(panel.locator(".chip")).to_have_text("a red corner")
    expect(panel.locator(".chip")).to_be_focused()
    (mark,) = session_of(page)["judgements"]
    assert (mark["caption"], mark["caption_by"]) == ("a red corner", "person")
    panel.get_by_role("button", name="Delete this box").click()
    expect(page.locator(".viewer .box")).to_have_count(0)
    assert session_of(page)["judgements"] == []


def test_the_view_tells_what_is_known_of_the_picture(open_page: OpenPage, site: Site) -> None:
    page = open_page()
    view(page)
    facts = page.locator(".view-facts")
    expect(facts).to_contain_text("attic")  # from the list that the library was made with
    facts.get_by_role("button", name="Show in folder").click()  # it stays where it is from now on
    expect(page.locator(".toast")).to_contain_text(f"is in {site.pictures}")
    assert site.folders == [["xdg-open", str(site.pictures)]]
    expect(facts).to_contain_text(re.compile(r"\d+ . \d+ px, [\d.]+ k?B PNG"))
    made = page.evaluate(
        """async () => {
          const { dateOf, placeOf, factsOf } = await import("/static/js/facts.js");
          const metadata = {
            taken_at: "2019-07-14T12:30:05+02:00", latitude: -33.8568, longitude: 151.2153,
            camera_make: "Canon", camera: "Canon EOS 5D", lens: "50 mm", rating: 4,
            keywords: ["a", "b"], shelf_no: 7,
          };
          const hit = { path: "a.jpg", width_px: 4000, height_px: 3000 };
          const known = { metadata, size_bytes: 2500000, format: "JPEG" };
          const facts = Object.fromEntries(factsOf(hit, known));
          return [facts, placeOf(0.5, -0.25), dateOf("2019"), dateOf("nonsense")];
        }"""
    )
    facts_of, place, year, nonsense = made
    assert "2019" in facts_of["Taken"]
    assert facts_of["Taken"].endswith("(UTC+02:00)")
    assert facts_of["Place"] == "33.8568° S, 151.2153° E"
    assert facts_of["Camera"] == "Canon EOS 5D"
    assert (facts_of["Rating"], facts_of["Keywords"], facts_of["shelf no"]) == (
        "★★★★☆",
        "a, b",
        "7",
    )
    assert facts_of["Size"].startswith("4,000 ")
    assert facts_of["Size"].endswith(" 3,000 px, 2.5 MB JPEG")
    assert (place, year, nonsense) == ("0.5000° N, 0.2500° W", "2019", "nonsense")


def test_the_pictures_beside_are_there_before_they_are_asked_for(open_page: OpenPage) -> None:
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "size=1280" in sent.url else None)
    view(page, at=1)
    until(page, "() => document.querySelector('.view-photo img').complete")
    loaded = "performance.getEntriesByType('resource')"
    until(page, f"() => {loaded}.filter((entry) => entry.name.includes('size=1280')).length >= 3")
    for image_id in shown(page)[:3]:
        assert any(f"/images/{image_id}/" in url for url in asked)


def test_who_is_on_a_button_stays_there_when_facts_arrive(open_page: OpenPage) -> None:
    page = open_page()
    search(page, "red")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    take(page, re.compile(r"/images/\d+$"), hold)
    page.locator(".photo").first.focus()
    with page.expect_request(re.compile(r"/images/\d+$")):
        page.keyboard.press("o")
    facts = page.locator(".view-facts")
    expect(facts).not_to_contain_text("attic")
    shown = facts.get_by_role("button", name="Show in folder")
    shown.focus()
    held[0].continue_()
    expect(facts).to_contain_text("attic")
    expect(shown).to_be_focused()
    assert facts.get_by_text("Original").count() == 1


def test_the_heat_map_reads_and_stays_on(open_page: OpenPage) -> None:
    page = open_page()
    view(page)
    button = page.locator(".heat-button")
    page.keyboard.press("t")
    heat = page.locator(".view-photo canvas.heat")
    expect(heat).to_be_visible()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(button).to_have_attribute("aria-busy", "false")
    legend = page.locator(".heat-legend")
    expect(legend).to_contain_text("fits least")
    expect(legend).to_contain_text("fits most")
    page.get_by_label("How strong the heat map is").fill("30")
    assert float(heat.evaluate("canvas => getComputedStyle(canvas).opacity")) == 0.3
    colours = page.evaluate("""async () => (await import("/static/js/heat.js")).RAMP""")
    light = [0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in colours]
    assert light == sorted(light)  # it reads without colours, too
    assert light[-1] - light[0] > 200
    page.keyboard.press("t")  # a letter is no business of the slider's
    expect(heat).to_have_count(0)
    page.keyboard.press("t")
    expect(heat).to_be_visible()
    page.keyboard.press("ArrowRight")  # stays on for the next picture
    expect(page.locator(".view-head .number")).to_have_text(re.compile("^2 /"))
    expect(heat).to_be_visible()
    page.keyboard.press("t")
    expect(heat).to_have_count(0)
    expect(legend).to_have_count(0)


def test_the_heat_map_says_that_it_is_being_made(open_page: OpenPage) -> None:
    page = open_page()
    view(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    take(page, "**/heatmap?**", hold)
    button = page.locator(".heat-button")
    with page.expect_request("**/heatmap?**"):
        page.keyboard.press("t")
    expect(button).to_have_attribute("aria-busy", "true")
    expect(button).to_have_text("Working it out …")
    held[0].continue_()
    expect(page.locator(".view-photo canvas.heat")).to_be_visible()
    expect(button).to_have_text("Heat map")
