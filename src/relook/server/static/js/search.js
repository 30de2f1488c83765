/** The search box: words, pictures that were picked, pasted or dropped, minus terms, recent searches. */

import * as api from "./api.js";
import { concepts } from "./concepts.js";
import { byId, fill, h, icon, iconButton, needs } from "./dom.js";
import { filtersOpen, openFilters, readFilters, setUpFilters } from "./filters.js";
import { complain, toast } from "./notices.js";
import { parse, print, wordsOf } from "./query.js";
import { forgetSearch, recentSearches } from "./recent.js";
import { search } from "./rounds.js";
import { grammar, librariesKnown, on, state } from "./state.js";

/** Pictures in the box. @type {{picture: string|null, file: Blob, url: string, ready: Promise<any>}[]} */
let pictures = [];
/** @type {() => void} */
let done = () => undefined;
/** Whether something was typed that no search was made for yet. */
let isTyping = false;
/** The session that the box shows. @type {string|null} */
let agreed = null;

const field = h("input", {
  type: "search",
  name: "q",
  "aria-label": "What to look for",
  placeholder: "Describe a picture",
  enterkeyhint: "search",
  autocomplete: "off",
  autocapitalize: "none",
  spellcheck: "false",
  maxlength: "400",
});
const shelf = h("span", { class: "search-pictures" });
const picker = h("input", {
  type: "file",
  accept: "image/*",
  class: "visually-hidden",
  tabindex: "-1",
  "aria-label": "Picture to search with",
});
const list = h("div", { class: "suggest", hidden: true });

/** @param {() => void} whenDone moves the keyboard to the results */
export function setUpSearch(whenDone) {
  done = whenDone;
  const form = byId("search");
  const filters = setUpFilters(() => form.requestSubmit());
  fill(
    form,
    h(
      "div",
      { class: "search-box" },
      icon("search"),
      shelf,
      field,
      picker,
      iconButton("picture", "Search with a picture: pick, paste or drop one", () => picker.click()),
      filters.opener,
      h("button", { class: "primary search-go", text: "Search" }),
    ),
    list,
    filters.panel,
  );
  form.addEventListener("submit", submit);
  field.addEventListener("click", () => field.value || suggest());
  field.addEventListener("input", () => {
    isTyping = true;
    if (field.value) hide();
    else suggest();
  });
  field.addEventListener("keydown", keys);
  form.addEventListener("focusout", (event) => {
    if (form.contains(event.relatedTarget)) return;
    hide();
    if (event.relatedTarget) openFilters(false); // a click on nothing leaves what was typed in sight
  });
  picker.addEventListener("change", () => {
    if (picker.files.length) addPicture(picker.files[0]);
    picker.value = "";
  });
  list.addEventListener("keydown", keys);
  document.addEventListener("paste", paste);
  on("session", agree);
  setUpDrop();
}

/** The box says what the page shows, unless somebody is typing something else. */
function agree() {
  const id = state.session?.session_id ?? null;
  if (id === agreed) return;
  agreed = id;
  if (id === null || (isTyping && document.activeElement === field)) return;
  const parts = state.session.query.parts ?? [];
  if (print(parse(field.value, grammar())) !== print(parts)) showWords(print(parts));
  isTyping = false;
  pictures = pictures.filter((upload) => parts.some((part) => part.picture === upload.picture));
  showPictures();
}

/** @param {string} words */
export function showWords(words) {
  field.value = words;
  isTyping = false;
}

export function focusSearch() {
  field.focus();
  field.select();
  if (!field.value) suggest();
  scrollTo({ top: 0 });
}

/** What is typed next goes into the box. */
export function typeHere() {
  field.focus();
}

/** Puts the keyboard into the box where that brings up no keyboard of the screen, and takes it from nobody. */
export function readyToType() {
  const isFree = !document.activeElement || document.activeElement === document.body;
  if (isFree && matchMedia("(hover: hover) and (pointer: fine)").matches) field.focus({ preventScroll: true });
}

/** Whether a key at the empty box is a command, for no search begins with it. @param {KeyboardEvent} event */
export const isCommandHere = (event) => event.target === field && !field.value && "/?".includes(event.key);

async function submit(event) {
  event.preventDefault();
  hide();
  const words = field.value;
  isTyping = false;
  await librariesKnown;
  if (!state.library)
    return toast("There is no library yet.", { hint: "Open the library view and add a folder of pictures." });
  try {
    await Promise.all(pictures.map((upload) => upload.ready));
  } catch {
    return; // the upload has told why, and taken its picture away
  }
  const typed = [...partsOf(words), ...pictures.map((upload) => ({ picture: upload.picture, weight: 1 }))];
  const filtering = filtersOpen();
  readFilters();
  const parts = typed.length || !filtering ? typed : (state.session?.query.parts ?? []);
  if (!parts.some((part) => (part.weight ?? 1) > 0)) {
    field.focus();
    return toast(
      parts.length
        ? "Only minus terms: say what to look for, too."
        : "Type what to look for, or paste a picture.",
    );
  }
  if (!(await search(parts))) return;
  openFilters(false);
  if (!isTyping) done();
}

/**
 * Parts of what stands in the box. Words as they stand have no signs, so those of the search that is shown, as one that
 * the bar left words out of, stay its own.
 * @param {string} words
 */
