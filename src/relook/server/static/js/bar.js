/** The bar over the pictures: what is searched for, the rounds, before and after, view and share. */

import * as api from "./api.js";
import { button, byId, fill, h, icon, iconButton, plural } from "./dom.js";
import { filterChips } from "./filters.js";
import { showHistory } from "./history.js";
import { capital, movesInWords, pageName, parentOf } from "./moves.js";
import { describe, parse, wordsOf } from "./query.js";
import { compare, search } from "./rounds.js";
import { pictureUrl } from "./search.js";
import { openMenu, shareItems, viewItems } from "./share.js";
import { on, set, state } from "./state.js";

const parts = h("div", { class: "parts" });
const line = h("nav", { class: "history", "aria-label": "Pages" });
const toggle = h("div", { class: "segmented", role: "group", "aria-label": "Before and after" });
const summary = h("p", { class: "summary number" });
const heading = h("h1", { class: "visually-hidden" });

export function setUpBar() {
  const view = button("View", () => openMenu(view, viewItems()), "quiet small-button", "eye");
  const share = button("Share", () => openMenu(share, shareItems()), "quiet small-button", "share");
  for (const opener of [view, share]) opener.setAttribute("aria-haspopup", "menu");
  fill(byId("bar"), heading, parts, line, toggle, summary, h("div", { class: "bar-actions" }, view, share));
  on(["session", "hits", "view"], render);
}

function render() {
  byId("bar").hidden = !state.session;
  if (!state.session) {
    document.title = "Relook";
    return;
  }
  const name = state.session.name || describe(asParts(state.session.query));
  heading.textContent = `Search for ${name}, ${pageName(state.round)}`;
  document.title = `${name} · Relook`;
  if (!parts.querySelector(".without:focus")?.value) renderParts();
  line.hidden = state.rounds.length < 2;
  if (!line.hidden) showHistory(line);
  renderToggle();
  const page = state.pages.get(state.round);
  const took = page?.took_ms ? `${Math.max(1, Math.round(page.took_ms))} ms` : "";
  const moves = state.showing === "after" ? movesInWords() : "the page before";
  summary.textContent = [plural(state.hits.length, "picture"), moves || took].filter(Boolean).join(" · ");
}

function renderParts() {
  const all = asParts(state.session.query);
  const without = h("input", {
    class: "without",
    placeholder: "Leave out …",
    "aria-label": "Words for what to leave out",
    maxlength: "80",
  });
  without.addEventListener("keydown", (event) => {
    const words = without.value.trim().replace(/^-\s*/, "");
    if (event.key !== "Enter" || !words) return;
    event.preventDefault();
    without.value = ""; // what is typed there keeps the bar from being drawn anew
    find([...all, { text: words, weight: -1 }]);
  });
  const only = filterChips(state.only).map((filter) => filterChip(filter, all));
  fill(parts, ...all.map((part, at) => chip(part, at, all)), ...only, without);
}

/** Searches, and puts the keyboard on the pictures. */
async function find(all) {
  if (await search(all)) byId("results").querySelector(".photo")?.focus({ preventScroll: true });
}

/** @param {any} query */
function asParts(query) {
  if (Array.isArray(query?.parts)) return query.parts;
  return typeof query === "string" ? parse(query) : [];
}

function chip(part, at, all) {
  const minus = (part.weight ?? 1) < 0;
  const rest = all.filter((_, other) => other !== at);
  const label = wordsOf(part) || (part.image_id ? "a picture of the library" : "your picture");
  const src = part.image_id
    ? api.thumbnail(state.library.library_id, { image_id: part.image_id }, 80)
    : part.picture && pictureUrl(part.picture);
  const image = src ? h("img", { src, alt: "" }) : null;
  const loneliest = !rest.some((other) => (other.weight ?? 1) > 0);
  return h(
    "span",
    { class: `part${minus ? " minus" : ""}${loneliest ? " lone" : ""}` },
    image,
    minus ? h("span", { class: "sign", text: "−", "aria-label": "without" }) : null,
    h("span", { text: label, title: label }),
    loneliest ? null : iconButton("cross", `Search without “${label}”`, () => find(rest)),
  );
}

/** A filter that is on. */
function filterChip({ label, rest }, all) {
  const drop = () => {
    set({ only: rest }, "only");
    find(all);
  };
  return h(
    "span",
    { class: "part only" },
    icon("filter"),
    h("span", { text: label, title: label }),
    iconButton("cross", `Search without the filter “${label}”`, drop),
  );
}

function renderToggle() {
  const parent = parentOf(state.round);
  toggle.hidden = parent === null;
  const half = (showing, text, title) =>
    h("button", {
      type: "button",
      "aria-pressed": String(state.showing === showing),
      title,
      text,
      on: { click: () => compare(showing) },
    });
  fill(
    toggle,
    half("before", "Before", `${capital(pageName(parent ?? 0))} (x)`),
    half("after", "After", `${capital(pageName(state.round))} (x)`),
  );
}
