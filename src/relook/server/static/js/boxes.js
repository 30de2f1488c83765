/** Boxes on a picture: drawing, selecting, moving, resizing. One `BoxLayer` a shown picture. */

import { h, icon, place } from "./dom.js";
import * as marks from "./marks.js";
import { boxesOf, selectedBox, state } from "./state.js";

/** @typedef {import("./state.js").Box} Box */

const DIRECTIONS = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const SLACK_PX = 6; // a press that moves less is a click
const SMALLEST_PX = 10;
const HOLD_MS = 320; // how long a finger rests before it draws instead of scrolling

const clamp = (value, low = 0, high = 1) => Math.min(high, Math.max(low, value));

/** Whether a gesture on a box has just ended; its click is not a mark. */
let gestured = false;
export const wasGesture = () => gestured;
/** To be told when a gesture ends: the click that follows is no mark. */
export function endGesture() {
  gestured = true;
  setTimeout(() => (gestured = false), 0);
}

/** Moves or resizes by an edge name. @param {Box} box @param {string} edges @param {number} dx @param {number} dy @returns {Box} */
export function dragged([x0, y0, x1, y1], edges, dx, dy, least_x = 0.01, least_y = 0.01) {
  if (edges === "move") {
    const mx = clamp(dx, -x0, 1 - x1);
    const my = clamp(dy, -y0, 1 - y1);
    return [x0 + mx, y0 + my, x1 + mx, y1 + my];
  }
  return [
    edges.includes("w") ? clamp(x0 + dx, 0, x1 - least_x) : x0,
    edges.includes("n") ? clamp(y0 + dy, 0, y1 - least_y) : y0,
    edges.includes("e") ? clamp(x1 + dx, x0 + least_x, 1) : x1,
    edges.includes("s") ? clamp(y1 + dy, y0 + least_y, 1) : y1,
  ];
}

/** Every open layer, so that keys can find the picture's size on screen. @type {Set<BoxLayer>} */
const layers = new Set();

/** Size in px of the largest shown picture. @param {number} imageId @returns {DOMRect|null} */
export function shownSize(imageId) {
  const sizes = [...layers]
    .filter((layer) => layer.imageId === imageId && layer.host.isConnected)
    .map((layer) => layer.host.getBoundingClientRect());
  return sizes.sort((a, b) => b.width - a.width)[0] ?? null;
}

/** Puts the keyboard on a box. @param {string|null} key @param {Element} [within] */
export function focusBox(key, within = document.body) {
  const shown = [...within.querySelectorAll(`.box[data-key="${key}"]`)].at(-1);
  /** @type {HTMLElement} */ (shown)?.focus({ preventScroll: true });
}

/** Where the bar of a box has room. @param {Box} box */
const sideOf = (box) => `${box[3] > 0.72 ? " above" : ""}${box[0] > 0.55 ? " right" : ""}`;

export class BoxLayer {
  /**
   * @param {HTMLElement} host exactly as large as the picture
   * @param {number} imageId
   * @param {{direct?: boolean}} [options] `direct`: a finger draws at once (the larger view)
   */
  constructor(host, imageId, { direct = false } = {}) {
    this.host = host;
    this.imageId = imageId;
    this.direct = direct;
    this.shape = "[]";
    this.element = h("div", { class: "boxes" });
    host.append(this.element);
    layers.add(this);
    this.render();
  }

  dispose() {
    layers.delete(this);
    this.element.remove();
  }

  /** Draws what is known; called whenever marks or the selection change. */
  render() {
    const drafts = state.drafts.filter((draft) => draft.image_id === this.imageId);
    const all = [...boxesOf(this.imageId), ...drafts];
    const shape = JSON.stringify(
      all.map((mark) => [mark.key, mark.relevant, mark.caption, mark.key === state.selected && mark.box && sideOf(mark.box)]),
    );
    if (shape === this.shape) {
      all.forEach((mark, at) => mark.box && place(this.element.children[at], mark.box)); // a gesture goes on in the same elements
      return;
    }
    this.shape = shape;
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    const held = this.element.contains(focused) ? focused.closest(".box")?.getAttribute("data-key") : null;
    this.element.replaceChildren(...all.map((mark) => this.#box(mark)));
    const selected = all.some((mark) => mark.key === state.selected);
    this.host.classList.toggle("boxing", selected);
    this.host.classList.toggle("open", selected);
    if (held) focusBox(all.some((mark) => mark.key === held) ? held : null, this.element);
    else if (focused === document.body && selected) focusBox(state.selected, this.element);
  }

  #box(mark) {
    const kind = "relevant" in mark ? (mark.relevant ? "relevant" : "irrelevant") : "draft";
    const selected = mark.key === state.selected;
    const name = `${kind === "draft" ? "Box without a sign" : `${kind} box`}${mark.caption ? `: ${mark.caption}` : ""}`;
    const made = h(
      "div",
      {
        class: `box ${kind}${selected ? " selected" : ""}`,
        role: "group",
        tabindex: "-1",
        "aria-label": name,
        data: { key: mark.key },
      },
      kind === "draft" ? null : h("span", { class: "tag" }, icon(kind === "relevant" ? "tick" : "cross")),
    );
    place(made, mark.box);
    if (selected) {
      made.append(
        ...DIRECTIONS.map((edges) => h("span", { class: `handle ${edges}`, data: { edges } })),
        this.#bar(mark),
      );
    }
    return made;
  }

  /** Sign, search, delete: beside the box, never in a window of its own. */
  #bar(mark) {
    const press = (picture, label, run, { text = "", ...props } = {}) => {
      const click = (event) => {
        event.stopPropagation();
        run();
      };
      const words = text ? h("span", { text }) : null;
      return h("button", { type: "button", "aria-label": label, title: label, ...props, on: { click } }, icon(picture), words);
    };
    const sign = (relevant) => ({
      class: relevant ? "yes" : "no",
      text: relevant ? "Relevant" : "Irrelevant",
      "aria-pressed": String(mark.relevant === relevant),
    });
    const like = () => {
      const detail = [{ image_id: mark.image_id, box: mark.box, weight: 1 }];
      window.dispatchEvent(new CustomEvent("relook:like", { detail }));
    };
    return h(
      "div",
      { class: `boxbar${sideOf(mark.box)}` },
      state.session && press("tick", "Relevant (r)", () => marks.signBox(mark, true), sign(true)),
      state.session && press("cross", "Irrelevant (i)", () => marks.signBox(mark, false), sign(false)),
      press("like", "Search for this part", like),
      press("bin", "Delete (d)", () => marks.removeBox(mark)),
    );
  }

