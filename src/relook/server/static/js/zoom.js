/** Zoom and pan of the larger view: the wheel, two fingers, keys, and what dragging does. */

import { endGesture } from "./boxes.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { announce } from "./notices.js";

const MOST = 16;
const STEP = 1.5;
const PAN_PX = 80;
const SLACK_PX = 6; // a press that moves less is a click
const LINE_PX = 16; // of a wheel that counts lines

const clamp = (value, most) => Math.min(most, Math.max(-most, value));

export class Zoom {
  /**
   * @param {HTMLElement} stage what the picture lies on
   * @param {(scale: number) => void} changed told the scale; 1 shows the whole picture
   */
  constructor(stage, changed) {
    this.stage = stage;
    this.changed = changed;
    this.photo = h("div");
    this.size = { width: 1, height: 1 };
    this.scale = 1;
    /** Where the picture's middle is, in px from the stage's. */
    this.x = 0;
    this.y = 0;
    /** Fingers on the stage. @type {Map<number, PointerEvent>} */
    this.fingers = new Map();
    this.isMoving = true;
    this.level = h("output", { class: "number", text: "1×" });
    this.hand = h(
      "button",
      { type: "button", class: "quiet small-button", on: { click: () => this.#drags(!this.isMoving) } },
      icon("hand"),
      h("span", { text: "Drag moves" }),
    );
    this.bar = h(
      "div",
      { class: "zoom-bar", role: "group", "aria-label": "Zoom" },
      iconButton("less", "Smaller (-)", () => this.by(1 / STEP)),
      this.level,
      iconButton("more", "Larger (+)", () => this.by(STEP)),
      iconButton("fit", "The whole picture (0)", () => this.reset()),
      this.hand,
    );
    this.#listen();
  }

  #listen() {
    const wheel = (event) => this.#wheel(event);
    this.stage.addEventListener("wheel", wheel, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.#press(event), { capture: true });
    window.addEventListener("pointermove", (event) => this.#pinch(event));
    for (const kind of ["pointerup", "pointercancel"])
      window.addEventListener(kind, (event) => this.fingers.delete(/** @type {PointerEvent} */ (event).pointerId));
  }

  /** Another picture, or another size of the stage. @param {HTMLElement} photo @param {number} width @param {number} height px of the whole */
  lay(photo, width, height) {
    if (photo !== this.photo) this.#whole();
    this.photo = photo;
    this.size = { width, height };
    this.#apply();
  }

  #whole() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
  }

  reset() {
    this.#whole();
    this.#apply();
    this.#say();
  }

  /** Around the middle of what is in sight. @param {number} factor */
  by(factor) {
    const { x, y, width, height } = this.stage.getBoundingClientRect();
    this.#around(factor, x + width / 2, y + height / 2);
    this.#say();
  }

  /** @param {-1|0|1} dx @param {-1|0|1} dy */
  pan(dx, dy) {
    this.#shift(-dx * PAN_PX, -dy * PAN_PX);
  }

  #say() {
    announce(this.scale === 1 ? "The whole picture" : `${this.level.textContent} as large`);
  }

  #drags(moves) {
    this.isMoving = moves;
    this.#apply();
  }

  #shift(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#apply();
  }

  /** What lies under a point stays under it. */
  #around(factor, clientX, clientY) {
    const { x, y, width, height } = this.stage.getBoundingClientRect();
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    const grown = scale / this.scale;
    const [px, py] = [clientX - x - width / 2, clientY - y - height / 2];
    this.x = px - (px - this.x) * grown;
    this.y = py - (py - this.y) * grown;
    this.scale = scale;
    this.#apply();
  }

  #apply() {
    const { clientWidth, clientHeight } = this.stage;
    const [w, ht] = [this.size.width, this.size.height].map((px) => Math.round(px * this.scale));
    this.x = clamp(this.x, Math.max(0, (w - clientWidth) / 2));
    this.y = clamp(this.y, Math.max(0, (ht - clientHeight) / 2));
    Object.assign(this.photo.style, {
      width: `${w}px`,
      height: `${ht}px`,
      left: `${Math.round((clientWidth - w) / 2 + this.x)}px`,
      top: `${Math.round((clientHeight - ht) / 2 + this.y)}px`,
    });
    const zoomed = this.scale > 1;
    this.level.textContent = `${this.scale.toFixed(1).replace(".0", "")}×`;
    this.hand.hidden = !zoomed;
    fill(this.hand, icon(this.isMoving ? "hand" : "box"), h("span", { text: this.isMoving ? "Drag moves" : "Drag marks" }));
    this.hand.title = this.isMoving ? "Dragging moves the picture: press to mark parts again" : "Dragging marks a part: press to move the picture";
    this.photo.classList.toggle("movable", zoomed && this.isMoving);
    this.changed(this.scale);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!this.photo.isConnected) return;
    event.preventDefault();
    const px = event.deltaY * (event.deltaMode ? LINE_PX : 1);
    this.#around(Math.exp(-px * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    const target = /** @type {Element} */ (event.target);
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, event);
    if (this.fingers.size === 2) {
      const [first] = this.fingers.keys(); // what one finger had begun is no box
      window.dispatchEvent(new PointerEvent("pointercancel", { pointerId: first, pointerType: "pen" }));
      this.fingers.set(first, /** @type {PointerEvent} */ (this.begun));
      endGesture();
    }
    this.begun = event;
    if (this.fingers.size > 1) return event.stopPropagation();
    const isFree = !target.closest("button, .box, .player");
    const moves = event.button === 1 || (event.button === 0 && isFree && this.scale > 1 && this.isMoving);
    if (!moves || !target.closest(".view-photo")) return;
    event.stopPropagation();
    event.preventDefault();
    this.#move(event);
  }

  /** Follows one pointer until it is let go. @param {PointerEvent} event */
  #move(event) {
    const stop = new AbortController();
    const { pointerId } = event;
    let last = event;
    let isFar = false;
    const move = (now) => {
      if (now.pointerId !== pointerId || this.fingers.size > 1) return;
      isFar ||= Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) > SLACK_PX;
      if (isFar) this.#shift(now.clientX - last.clientX, now.clientY - last.clientY);
      if (isFar) last = now;
    };
    const end = (now) => {
      if (now.pointerId !== pointerId) return;
      stop.abort();
      if (isFar) endGesture();
    };
    window.addEventListener("pointermove", move, { signal: stop.signal });
    window.addEventListener("pointerup", end, { signal: stop.signal });
    window.addEventListener("pointercancel", end, { signal: stop.signal });
  }

  /** @param {PointerEvent} event */
  #pinch(event) {
    if (!this.fingers.has(event.pointerId)) return;
    if (this.fingers.size !== 2) return void this.fingers.set(event.pointerId, event);
    const spread = () => {
      const [a, b] = [...this.fingers.values()];
      const middle = [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2];
      return { middle, apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)) };
    };
    const before = spread();
    this.fingers.set(event.pointerId, event);
    const now = spread();
    this.#shift(now.middle[0] - before.middle[0], now.middle[1] - before.middle[1]);
    this.#around(now.apart / before.apart, now.middle[0], now.middle[1]);
    endGesture();
  }
}
