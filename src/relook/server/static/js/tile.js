/** One picture of the grid: photograph, winning tile, tools, badge, boxes. */

import { thumbnail } from "./api.js";
import { BoxLayer } from "./boxes.js";
import { fileName, h, icon, needs, place } from "./dom.js";
import { spokenMarks } from "./marks.js";
import { clock, sceneName } from "./play.js";
import { markOf, state } from "./state.js";

/** @typedef {import("./state.js").Hit} Hit */
/** @typedef {import("./layout.js").Place} Place */

const touching = matchMedia("(hover: none)");
const PROMPT_MS = 400; // a picture that begins to be there sooner simply appears

const tool = (name, picture, label, props = {}) =>
  h(
    "button",
    {
      type: "button",
      tabindex: "-1",
      class: name,
      "aria-label": label,
      title: label,
      data: { tool: name },
      ...props,
    },
    icon(picture),
  );

/** @type {HTMLElement|undefined} */
let made;

/** The tools of every tile, built once: thirty copies are much cheaper than thirty times six buttons. */
function toolbar() {
  made ??= h(
    "div",
    { class: "tools" },
    tool("yes", "tick", "Relevant (r)"),
    tool("no", "cross", "Irrelevant (i)"),
    tool("why", "why", "Why is this here? (w)"),
    tool("like", "like", "More like this (m)"),
    needs("mark", tool("ask", "ask", "Ask about this picture (a)")),
    tool("open", "open", "Larger view (o)"),
  );
  return /** @type {HTMLElement} */ (made);
}

/** What a picture is called. @param {Hit} hit */
export const nameOf = (hit) =>
  hit.time_s == null
    ? hit.title || hit.caption || fileName(hit.path) || `Picture ${hit.image_id}`
    : hit.title
      ? `${hit.title} at ${clock(hit.time_s)}`
      : sceneName(hit);

/** When a video shows the picture; pressed, it plays from there. @param {number} time_s */
function momentOf(time_s) {
  const made = tool("moment", "play", `Play from ${clock(time_s)} (p)`, { data: { tool: "play" } });
  made.append(clock(time_s));
  return made;
}

const MOST_WORDS = 40; // outlined on a picture; a page of a book may hold a word more often

/** The words of the query that stand in a picture, outlined. @param {Hit} hit @returns {HTMLElement|null} */
export function outlines(hit) {
  if (!hit.written?.length) return null;
  const made = h("div", { class: "written", "aria-hidden": "true" });
  for (const word of hit.written.slice(0, MOST_WORDS)) {
    const outline = h("span", { title: word.text });
    place(outline, word.box);
    made.append(outline);
  }
  return made;
}

/** What of the query stands in a picture, spoken. @param {Hit} hit */
export const spokenWords = (hit) =>
  hit.written?.length ? `says ${hit.written.map((word) => word.text).join(" ")}` : "";