  /** Begins a gesture. @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    const target = /** @type {Element} */ (event.target);
    if (target.closest(".boxbar, .tools, .star")) return;
    const box = /** @type {HTMLElement|null} */ (target.closest(".box"));
    const edges = /** @type {HTMLElement|null} */ (target.closest(".handle"))?.dataset.edges;
    if (box && box.dataset.key === state.selected) this.#drag(event, edges ?? "move");
    else this.#draw(event, box?.dataset.key ?? null);
  }

  /** Follows one pointer until it is let go. */
  #follow(event, moved, done) {
    const { pointerId } = event;
    const stop = new AbortController();
    const mine = (run) => (other) => other.pointerId === pointerId && run(other);
    const end = (kept) =>
      mine((last) => {
        stop.abort();
        done(kept, last);
      });
    window.addEventListener("pointermove", mine(moved), { signal: stop.signal });
    window.addEventListener("pointerup", end(true), { signal: stop.signal });
    window.addEventListener("pointercancel", end(false), { signal: stop.signal });
    return stop;
  }

  #drag(event, edges) {
    const mark = selectedBox();
    if (!mark?.box) return;
    event.preventDefault();
    const size = this.host.getBoundingClientRect();
    const from = mark.box;
    focusBox(mark.key, this.element);
    this.#follow(
      event,
      (now) => {
        const dx = (now.clientX - event.clientX) / size.width;
        const dy = (now.clientY - event.clientY) / size.height;
        const next = dragged(from, edges, dx, dy, SMALLEST_PX / size.width, SMALLEST_PX / size.height);
        marks.moveBox(mark.key, next);
      },
      () => {
        endGesture();
        marks.flush();
      },
    );
  }

  #draw(event, onBox) {
    if (event.pointerType === "mouse") event.preventDefault(); // no text selection, no native picture drag
    const size = this.host.getBoundingClientRect();
    const finger = event.pointerType === "touch" && !this.direct;
    const at = (now) => [
      clamp((now.clientX - size.left) / size.width),
      clamp((now.clientY - size.top) / size.height),
    ];
    const [ax, ay] = at(event);
    let ready = !finger;
    let rubber = null;
    const corners = (now) => {
      const [bx, by] = at(now);
      return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
    };
    const begin = () => {
      rubber = h("div", { class: "rubber" });
      this.element.append(rubber);
      this.host.classList.add("drawing");
      document.body.classList.add("drawing-box");
      try {
        this.host.setPointerCapture(event.pointerId);
      } catch {
        // the pointer has gone; the gesture ends by itself
      }
    };
    const hold = finger ? setTimeout(() => ((ready = true), begin(), navigator.vibrate?.(10)), HOLD_MS) : 0;
    const stop = this.#follow(
      event,
      (now) => {
        const far = Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) > SLACK_PX;
        if (far && !ready) {
          clearTimeout(hold);
          stop.abort();
        } else if (far && ready && !rubber) begin();
        if (rubber) place(rubber, corners(now));
      },
      (kept, last) => {
        clearTimeout(hold);
        this.#drawn(rubber, kept && corners(last), size, event.shiftKey, onBox);
      },
    );
  }

  #drawn(rubber, box, size, shift, onBox) {
    this.host.classList.remove("drawing");
    document.body.classList.remove("drawing-box");
    rubber?.remove();
    if (!rubber) {
      if (onBox && box) {
        endGesture();
        marks.select(onBox);
        focusBox(onBox, this.element);
      }
      return;
    }
    endGesture();
    const [x0, y0, x1, y1] = box || [0, 0, 0, 0];
    if ((x1 - x0) * size.width < SMALLEST_PX || (y1 - y0) * size.height < SMALLEST_PX) return;
    const key = marks.draft(this.imageId, box);
    if (shift) marks.signBox(selectedBox(), false);
    focusBox(key, this.element);
  }
}
