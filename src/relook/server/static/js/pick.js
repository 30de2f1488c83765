/** Thumbnails of which many can be chosen: by click, Shift, dragging a frame, or keys; and what is done with them. */

import { openAdd, removeFrom } from "./albums.js";
import * as api from "./api.js";
import { button, fill, h, iconButton, needs, plural } from "./dom.js";
import { copyPaths } from "./paths.js";
import { remember, state } from "./state.js";
import { nameOf } from "./tile.js";
import { openImage } from "./viewer.js";

const DRAG_PX = 6; // a shorter way of the pointer is a click
const MOST = 1000; // the server packs no more at once

export class Pick {
  constructor() {
    /** @type {any[]} */ this.images = [];
    /** @type {Set<number>} */ this.chosen = new Set();
    /** The album whose pictures these are. @type {Api.Album|undefined} */
    this.album = undefined;
    /** What follows when some of them were taken out of it. */
    this.taken = () => {};
    this.at = 0;
    this.anchor = 0;
    this.list = h("ul", {
      class: "pick",
      role: "listbox",
      "aria-multiselectable": "true",
      "aria-label": "Pictures. Space chooses, Shift and arrows choose more, Enter shows one larger.",
    });
    this.frame = h("div", { class: "pick-frame", hidden: true });
    this.foot = h("div", { class: "pick-foot", role: "status" });
    this.element = h("div", { class: "pick-host" }, this.list, this.frame);
    this.list.addEventListener("click", (event) => this.#click(event));
    this.list.addEventListener("dblclick", (event) => this.#open(this.#index(event)));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("pointerdown", (event) => this.#press(event));
    this.#tell();
  }

  /** @param {any[]} images in place of those before @param {boolean} [more] below them */
  show(images, more = false) {
    if (!more) {
      this.images = [];
      this.chosen.clear();
      this.at = this.anchor = 0;
      fill(this.list);
    }
    remember(images.filter((image) => !state.pictures.has(image.image_id)));
    this.images.push(...images);
    this.list.append(...images.map((image) => this.#item(image)));
    this.#mark();
  }

  #item(image) {
    const src = api.thumbnail(state.library.library_id, image, 160);
    return h(
      "li",
      { role: "option", tabindex: "-1", "aria-selected": "false", "aria-label": nameOf(image), title: image.path },
      h("img", { src, alt: "", loading: "lazy", decoding: "async", draggable: "false" }),
    );
  }

  #index(event) {
    const item = event.target.closest("[role=option]");
    return item ? [...this.list.children].indexOf(item) : -1;
  }

  #open(at) {
    if (this.images[at]) openImage(this.images[at].image_id);
  }

  #click(event) {
    const at = this.#index(event);
    if (at < 0 || this.dragged) return;
    if (event.shiftKey) this.#range(this.anchor, at);
    else this.#flip(at);
    this.#go(at, !event.shiftKey);
  }

