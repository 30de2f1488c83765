/** Evidence as cards: what was found, where it is from, and what to do about it. Text only, never markup. */

import * as api from "./api.js";
import { button, fileName, fill, h, icon, plural } from "./dom.js";
import { providerName } from "./stages.js";

/**
 * @typedef {{number: number, kind: string, title: string, source: string, page_url: string, image_url: string,
 *   text: string, date: string, similarity: number|null, image_id: number|null, thumbnail: string|null,
 *   providers: string[], others: any[], page_text: string, pinned: boolean, struck: boolean,
 *   metadata: Record<string, string>,
 *   verified?: {verdict: string, words: string, outline: number[][]}|null}} Item
 * @typedef {{facts: Record<string, string>, notes: string[]}} Own
 * @typedef {{name: string, numbers: number[]}} Candidate
 * @typedef {{mark: (item: Item, how: "pinned"|"struck") => void, like: (item: Item) => void}} Actions
 */

const KINDS = {
  same: "Same picture",
  page: "Page with it",
  similar: "Looks similar",
  entity: "Name for it",
  saved: "Saved file",
};
const SHORT = 150;
const LIT_MS = 2400;

/** @param {Item} item */
/** @param {Item | {number: number, title?: undefined, text?: undefined, metadata?: undefined}} item */
export const titleOf = (item) => item.title || item.text || item.metadata?.file || `Evidence ${item.number}`;

/**
 * An address that may be a link; anything but http(s) may not.
 * @param {string} address @returns {URL|null}
 */
export function webAddress(address) {
  if (!address) return null;
  try {
    const url = new URL(address);
    return ["http:", "https:"].includes(url.protocol) ? url : null;
  } catch {
    return null; // a provider's slip: it is text then, and no link
  }
}

