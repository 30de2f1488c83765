/** The justified grid: keeps one element a picture, shows them as the page is scrolled. */

import { wasGesture } from "./boxes.js";
import { button, count, fill, h } from "./dom.js";
import { justify, neighbour, ratioOf } from "./layout.js";
import * as marks from "./marks.js";
import { capital, moveOf } from "./moves.js";
import { NOTHING_FITS, nFitting, on, pageSize, set, state } from "./state.js";
import { Tile } from "./tile.js";

const CHUNK = 60; // pictures that are added at a time
const GAP = 6;
const LINE_PX = 44; // the line where pictures stop fitting
const SCROLLED_PX = 40; // from here on somebody is looking further down

/** Whether hits below the first page may be asked for. */
function hasMore() {
  const page = state.pages.get(state.round);
  return state.session && state.round === 0 && page && !page.exhausted && page.hits.length >= pageSize();
}

export class Grid {
  /**
   * @param {HTMLElement} host
   * @param {{open: (at: number) => void, why: (at: number) => void, like: (at: number) => void,
   *   ask: (at: number) => void, play: (at: number) => void, copies: (at: number) => void, star: (at: number) => void,
   *   more: () => Promise<boolean>, again: () => void}} actions
   */
  constructor(host, actions) {
    this.host = host;
    this.actions = actions;
    this.list = h("ul", { class: "grid", "aria-label": "Pictures, best first" });
    this.line = h("p", { class: "fit-line" });
    this.end = h("div", { class: "more" });
    /** @type {Map<number, Tile>} */
    this.tiles = new Map();
    /** @type {import("./layout.js").Place[]} */
    this.places = [];
    /** @type {Set<number>} pictures with marks when they were drawn last */
    this.judged = new Set();
    this.n_shown = 0;
    this.width = 0;
    /** Whose pictures were shown last; null before any search. @type {string|null} */
    this.shownFor = null;
    this.isNear = false;
    this.nearing = new IntersectionObserver(
      (seen) => {
        this.isNear = seen.at(-1)?.isIntersecting ?? false;
        if (this.isNear) this.#approach();
      },
      { rootMargin: "1200px" },
    );
    this.seeing = new IntersectionObserver((seen) => seen.at(-1)?.isIntersecting && this.#arrive());
    this.#listen();
  }

  #listen() {
    new ResizeObserver(
      () => this.list.isConnected && this.list.clientWidth !== this.width && this.layout(true),
    ).observe(this.host);
    this.list.addEventListener(
      "pointerdown",
      (event) => state.session && this.#tileOf(event)?.layer.press(event),
    );
    this.list.addEventListener("click", (event) => this.#click(event));
    this.list.addEventListener("dblclick", (event) => event.preventDefault());
    this.list.addEventListener(
      "contextmenu",
      (event) => document.body.classList.contains("drawing-box") && event.preventDefault(),
    );
    // A finger that draws must not scroll; this cannot be a passive listener.
    this.list.addEventListener(
      "touchmove",
      (event) => document.body.classList.contains("drawing-box") && event.preventDefault(),
      { passive: false },
    );
    this.list.addEventListener("focusin", (event) => {
      const at = this.#position(event);
      if (at >= 0 && at !== state.cursor) set({ cursor: at }, "cursor");
    });
    addEventListener("scroll", () => this.isNear && this.#approach(), { passive: true });
    on("hits", () => this.show());
    on(["marks", "selection"], () => this.remarkJudged());
    on("marks", () => this.list.isConnected && this.#ending());
    on("view", () => this.remark());
    on("favourites", () => this.#restar());
    on("cursor", () => this.#reach());
  }

  /** Shows `state.hits`; within a session, pictures that stay move to their new places. */
  show() {
    const session = state.session?.session_id ?? null;
    const first = !this.list.isConnected || session !== this.shownFor;
    this.shownFor = session;
    fill(this.host, this.line, this.list, this.end);
    const wanted = new Set(state.hits.map((hit) => hit.image_id));
    for (const [id, tile] of this.tiles) {
      if (wanted.has(id)) continue;
      tile.dispose();
      this.tiles.delete(id);
    }
    this.n_shown = Math.min(state.hits.length, Math.max(CHUNK, first ? 0 : Math.min(this.n_shown, 2 * CHUNK)));
    this.layout(first);
    this.#watch();
  }

  /** More hits were added at the end. */
  extended() {
    this.#grow();
  }

  /** @param {boolean} still without motion @param {number} [known] how many were laid out just so before */
  layout(still, known = 0) {
    this.width = this.list.clientWidth;
    if (!this.width) return;
    // Asked for with the width, before anything changes, it costs nothing. A new page is shown from its top.
    const inSight = innerHeight - this.list.getBoundingClientRect().top - scrollY;
    const target =
      this.width < 560 ? Math.max(132, this.width * 0.44) : Math.min(288, Math.max(208, this.width / 4.2));
    const shown = state.hits.slice(0, this.n_shown);
    const height = this.#place(shown, target);
    this.list.classList.toggle("still", still);
    this.list.style.height = `${height}px`;
    shown.forEach((hit, at) => this.#put(hit, at, still, this.places[at].y < inSight));
    if (known) for (const hit of shown.slice(known)) this.list.append(this.#tile(hit).element);
    else this.#order(shown);
    this.remark(known);
    this.#ending();
  }

  /** Places pictures, those after the line below it. @returns {number} the height of all in px */
  #place(shown, target) {
    const n = nFitting();
    const at = n && n < shown.length ? n : shown.length;
    const above = justify(shown.slice(0, at).map(ratioOf), this.width, target, GAP);
    const below = justify(shown.slice(at).map(ratioOf), this.width, target, GAP);
    const top = above.height + LINE_PX;
    const rows = (above.places.at(-1)?.row ?? -1) + 1;
    const moved = below.places.map((spot) => ({ ...spot, y: spot.y + top, row: spot.row + rows }));
    this.places = [...above.places, ...moved];
    const nothing = n === 0 && shown.length > 0;
    this.line.hidden = !nothing && !moved.length;
    this.line.classList.toggle("between", !nothing);
    this.line.textContent = nothing ? NOTHING_FITS : "From here on, pictures may not fit.";
    this.line.style.top = nothing ? "" : `${this.list.offsetTop + above.height}px`;
    return moved.length ? top + below.height : above.height;
  }

  /** The tile of a hit that was put already. @param {import("./state.js").Hit} hit */
  #tile(hit) {
    return /** @type {Tile} */ (this.tiles.get(hit.image_id));
  }

  #put(hit, at, still, inSight) {
    const known = this.tiles.get(hit.image_id);
    const tile = known ?? new Tile(hit);
    if (known) tile.update(hit);
    else {
      this.tiles.set(hit.image_id, tile);
      if (!still) {
        tile.element.classList.add("entering");
        requestAnimationFrame(() => tile.element.classList.remove("entering"));
      }
    }
    tile.put(this.places[at], inSight);
  }

  /** The order in the document is the order on the page, for Tab and for screen readers. */
  #order(shown) {
    let at = this.list.firstElementChild;
    for (const hit of shown) {
      const { element } = this.#tile(hit);
      if (element === at) at = at.nextElementSibling;
      else this.list.insertBefore(element, at);
    }
    while (at) {
      const next = at.nextElementSibling;
      at.remove();
      at = next;
    }
  }

  /** Badges, scores and boxes. @param {number} [from] */
  remark(from = 0) {
    if (!this.list.isConnected) return;
    this.list.classList.toggle("no-moves", state.showing === "before");
    for (let at = from; at < Math.min(this.n_shown, state.hits.length); at += 1) {
      const hit = state.hits[at];
      this.tiles.get(hit.image_id)?.mark(at, state.hits.length, moveOf(hit, at));
    }
    this.#reach();
  }

  /** The same, only where marks are or were: a mark among a thousand pictures is still quick. */
  remarkJudged() {
    const now = new Set([...state.judgements, ...state.drafts].map((mark) => mark.image_id));
    state.hits.slice(0, this.n_shown).forEach((hit, at) => {
      if (!now.has(hit.image_id) && !this.judged.has(hit.image_id)) return;
      this.tiles.get(hit.image_id)?.mark(at, state.hits.length, moveOf(hit, at));
    });
    this.judged = now;
  }

  #restar() {
    state.hits.slice(0, this.n_shown).forEach((hit, at) => {
      const tile = this.tiles.get(hit.image_id);
      if (tile && tile.isStarred() !== tile.element.classList.contains("starred"))
        tile.mark(at, state.hits.length, moveOf(hit, at));
    });
  }

  #reach() {
    const tile = this.tiles.get(state.hits[state.cursor]?.image_id);
    if (tile === this.reached) return;
    this.reached?.reachable(false);
    tile?.reachable(true);
    this.reached = tile;
  }

  async #grow() {
    if (this.n_shown < state.hits.length) {
      const known = this.list.childElementCount === this.n_shown ? this.n_shown : 0;
      this.n_shown = Math.min(state.hits.length, this.n_shown + CHUNK);
      this.layout(true, known);
      this.#watch();
    } else if (await this.actions.more()) this.#grow();
    else this.#ending();
  }