function partsOf(words) {
  const asked = (state.session?.query.parts ?? []).filter(wordsOf);
  const isShown = !grammar() && asked.some((part) => part.literal) && print(asked) === words;
  return isShown ? asked : parse(words, grammar());
}

function keys(event) {
  if (event.key === "Escape") {
    hide();
    field.blur();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (list.hidden) suggest();
    const stops = [field, ...list.querySelectorAll(".recent")];
    const at = stops.indexOf(document.activeElement);
    stops[Math.max(0, Math.min(stops.length - 1, at + (event.key === "ArrowDown" ? 1 : -1)))]?.focus();
    event.preventDefault();
  } else if (event.key === "Backspace" && !field.value && pictures.length && document.activeElement === field) {
    drop(pictures.at(-1));
  }
}

function suggest() {
  if (filtersOpen()) return;
  const words = recentSearches();
  const signs = [h("code", { text: "dog + snow - people" }), " adds and takes away; so does ", h("code", { text: "dog -people" })];
  const tip = h("p", { class: "tip small muted" }, ...(grammar() ? signs : ["Words are searched as they stand."]));
  const rows = words.slice(0, 8).map((phrase) =>
    h(
      "li",
      {},
      h("button", { type: "button", class: "quiet recent", text: phrase, title: phrase, on: { click: () => again(phrase) } }),
      iconButton("cross", `Forget “${phrase}”`, () => (forgetSearch(phrase), suggest(), field.focus())),
    ),
  );
  const named = h("div");
  fill(
    list,
    rows.length ? h("h2", { text: "Recent searches" }) : null,
    rows.length ? h("ul", {}, ...rows) : null,
    named,
    tip,
  );
  list.hidden = false;
  if (state.library) concepts().then((lines) => suggestConcepts(named, lines), () => undefined); // it does without
}

/** @param {HTMLElement} host @param {Api.ConceptLine[]} lines */
function suggestConcepts(host, lines) {
  if (!lines.length) return;
  const rows = lines.slice(0, 6).map(({ name }) =>
    h("li", {}, h("button", { type: "button", class: "quiet recent", text: `@${name}`, on: { click: () => again(`@${name}`) } })),
  );
  fill(host, h("h2", { text: "Concepts" }), h("ul", {}, ...rows));
}

/** Searches for words again. @param {string} words */
export function again(words) {
  field.value = words;
  byId("search").requestSubmit();
}

const hide = () => (list.hidden = true);

/** Takes a picture into the box and searches with it when the box held nothing else. @param {File|Blob} file */
export function addPicture(file) {
  if (!file.type.startsWith("image/"))
    return toast("That is not a picture.", { hint: "Use a JPEG, PNG, WebP, GIF, TIFF or BMP file." });
  if (!state.library)
    return toast("There is no library yet.", { hint: "Open the library view and add a folder of pictures." });
  const upload = { picture: null, file, url: URL.createObjectURL(file), ready: Promise.resolve() };
  upload.ready = api
    .uploadPicture(
      state.library.library_id,
      file instanceof File ? file : new File([file], "pasted.png", { type: file.type }),
    )
    .then((answer) => (upload.picture = answer.picture_id));
  upload.ready.catch((error) => {
    drop(upload);
    complain(error);
  });
  pictures = [upload]; // one picture at a time keeps the box readable; words go with it
  showPictures();
  byId("search").requestSubmit();
}

function drop(upload) {
  pictures = pictures.filter((other) => other !== upload);
  URL.revokeObjectURL(upload.url);
  showPictures();
  field.focus();
}

/** Forgets pictures in the box, for a search that does not use them. */
export function clearPictures() {
  pictures = [];
  showPictures();
}

/** Address of a picture given in this box, for the parts in the bar. @param {string} id */
export const pictureUrl = (id) => pictures.find((upload) => upload.picture === id)?.url ?? null;

function showPictures() {
  fill(
    shelf,
    ...pictures.map((upload) =>
      h(
        "span",
        { class: "search-picture" },
        h("img", { src: upload.url, alt: "The picture to search with" }),
        needs("mark", iconButton("ask", "Ask about this picture", () =>
          window.dispatchEvent(new CustomEvent("relook:ask", { detail: upload.file })),
        )),
        iconButton("cross", "Search without this picture", () => drop(upload)),
      ),
    ),
  );
  field.placeholder = pictures.length ? "Add words" : "Describe a picture";
}

function paste(event) {
  const file = [...(event.clipboardData?.files ?? [])].find((pasted) => pasted.type.startsWith("image/"));
  if (!file || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  addPicture(file);
}

function setUpDrop() {
  const cover = byId("dropcover");
  const carriesFiles = (event) =>
    event.dataTransfer?.types.includes("Files") && !document.querySelector("dialog[open]");
  let depth = 0;
  const shown = (change) => (cover.hidden = (depth = Math.max(0, depth + change)) === 0);
  document.addEventListener("dragenter", (event) => carriesFiles(event) && shown(1));
  document.addEventListener("dragleave", (event) => carriesFiles(event) && shown(-1));
  document.addEventListener(
    "dragover",
    (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault(),
  );
  document.addEventListener("drop", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const inSearch = carriesFiles(event);
    shown(-depth);
    if (inSearch && event.dataTransfer.files.length) addPicture(event.dataTransfer.files[0]);
  });
}
