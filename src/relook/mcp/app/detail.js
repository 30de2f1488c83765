/**
 * One picture, larger, over the page where the small one is: the window may be far taller than what is
 * seen of it, so the middle of it is nowhere.
 */

import { BoxLayer } from "../../server/static/js/boxes.js";
import { button, fill, h, iconButton } from "../../server/static/js/dom.js";
import * as marks from "../../server/static/js/marks.js";
import { markOf, on, state } from "../../server/static/js/state.js";
import { nameOf } from "../../server/static/js/tile.js";
import { showReasons } from "../../server/static/js/why.js";
import { fetchPictures, thumbnail } from "./api.js";

const LARGE_PX = 1024; // of the picture that is asked for
const [WIDEST_PX, HIGHEST_PX] = [720, 560];
const EDGE_PX = 12;
/** @type {{element: HTMLElement, layer: BoxLayer, hit: import("../../server/static/js/state.js").Hit}|null} */
let shown = null;
let closed = () => undefined;
/** The page is at least as long as what lies over it. */
const growing = new ResizeObserver(() => {
  if (!shown) return;
  const { offsetTop, offsetHeight } = shown.element;
  document.body.style.minHeight = `${offsetTop + offsetHeight + EDGE_PX}px`;
});

export function setUpDetail() {
  on(["marks", "selection"], () => {
    shown?.layer.render();
    renderSigns();
  });
  on("hits", () => closeDetail(false));
}

export const isOpen = () => Boolean(shown);

/** @param {boolean} [back] whether the keyboard goes back to the grid */
export function closeDetail(back = true) {
  if (!shown) return;
  growing.disconnect();
  document.body.style.minHeight = "";
  shown.layer.dispose();
  shown.element.remove();
  shown = null;
  if (back) closed();
}

/**
 * @param {Element|null} tile the small picture @param {import("../../server/static/js/state.js").Hit} hit
 * @param {{why?: boolean, done: () => any}} how `done`: what is run when it is closed
 */
export function openDetail(tile, hit, { why = false, done }) {
  closeDetail(false);
  closed = done;
  const image = h("img", { src: thumbnail(state.library.library_id, hit), alt: nameOf(hit), draggable: "false" });
  const photo = h("div", { class: "detail-photo" }, image);
  const ratio = (hit.width_px || 4) / (hit.height_px || 3);
  photo.style.aspectRatio = String(ratio);
  photo.style.maxWidth = `${Math.min(WIDEST_PX, Math.round(HIGHEST_PX * ratio))}px`;
  const reasons = h("div", { class: "why" });
  const element = h(
    "section",
    { class: "detail", "aria-label": nameOf(hit), tabindex: "-1" },
    h(
      "div",
      { class: "detail-head" },
      h("h2", { text: nameOf(hit) }),
      iconButton("cross", "Close the larger view (Esc)", () => closeDetail()),
    ),
    photo,
    h("div", { class: "view-signs detail-signs" }),
    reasons,
  );
  const top_px = (tile?.getBoundingClientRect().top ?? 0) + scrollY;
  element.style.top = `${Math.max(EDGE_PX, Math.round(top_px))}px`;
  document.body.append(element);
  growing.observe(element);
  shown = { element, hit, layer: new BoxLayer(photo, hit.image_id, { direct: true }) };
  photo.addEventListener("pointerdown", (event) => state.session && shown?.layer.press(event));
  renderSigns();
  fillReasons(reasons, hit, why);
  fetchPictures(state.library.library_id, [hit.image_id], LARGE_PX).then(
    (found) => found.get(hit.image_id) && (image.src = found.get(hit.image_id)),
    () => undefined, // the small one stays
  );
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}

function fillReasons(host, hit, why) {
  if (!state.session) return;
  if (why) showReasons(host, hit);
  else fill(host, button("Why is it here?", () => showReasons(host, hit), "button small-button", "why"));
}

function renderSigns() {
  if (!shown || !state.session) return;
  const { image_id: id } = shown.hit;
  const whole = markOf(id);
  const sign = (relevant) => {
    const made = button(relevant ? "Relevant" : "Irrelevant", () => marks.toggle(id, relevant), `button ${relevant ? "yes" : "no"}`, relevant ? "tick" : "cross");
    made.setAttribute("aria-pressed", String(whole?.relevant === relevant));
    return made;
  };
  const host = shown.element.querySelector(".detail-signs");
  const held = [...(host?.children ?? [])].indexOf(/** @type {Element} */ (document.activeElement));
  if (host) fill(host, sign(true), sign(false));
  /** @type {HTMLElement|undefined} */ (host?.children[held])?.focus();
}