  /** Near the end. Hits further down cost the server more than the page itself: they wait for a person who scrolls. */
  #approach() {
    if (this.n_shown === state.hits.length && scrollY < SCROLLED_PX) return;
    this.isNear = false;
    this.#grow();
  }

  /** At the end without scrolling: the pictures in sight come first, and a page is as long as it was asked for. */
  async #arrive() {
    const inSight = state.hits.filter((_, at) => this.places[at]?.y < innerHeight);
    await Promise.all(inSight.map((hit) => this.tiles.get(hit.image_id)?.arrived));
    if (this.n_shown < state.hits.length || scrollY >= SCROLLED_PX) this.#grow();
  }

  /** Tells anew whether the end is near or in sight, though it was before. */
  #watch() {
    for (const observer of [this.nearing, this.seeing]) {
      observer.unobserve(this.end);
      observer.observe(this.end);
    }
  }

  #ending() {
    if (this.n_shown < state.hits.length) return fill(this.end);
    const [n_marks, n_hits] = [state.judgements.length, state.hits.length];
    if (!n_hits) return fill(this.end, ...this.#nothing());
    fill(
      this.end,
      h("p", { text: n_hits === 1 ? "The only picture of this page." : `All ${count(n_hits)} pictures of this page.` }),
      hasMore() && button("More pictures", () => this.#grow()),
      state.session &&
        (n_marks > 0 || state.hits.length >= pageSize()) &&
        button(
          n_marks ? "Look again with your marks" : "Show the next page",
          this.actions.again,
          "button",
          "again",
        ),
    );
  }

  #nothing() {
    if (!state.rounds.length || state.round === 0) {
      const { where, path } = state.only;
      const isFiltered = path !== null || Object.keys(where).length > 0;
      const [why] = state.pages.get(state.round)?.notes ?? [];
      return [
        h("h2", { text: "Nothing was found" }),
        why ? h("p", { text: `${capital(why)}.` }) : null,
        h("p", {
          text: isFiltered
            ? "The words may be right: take a filter away at its ✕ above, or a minus term."
            : "Use fewer or other words, or take a minus term away.",
        }),
      ];
    }
    const again = () => {
      set({ keepShown: true }, "view");
      this.actions.again();
    };
    return [
      h("h2", { text: "Every picture has been shown" }),
      h("p", { text: "Look again over all of them: your marks put them in a new order." }),
      button("Look again over all", again, "primary", "again"),
    ];
  }

  #tileOf(event) {
    const element = event.target.closest?.(".tile");
    return element ? this.tiles.get(Number(element.dataset.id)) : undefined;
  }

  #position(event) {
    const tile = this.#tileOf(event);
    return tile ? state.hits.findIndex((hit) => hit.image_id === tile.hit.image_id) : -1;
  }

  #click(event) {
    if (wasGesture() || event.target.closest(".boxbar, .box")) return;
    const at = this.#position(event);
    if (at < 0) return;
    const id = state.hits[at].image_id;
    set({ cursor: at }, "cursor");
    const name = event.target.closest(".tools button, .moment, .stands-for, .star")?.dataset.tool;
    if (name === "yes" || name === "no") marks.toggle(id, name === "yes");
    else if (name) this.actions[name](at);
    else if (!state.session) this.actions.open(at);
    else if (state.selected) marks.select(null);
    else marks.toggle(id, !event.shiftKey);
  }

  /** Moves the keyboard to a neighbour. @param {"left"|"right"|"up"|"down"|number} where */
  go(where) {
    const next = typeof where === "number" ? where : neighbour(this.places, state.cursor, where);
    if (next === this.places.length - 1) this.#grow();
    set({ cursor: Math.max(0, Math.min(next, this.n_shown - 1)) }, "cursor");
    this.focus();
  }

  /** Puts the keyboard on the current picture. */
  focus() {
    const hit = state.hits[state.cursor];
    const tile = hit && this.tiles.get(hit.image_id);
    tile?.photo.focus({ preventScroll: true });
    tile?.element.scrollIntoView({ block: "nearest" });
  }
}