  #flip(at) {
    const { image_id } = this.images[at];
    if (!this.chosen.delete(image_id)) this.chosen.add(image_id);
    this.#mark();
  }

  #range(from, to) {
    const [low, high] = from < to ? [from, to] : [to, from];
    for (const image of this.images.slice(low, high + 1)) this.chosen.add(image.image_id);
    this.#mark();
  }

  #go(at, anchors = true) {
    this.at = Math.max(0, Math.min(at, this.images.length - 1));
    if (anchors) this.anchor = this.at;
    this.#mark();
    const item = /** @type {HTMLElement} */ (this.list.children[this.at]);
    item?.focus();
  }

  #key(event) {
    const across = Math.max(1, Math.floor(this.list.clientWidth / (this.list.firstElementChild?.offsetWidth + 4 || 1)));
    const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const all = event.key === "a" && (event.ctrlKey || event.metaKey);
    if (way) {
      const next = Math.max(0, Math.min(this.at + way, this.images.length - 1));
      if (event.shiftKey) this.#range(this.anchor, next);
      this.#go(next, !event.shiftKey);
    } else if (event.key === "Home" || event.key === "End") this.#go(event.key === "Home" ? 0 : this.images.length - 1);
    else if (event.key === " ") this.#flip(this.at);
    else if (event.key === "Enter") this.#open(this.at);
    else if (all) this.#range(0, this.images.length - 1);
    else if (event.key === "Escape" && this.chosen.size) this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  clear() {
    this.chosen.clear();
    this.#mark();
  }

  /** A frame that is drawn with the mouse chooses what it touches. */
  #press(event) {
    this.dragged = false;
    if (event.button !== 0 || event.pointerType === "touch" || event.target.closest("button, a")) return;
    const before = new Set(event.shiftKey || event.ctrlKey || event.metaKey ? this.chosen : []);
    const { clientX: x0, clientY: y0 } = event;
    const move = ({ clientX: x, clientY: y }) => {
      if (!this.dragged && Math.hypot(x - x0, y - y0) < DRAG_PX) return;
      this.dragged = true;
      const edges = { left: Math.min(x, x0), top: Math.min(y, y0), right: Math.max(x, x0), bottom: Math.max(y, y0) };
      this.#drawFrame(edges);
      this.chosen = new Set(before);
      [...this.list.children].forEach((item, at) => {
        const spot = item.getBoundingClientRect();
        const meets = spot.left < edges.right && spot.right > edges.left && spot.top < edges.bottom && spot.bottom > edges.top;
        if (meets) this.chosen.add(this.images[at].image_id);
      });
      this.#mark();
    };
    const end = () => {
      removeEventListener("pointermove", move);
      this.frame.hidden = true;
    };
    addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, end, { once: true });
  }

  #drawFrame({ left, top, right, bottom }) {
    const host = this.element.getBoundingClientRect();
    this.frame.hidden = false;
    Object.assign(this.frame.style, {
      left: `${left - host.left}px`,
      top: `${top - host.top}px`,
      width: `${right - left}px`,
      height: `${bottom - top}px`,
    });
  }

  /** @param {Api.Album|undefined} album whose pictures are shown @param {() => void} taken */
  ofAlbum(album, taken) {
    this.album = album;
    this.taken = taken;
    this.#tell();
  }

  /** @param {number[]} ids */
  #takeOut(ids) {
    if (this.album) removeFrom(this.album, ids, this.taken);
  }

  #mark() {
    [...this.list.children].forEach((item, at) => {
      item.setAttribute("aria-selected", String(this.chosen.has(this.images[at].image_id)));
      /** @type {HTMLElement} */ (item).tabIndex = at === this.at ? 0 : -1;
    });
    this.#tell();
  }

  #tell() {
    const ids = this.images.map((image) => image.image_id).filter((id) => this.chosen.has(id));
    const href = (format) => api.selectionUrl(state.library.library_id, ids.slice(0, MOST), format);
    const file = (label, format) => h("a", { class: "button small-button", href: href(format), download: "", text: label });
    if (!ids.length)
      return fill(
        this.foot,
        h("span", { class: "small muted", text: "Click, drag a frame, or Space and Shift with arrows: choose pictures to put into an album or to take away." }),
      );
    fill(
      this.foot,
      h("strong", { class: "small number", text: `${plural(ids.length, "picture")} chosen` }),
      ids.length > MOST && h("span", { class: "small muted", text: `the first ${MOST} are taken` }),
      needs("mark", button("Add to album …", () => openAdd(ids), "button small-button", "more")),
      this.album && needs("mark", button("Take out of the album", () => this.#takeOut(ids), "button small-button", "less")),
      file("Zip", "zip"),
      file("CSV", "csv"),
      file("Paths", "paths"),
      button("Copy paths", () => copyPaths(this.images.filter((image) => this.chosen.has(image.image_id))), "quiet small-button"),
      button("Clear", () => this.clear(), "quiet small-button"),
    );
  }
}

const dialog = h("dialog", { class: "sheet browse", "aria-labelledby": "pick-title" });
document.body.append(dialog);
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
dialog.addEventListener("keydown", (event) => event.key !== "Escape" && event.stopPropagation());

/** Chooses among the pictures of a page. @param {any[]} images */
export function openPick(images) {
  const pick = new Pick();
  pick.show(images);
  fill(
    dialog,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "pick-title", text: "Choose pictures" }),
      iconButton("cross", "Close (Esc)", () => dialog.close()),
    ),
    h("div", { class: "sheet-body browse-body" }, pick.element),
    pick.foot,
  );
  dialog.showModal();
}