export class Cards {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.names = h("div", { class: "ask-names", role: "group", "aria-label": "Names in the evidence", hidden: true });
    this.element = h("ol", { class: "cards", "aria-label": "Evidence" });
    /** @type {Item[]} */
    this.items = [];
    this.libraryId = "";
  }

  /**
   * @param {Item[]} items @param {string} libraryId whose pictures they are
   * @param {Own|null} [own] what the picture's own file says: item 0
   * @param {Candidate[]} [names] what the evidence calls it
   */
  show(items, libraryId, own = null, names = []) {
    Object.assign(this, { items, libraryId });
    this.names.hidden = !names.length;
    fill(this.names, h("span", { class: "muted small", text: "Names in it" }), ...names.map((name) => this.#name(name)));
    const first = own && (Object.keys(own.facts).length || own.notes.length) ? [ownCard(own)] : [];
    fill(this.element, ...first, ...items.map((item) => this.#card(item)));
  }

  /** Only what the person changed. @param {Item} item */
  remark(item) {
    const card = this.#cardOf(item.number);
    card.className = looks(item);
    for (const how of ["pinned", "struck"])
      card.querySelector(`[data-how="${how}"]`).setAttribute("aria-pressed", String(item[how]));
    card.querySelector(".card-state").textContent = stateOf(item);
  }

  /** Nothing can be changed while an answer is made. @param {boolean} yes */
  lock(yes) {
    for (const toggle of this.element.querySelectorAll("button[data-how]")) toggle.disabled = yes;
  }

  /** A name that the evidence gives; it lights what says so. @param {Candidate} candidate */
  #name({ name, numbers }) {
    const chip = button(name, () => this.light(numbers), "chip");
    chip.append(h("span", { class: "number muted", text: String(numbers.length) }));
    chip.setAttribute("aria-label", `${name}: evidence ${numbers.join(", ")}`);
    return chip;
  }

  /** Lights several cards and goes to the first. @param {number[]} numbers */
  light(numbers) {
    this.point(numbers[0]);
    for (const number of numbers) this.#cardOf(number)?.classList.add("lit");
    setTimeout(() => this.element.querySelectorAll(".lit").forEach((card) => card.classList.remove("lit")), LIT_MS);
  }

  /** Scrolls to a card, lights it and puts the keyboard on it. @param {number} number */
  point(number) {
    const card = this.#cardOf(number);
    if (!card) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
    for (const lit of this.element.querySelectorAll(".lit")) lit.classList.remove("lit");
    card.classList.add("lit");
    card.focus({ preventScroll: true });
    setTimeout(() => card.classList.remove("lit"), LIT_MS);
  }

  /** Marks what the answer cites. @param {number[]} numbers */
  cited(numbers) {
    for (const card of this.element.children)
      card.classList.toggle("cited", numbers.includes(Number(card.dataset.number)));
  }

  #cardOf(number) {
    return /** @type {any} */ (this.element.querySelector(`[data-number="${number}"]`));
  }

  #card(item) {
    return h(
      "li",
      { class: looks(item), tabindex: "-1", data: { number: String(item.number) } },
      this.#picture(item),
      h(
        "div",
        { class: "card-body" },
        h(
          "p",
          { class: "card-title" },
          h("b", { class: "card-number number", text: String(item.number) }),
          h("span", { text: titleOf(item) }),
          h("span", { class: "card-state", text: stateOf(item) }),
        ),
        facts(item),
        words(item),
      ),
      this.#tools(item),
    );
  }

  #picture(item) {
    const src = this.#thumbnail(item);
    if (!src) return h("div", { class: "card-picture none" }, icon(item.kind === "entity" ? "flag" : "picture"));
    const host = h("div", { class: "card-picture" });
    const image = h("img", { src, alt: "", loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => (host.classList.add("none"), fill(host, icon("picture"))));
    host.append(image);
    if (item.verified?.outline?.length) image.addEventListener("load", () => host.append(outlined(image, item)));
    return host;
  }

  /** Only from this server: small pictures of the web come inside its answer, or not at all. */
  #thumbnail(item) {
    if (item.image_id !== null && item.image_id !== undefined)
      return api.thumbnail(this.libraryId, { image_id: item.image_id }, 112);
    return item.thumbnail ? `data:image/jpeg;base64,${item.thumbnail}` : null;
  }

  #tools(item) {
    const toggle = (how, label, picture) => {
      const made = button(label, () => this.actions.mark(item, how), "quiet small-button", picture);
      made.dataset.how = how;
      made.setAttribute("aria-pressed", String(item[how]));
      made.setAttribute("aria-label", `${label} evidence ${item.number}`);
      return made;
    };
    const like = likeOf(item);
    return h(
      "div",
      { class: "card-tools" },
      toggle("struck", "Strike out", "cross"),
      toggle("pinned", "Pin", "pin"),
      like && button(like, () => this.actions.like(item), "quiet small-button", "like"),
    );
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** Where the asked picture lies in this one; it shows on hover and focus. @param {HTMLImageElement} image */
function outlined(image, item) {
  const { naturalWidth: width, naturalHeight: height } = image;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "outline");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "xMidYMid slice");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Where the two pictures match: ${item.verified.words}`);
  const shape = document.createElementNS(SVG, "polygon");
  shape.setAttribute("points", item.verified.outline.map(([x, y]) => `${x * width},${y * height}`).join(" "));
  svg.append(shape);
  return svg;
}

/** What an item is: by its kind, or by what comparing it point by point showed. @param {Item} item */
function kindOf(item) {
  const verified = item.verified;
  const told = verified && verified.verdict !== "similar" ? verified.words : (KINDS[item.kind] ?? item.kind);
  return told.charAt(0).toUpperCase() + told.slice(1);
}

const FACTS = { taken_at: "taken" };

/** Item 0: what the file itself says, which anybody who has it could have written. @param {Own} own */
function ownCard(own) {
  const facts = Object.entries(own.facts).map(([name, value]) => [FACTS[name] ?? name, value]);
  return h(
    "li",
    { class: "card own", tabindex: "-1", data: { number: "0" } },
    h("div", { class: "card-picture none" }, icon("flag")),
    h(
      "div",
      { class: "card-body" },
      h(
        "p",
        { class: "card-title" },
        h("b", { class: "card-number number", text: "0" }),
        h("span", { text: "The picture's own file" }),
      ),
      h(
        "dl",
        { class: "view-facts" },
        ...facts.flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })]),
      ),
      ...own.notes.map((note) => h("p", { class: "note", text: `${note.charAt(0).toUpperCase()}${note.slice(1)}.` })),
    ),
  );
}

/** What leads from an item back into the search; its own picture, else its title. @param {Item} item */
function likeOf(item) {
  if (item.image_id !== null || item.thumbnail) return "More like this";
  return item.title ? "Search its title" : "";
}

const looks = (item) => `card${item.struck ? " struck" : ""}${item.pinned ? " pinned" : ""}`;
const stateOf = (item) => (item.struck ? "struck out" : item.pinned ? "pinned" : "");

function facts(item) {
  const alike = item.similarity;
  const bar = h("i", {});
  if (alike !== null) bar.style.width = `${Math.round(alike * 100)}%`;
  const url = webAddress(item.page_url) ?? webAddress(item.image_url);
  return h(
    "div",
    { class: "card-facts" },
    h("span", { class: `kind ${item.kind}`, text: kindOf(item) }),
    alike !== null &&
      h(
        "span",
        { class: "alike", title: "How alike, by this provider's own measure" },
        h("span", { class: "track" }, bar),
        h("span", { class: "number", text: `${Math.round(alike * 100)} % alike` }),
      ),
    url ? link(item, url) : item.source && h("span", { text: item.source }),
    item.date && h("span", { text: item.date }),
    h("span", { class: "muted", text: whence(item) }),
  );
}

/** The library's items say which file; others who found them. */
function whence(item) {
  if (item.image_id !== null) return fileName(item.metadata?.file ?? "");
  return `found by ${item.providers.map(providerName).join(", ")}`;
}

function link(item, url) {
  return h(
    "a",
    { href: url.href, target: "_blank", rel: "noopener noreferrer", title: url.href },
    h("span", { text: item.source || url.host }),
    icon("link"),
    h("span", { class: "visually-hidden", text: " (opens another site)" }),
  );
}

function words(item) {
  const text = [item.title ? item.text : "", item.page_text].filter(Boolean).join(" — ");
  const n_more = item.others.length;
  if (!text && !n_more) return null;
  const cut = text.length > SHORT;
  return h(
    "div",
    { class: "card-words small" },
    text && h("p", { text: cut ? `${text.slice(0, SHORT).trimEnd()} …` : text }),
    cut && h("details", {}, h("summary", { text: "The whole text" }), h("p", { text })),
    n_more > 0 && h("p", { class: "muted", text: `Stands for ${plural(n_more, "more match", "more matches")}.` }),
  );
}