export class Tile {
  /** @param {Hit} hit */
  constructor(hit) {
    this.hit = hit;
    this.src = "";
    this.image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    /** Resolves when the picture is there, or cannot be. @type {Promise<void>} */
    this.arrived = new Promise((done) => {
      this.image.addEventListener("load", () => (this.image.classList.add("ready"), done()));
      this.image.addEventListener("error", () => (this.#broken(), done()));
    });
    this.photo = h("button", { type: "button", class: "photo", tabindex: "-1" }, this.image);
    this.winner = h("div", { class: "winner" });
    this.tools = /** @type {HTMLElement} */ (toolbar().cloneNode(true));
    this.element = h("li", { class: "tile", data: { id: String(hit.image_id) } }, this.photo, this.winner);
    /** @type {HTMLElement|null} */
    this.outlined = null;
    this.layer = new BoxLayer(this.element, hit.image_id);
    if (hit.time_s != null) this.element.append(momentOf(hit.time_s));
    this.element.append(this.tools);
    this.more = h("button", { type: "button", class: "stands-for", tabindex: "-1", data: { tool: "copies" } });
    this.star = needs("mark", tool("star", "star", "Favourite (v)", { "aria-pressed": "false" }));
    this.element.append(this.more, this.star);
    this.update(hit);
  }

  /** Takes another score and winning tile of the same picture. @param {Hit} hit */
  update(hit) {
    this.hit = hit;
    const n = hit.folded?.length ?? 0;
    this.more.hidden = !n;
    this.more.textContent = `+${n}`;
    this.more.title = `Stands for ${n} more that look the same: show them`;
    this.more.setAttribute("aria-label", this.more.title);
    this.winner.hidden = isWhole(hit.tile);
    if (!this.winner.hidden) place(this.winner, hit.tile);
    this.outlined?.remove();
    this.outlined = outlines(hit);
    if (this.outlined) this.winner.after(this.outlined);
  }

  /** @param {Place} at @param {boolean} [inSight] whether it is asked for before the page is laid out, and before others */
  put(at, inSight = false) {
    const face = `${at.x} ${at.y} ${at.w} ${at.h} ${this.hit.thumbnail} ${devicePixelRatio}`;
    if (face === this.spot) return;
    this.spot = face;
    const { style } = this.element;
    style.transform = `translate(${at.x}px, ${at.y}px)`;
    style.width = `${at.w}px`;
    style.height = `${at.h}px`;
    // In px, for a picture whose width is a share of another's lays the page out again when it comes.
    Object.assign(this.image.style, { width: style.width, height: style.height });
    this.element.classList.toggle("slim", at.w < (touching.matches ? 96 : 188));
    this.element.classList.toggle("mini", at.w < 116);
    this.element.classList.toggle("tiny", at.w < 150);
    this.element.classList.toggle("low", at.h < 100);
    this.element.classList.toggle("narrow", at.w < 222);
    style.containIntrinsicSize = `${at.w}px ${at.h}px`;
    const src = thumbnail(state.library.library_id, this.hit, Math.max(at.w, at.h));
    if (src === this.src) return;
    this.src = src;
    // A browser has few connections, and learns what is in sight when it has laid the page out: too late for this.
    if (inSight) Object.assign(this.image, { loading: "eager", fetchPriority: "high" });
    this.image.src = src;
    setTimeout(() => this.#late(), PROMPT_MS);
  }

  /** Twenty pictures that fade in at once cost a browser more than drawing them: only late ones do. */
  #late() {
    if (!this.image.complete && !this.image.naturalWidth) this.image.classList.add("late");
  }

  /** Badge, pressed buttons, spoken name. @param {number} at position @param {number} total @param {{text: string, spoken: string, fresh: boolean}|null} moved */
  mark(at, total, moved) {
    const whole = markOf(this.hit.image_id);
    this.layer.render();
    const spoken = spokenMarks(this.hit.image_id);
    const says = spokenWords(this.hit);
    const starred = this.isStarred();
    const face = JSON.stringify([at, total, moved, whole?.relevant, spoken, says, starred, state.scores && this.hit.score]);
    if (face === this.face) return;
    this.face = face;
    const kind = whole ? (whole.relevant ? "relevant" : "irrelevant") : "";
    this.element.classList.toggle("marked-relevant", kind === "relevant");
    this.element.classList.toggle("marked-irrelevant", kind === "irrelevant");
    this.element.classList.toggle("judged", Boolean(kind));
    this.element.classList.toggle("starred", starred);
    this.star.setAttribute("aria-pressed", String(starred));
    this.element
      .querySelectorAll(":scope > .badge, :scope > .moved, :scope > .score")
      .forEach((label) => label.remove());
    if (kind)
      this.element.append(h("span", { class: `badge ${kind}` }, icon(kind === "relevant" ? "tick" : "cross")));
    if (moved)
      this.element.append(h("span", { class: moved.fresh ? "moved fresh" : "moved", text: moved.text }));
    if (state.scores) this.element.append(h("span", { class: "score", text: this.hit.score.toFixed(3) }));
    const [yes, no] = this.tools.children;
    yes.setAttribute("aria-pressed", String(kind === "relevant"));
    no.setAttribute("aria-pressed", String(kind === "irrelevant"));
    const away = this.hit.away ? "away" : "";
    if (away) this.photo.title = this.hit.away;
    const parts = [`${at + 1} of ${total}`, nameOf(this.hit), says, away, starred && "favourite", spoken, moved?.spoken].filter(Boolean);
    this.photo.setAttribute("aria-label", parts.join(", "));
  }

  isStarred() {
    return state.favourites.has(this.hit.image_id);
  }

  /** Whether Tab stops here, and at its tools. @param {boolean} yes */
  reachable(yes) {
    this.photo.tabIndex = yes ? 0 : -1;
    for (const tool of [...this.tools.querySelectorAll("button"), this.more, this.star]) tool.tabIndex = yes ? 0 : -1;
  }

  dispose() {
    this.layer.dispose();
    this.element.remove();
  }

  #broken() {
    this.image.classList.add("broken");
    if (!this.photo.querySelector(".broken-note")) {
      this.photo.append(
        h("span", {
          class: "broken-note",
          text: `${fileName(this.hit.path)} cannot be shown. Was the file moved? Index the library again.`,
        }),
      );
    }
  }
}

/** @param {number[]|undefined} tile */
export const isWhole = (tile) =>
  !tile || (tile[0] < 0.01 && tile[1] < 0.01 && tile[2] > 0.99 && tile[3] > 0.99);
