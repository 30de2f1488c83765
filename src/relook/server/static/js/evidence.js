/** Evidence as cards: what was found, where it is from, and what to do about it. Text only, never markup. */

import * as api from "./api.js";
import { button, fileName, fill, h, icon, plural } from "./dom.js";
import { providerName } from "./stages.js";

/**
 * @typedef {{number: number, kind: string, title: string, source: string, page_url: string, image_url: string,
 *   text: string, date: string, similarity: number|null, image_id: number|null, thumbnail: string|null,
 *   providers: string[], others: any[], page_text: string, pinned: boolean, struck: boolean,
 *   metadata: Record<string, string>}} Item
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
    this.element = h("ol", { class: "cards", "aria-label": "Evidence" });
    /** @type {Item[]} */
    this.items = [];
    this.libraryId = "";
  }

  /** @param {Item[]} items @param {string} libraryId whose pictures they are */
  show(items, libraryId) {
    Object.assign(this, { items, libraryId });
    fill(this.element, ...items.map((item) => this.#card(item)));
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

  /** Scrolls to a card, lights it and puts the keyboard on it. @param {number} number */
  point(number) {
    const card = this.#cardOf(number);
    if (!card) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ block: "center", behavior: still ? "auto" : "smooth" });
    for (const lit of this.element.querySelectorAll(".lit")) lit.classList.remove("lit");
    card.classList.add("lit");
    card.focus({ preventScroll: true });
    setTimeout(() => card.classList.remove("lit"), 2400);
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
    h("span", { class: `kind ${item.kind}`, text: KINDS[item.kind] ?? item.kind }),
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
