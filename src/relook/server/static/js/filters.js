/** Filters of a search: a pattern of the path, and patterns of what the pictures' metadata say. */

import * as api from "./api.js";
import { button, fill, h, iconButton } from "./dom.js";
import { grammar, on, set, state } from "./state.js";

/** @typedef {import("./state.js").Only} Only */

const MOST = 8; // the server takes no more
const LIST = "filter-fields";
const ALBUM = "album";

const path = h("input", {
  class: "field",
  id: "filter-path",
  placeholder: "part of it, or */2019/*.jpg",
  maxlength: "300",
  autocapitalize: "none",
  spellcheck: "false",
});
const least = h("input", {
  class: "field",
  id: "filter-fit",
  type: "number",
  step: "any",
  placeholder: "least chance, in %",
  title: "Least chance, in %, that a picture shows the words",
});
const instruction = h("input", {
  class: "field",
  placeholder: "such as: name the breed",
  title: "What captions of boxes should tell",
  maxlength: "300",
});
const album = h("select", { class: "field", id: "filter-album" });
const words = h(
  "select",
  { class: "field", name: "words" },
  h("option", { value: "true", text: "read + - @ quotes, “no people” and slips of spelling" }),
  h("option", { value: "false", text: "take the line as it stands" }),
);
const rows = h("div", { class: "filter-rows" });
const names = h("datalist", { id: LIST });
const add = button("Add a field", () => addRow().querySelector("input").focus(), "quiet small-button");
const panel = h("fieldset", { class: "filters", id: "filters", hidden: true });
let askedFor = "";

/** @type {HTMLElement} */
let opener;

/** The panel below the search box and its button. @param {() => void} apply searches anew */
export function setUpFilters(apply) {
  opener = iconButton("filter", "Filters: path and metadata", () => openFilters(panel.hidden), {
    "aria-expanded": "false",
    "aria-controls": "filters",
  });
  const clear = () => (show({ where: {}, path: null }), apply());
  fill(
    panel,
    h("legend", { class: "visually-hidden", text: "Only pictures that fit" }),
    h("label", { class: "filter-row" }, h("span", { text: "Path" }), path),
    h("label", { class: "filter-row" }, h("span", { text: "Album" }), album),
    rows,
    h("label", { class: "filter-row" }, h("span", { text: "Fit" }), least),
    h("label", { class: "filter-row" }, h("span", { text: "Captions" }), instruction),
    h("label", { class: "filter-row" }, h("span", { text: "Words" }), words),
    names,
    h(
      "div",
      { class: "filter-foot" },
      add,
      button("Clear", clear, "quiet small-button"),
      button("Apply", apply, "primary small-button"),
    ),
    h("p", { class: "tip small muted", text: "* stands for anything, ? for one letter; capitals do not matter." }),
  );
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    openFilters(false);
    opener.focus();
  });
  on("only", () => show(state.only));
  words.addEventListener("change", () => set({ grammar: words.value === "true" }));
  on("library", () => {
    words.value = String(grammar());
    if (!panel.hidden) learnNames();
  });
  return { opener, panel };
}

/** @param {boolean} open */
export function openFilters(open) {
  panel.hidden = !open;
  opener.setAttribute("aria-expanded", String(open));
  if (!open) return;
  if (!rows.children.length) addRow();
  learnNames();
  learnAlbums();
  path.focus();
}

export const filtersOpen = () => !panel.hidden;

/** Takes what stands in the fields as the filter of the next search. */
export function readFilters() {
  /** @type {Record<string, string>} */
  const where = {};
  for (const row of rows.children) {
    const [key, pattern] = [...row.querySelectorAll("input")].map((input) => input.value.trim());
    if (key && pattern) where[key] = pattern;
  }
  if (album.value) where[ALBUM] = album.value;
  const only = { where, path: path.value.trim() || null, min_fit: Math.min(100, Math.max(0, Number(least.value))) / 100 };
  set({ instruction: instruction.value.trim(), only });
}

/** @param {Only} only */
function show(only) {
  path.value = only.path ?? "";
  least.value = only.min_fit ? percent(only.min_fit) : "";
  fill(rows);
  for (const [key, pattern] of Object.entries(only.where)) if (key !== ALBUM) addRow(key, pattern);
  showAlbums([], only.where[ALBUM] ?? "");
  const n = Object.keys(only.where).length + (only.path ? 1 : 0) + (only.min_fit ? 1 : 0);
  opener.classList.toggle("on", n > 0);
  opener.setAttribute("aria-label", n ? `Filters: path and metadata, ${n} on` : "Filters: path and metadata");
}

/** @param {number} fit */
const percent = (fit) => String(Number((fit * 100).toFixed(2)));

function addRow(key = "", pattern = "") {
  const field = (label, value, props) =>
    h("input", { class: "field", "aria-label": label, value, autocapitalize: "none", spellcheck: "false", ...props });
  const row = h(
    "div",
    { class: "filter-row" },
    field("Field", key, { list: LIST, placeholder: "field", maxlength: "100" }),
    field("Its value", pattern, { placeholder: "as in *lake*", maxlength: "300" }),
    iconButton("cross", "Remove this filter", () => {
      row.remove();
      add.hidden = false;
      path.focus();
    }),
  );
  rows.append(row);
  add.hidden = rows.children.length >= MOST;
  return row;
}

/** What this library's pictures say of themselves. */
async function learnNames() {
  const id = state.library?.library_id;
  if (!id || askedFor === id) return;
  askedFor = id;
  try {
    const { fields } = await api.fields(id);
    fill(names, ...fields.filter((name) => name !== ALBUM).map((name) => h("option", { value: name })));
  } catch {
    askedFor = ""; // the fields take any name
  }
}

/** @param {string[]} names @param {string} chosen */
function showAlbums(names, chosen) {
  const options = names.includes(chosen) || !chosen ? names : [chosen, ...names];
  fill(album, h("option", { value: "", text: "any, or none" }), ...options.map((name) => h("option", { value: name, text: name })));
  album.value = chosen;
}

async function learnAlbums() {
  if (!state.library) return;
  try {
    const { albums } = await api.albums(state.library.library_id);
    showAlbums(albums.map(({ name }) => name), album.value);
  } catch {
    // the one that is chosen stays
  }
}

/** The filters that are on, with what is left when each is taken away. @param {Only} only @returns {{label: string, rest: Only}[]} */
export function filterChips({ where, path: pattern, min_fit }) {
  const chips = Object.entries(where).map(([key, value]) => {
    const { [key]: _, ...rest } = where;
    return { label: `${key}: ${value}`, rest: { where: rest, path: pattern, min_fit } };
  });
  if (pattern) chips.push({ label: `path: ${pattern}`, rest: { where, path: null, min_fit } });
  if (min_fit) chips.push({ label: `fit: ${percent(min_fit)}% or more`, rest: { where, path: pattern, min_fit: 0 } });
  return chips;
}
