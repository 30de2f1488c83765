/** Everything that was marked: pictures and boxes by sign, captions to edit, what each mark did. */

import * as api from "./api.js";
import { openSave } from "./concepts.js";
import { button, byId, fileName, fill, h, icon, iconButton, plural } from "./dom.js";
import * as marks from "./marks.js";
import { complain } from "./notices.js";
import { failureOf, matchEarly } from "./captions.js";
import { lookAgain, redo, undo } from "./rounds.js";
import { completeness, setUpComplete } from "./complete.js";
import { keepsShown, on, set, state, strategy } from "./state.js";
import { openImage } from "./viewer.js";
import { showInfluence } from "./why.js";
/** @typedef {import("./state.js").Judgement} Judgement */
/** By key: the caption that is being edited, and the mark whose influence is shown. */
let [editing, explained] = ["", ""];
/** Entries by key, kept so that a caption that is being typed is never lost. @type {Map<string, {face: string, element: HTMLElement}>} */
const entries = new Map();

const [scroll, foot] = ["side-scroll", "side-foot"].map((name) => h("div", { class: name }));

export function setUpTray() {
  const side = byId("side");
  fill(side, scroll, foot);
  setUpComplete();
  on(["marks", "session", "view"], () => {
    matchEarly();
    render();
  });
}

function render() {
  const side = byId("side");
  side.hidden = !state.session;
  document.body.classList.toggle("no-session", !state.session);
  byId("dock").hidden = !state.session;
  if (!state.session) return;
  const yes = state.judgements.filter((one) => one.relevant);
  const no = state.judgements.filter((one) => !one.relevant);
  const keys = new Set([...state.judgements, ...state.drafts].map((one) => one.key));
  for (const key of entries.keys()) if (!keys.has(key)) entries.delete(key);
  const held = /** @type {HTMLElement} */ (document.activeElement);
  fill(
    scroll,
    head(),
    state.drafts.length ? drafts() : null,
    completeness,
    group("relevant", "tick", "Relevant", yes),
    group("irrelevant", "cross", "Irrelevant", no),
  );
  if (held !== document.activeElement && held?.isConnected) held.focus();
  renderFoot();
  renderDock();
}

function head() {
  const n = state.judgements.length;
  return h(
    "div",
    {},
    h(
      "div",
      { class: "side-head" },
      h("h2", { text: n ? plural(n, "mark") : "Mark what fits" }),
      iconButton("undo", "Undo (z)", () => undo()),
      iconButton("redo", "Make it again (Shift+Z)", () => redo()),
      iconButton("cross", "Close this list", () => lift(false), { class: "quiet square side-close" }),
    ),
    n || state.drafts.length
      ? null
      : h(
          "ul",
          { class: "note tray-group" },
          h("li", { text: "Click a picture that fits." }),
          h("li", { text: "Shift-click one that does not." }),
          h("li", { text: "Drag on a picture to mark just a part." }),
          h("li", { text: "Then look again: the next page follows your marks." }),
        ),
  );
}

function group(kind, picture, title, list) {
  if (!list.length) return null;
  return h(
    "section",
    { class: `tray-group ${kind}`, "aria-label": title },
    h(
      "h3",
      {},
      icon(picture),
      h("span", { text: `${title} ` }),
      h("span", { class: "number", text: String(list.length) }),
    ),
    h("ul", { class: "tray-list" }, ...list.slice().reverse().map(entry)),
  );
}

function drafts() {
  return h(
    "section",
    { class: "tray-group", "aria-label": "Boxes without a sign" },
    h("h3", {}, icon("box"), "What about this part?"),
    h(
      "ul",
      { class: "tray-list" },
      ...state.drafts.map((one) =>
        h(
          "li",
          { class: "mark" },
          crop(one),
          h(
            "div",
            { class: "mark-signs" },
            button("Relevant", () => marks.signBox(one, true), "chip", "tick"),
            button("Irrelevant", () => marks.signBox(one, false), "chip", "cross"),
          ),
          h(
            "div",
            { class: "mark-tools" },
            iconButton("bin", "Delete box", () => marks.removeBox(one)),
          ),
        ),
      ),
    ),
  );
}

function entry(one) {
  const face = JSON.stringify([
    one.judgement_id,
    one.relevant,
    one.box,
    one.caption,
    one.caption_by,
    failureOf(one),
    editing === one.key,
    explained === one.key,
    state.pictures.has(one.image_id),
  ]);
  const old = entries.get(one.key);
  if (old?.face === face) return old.element;
  if (old && editing === one.key && old.element.querySelector(".chip-edit")) return old.element;
  const more = h("div", { class: "mark-more" });
  const element = h(
    "li",
    { class: "mark", data: { key: one.key } },
    crop(one),
    h("div", { class: "mark-body" }, caption(one), h("span", { class: "mark-name", text: nameFor(one) })),
    h(
      "div",
      { class: "mark-tools" },
      iconButton("cross", "Take this mark back", () => marks.remove(one)),
      one.judgement_id
        ? iconButton("why", "What did this mark do?", () => explain(one), {
            "aria-expanded": String(explained === one.key),
          })
        : null,
    ),
    failed(one),
    explained === one.key ? more : null,
  );
  if (explained === one.key) showInfluence(more, one.judgement_id, (moved) => openImage(moved.image_id));
  entries.set(one.key, { face, element });
  return element;
}

/** Why there are no words, and what can be done: the mark itself counts all the same. */
function failed(one) {
  const failure = failureOf(one);
  if (!failure || editing === one.key) return null;
  return h(
    "div",
    { class: "mark-more mark-failure" },
    h(
      "p",
      { class: "note" },
      h("strong", { text: "No words were found. " }),
      `${sentence(failure.message)} ${sentence(failure.hint)}`,
    ),
    h("p", { class: "note", text: "The box counts without them." }),
    button("Try again", () => marks.askCaption(one), "chip", "again"),
  );
}

/** Messages of the server begin small and end without a stop. @param {string} text */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1).replace(/[.]$/, "")}.` : "");

const nameFor = (one) => fileName(state.pictures.get(one.image_id)?.path ?? `Picture ${one.image_id}`);

function explain(one) {
  explained = explained === one.key ? "" : one.key;
  render();
}

/** The picture, or the part in the box, as a small square. */
function crop(one) {
  const hit = state.pictures.get(one.image_id) ?? { image_id: one.image_id, path: undefined };
  const image = new Image();
  const canvas = h("canvas", { width: 128, height: 128 });
  const [x0, y0, x1, y1] = one.box ?? [0, 0, 1, 1];
  image.addEventListener("load", () => {
    const w = (x1 - x0) * image.naturalWidth;
    const ht = (y1 - y0) * image.naturalHeight;
    const side = Math.min(w, ht);
    canvas
      .getContext("2d")
      .drawImage(
        image,
        x0 * image.naturalWidth + (w - side) / 2,
        y0 * image.naturalHeight + (ht - side) / 2,
        side,
        side,
        0,
        0,
        128,
        128,
      );
  });
  image.src = api.thumbnail(state.library.library_id, hit, one.box ? 320 : 160);
  return h(
    "button",
    {
      type: "button",
      class: "mark-crop",
      "aria-label": `Show ${fileName(hit.path ?? "the picture")} larger`,
      on: { click: () => showMark(one) },
    },
    canvas,
  );
}

async function showMark(one) {
  await openImage(one.image_id);
  if (one.box) marks.select(one.key);
}

/** The words of a mark: a chip that becomes a field. */
function caption(one) {
  if (!one.box) return h("strong", { class: "small", text: "Whole picture" });
  if (editing === one.key) return captionField(one);
  const writing = one.caption === null && one.caption_by === "captioner";
  const text = writing ? "Finding words" : one.caption || "Add words";
  const failure = failureOf(one);
  const chip = h(
    "button",
    {
      type: "button",
      class: `chip${writing ? " writing" : ""}${failure ? " failed" : ""}${one.arrived ? " arrived" : ""}`,
      title: failure ? `${failure.message}. Write the words yourself (e)` : "Edit these words (e)",
      "aria-label": writing
        ? "A caption is being written"
        : failure
          ? "No caption: the captioner failed. Write one"
          : `Caption: ${text}. Edit`,
      on: { click: () => edit(one.key) },
    },
    failure ? icon("warn") : null,
    h("span", { text }),
  );
  return chip;
}

function captionField(one) {
  const field = h("input", {
    class: "chip-edit",
    value: one.caption ?? "",
    "aria-label": "Caption of this box",
    maxlength: "1000",
  });
  const finish = (keep) => {
    if (editing !== one.key) return;
    editing = "";
    entries.delete(one.key);
    if (keep && field.value.trim() !== (one.caption ?? "")) marks.writeCaption(one, field.value);
    else render();
    scroll.querySelector(`[data-key="${one.key}"] .chip`)?.focus();
  };
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    finish(event.key === "Enter");
  });
  field.addEventListener("blur", () => setTimeout(() => finish(true), 0));
  return field;
}

/** Opens a caption for editing. @param {string} key */
export function edit(key) {
  editing = key;
  lift(true);
  render();
  const field = /** @type {HTMLInputElement|null} */ (scroll.querySelector(".chip-edit"));
  field?.focus();
  field?.select();
}

/** Puts the keyboard on the list. */
export function focusTray() {
  lift(true);
  /** @type {HTMLElement|null} */ (scroll.querySelector(".mark button, .side-head button"))?.focus();
}

/** On a narrow screen the list is a sheet. @param {boolean} [up] */
export function lift(up) {
  byId("side").classList.toggle("up", up);
  byId("dock")
    .querySelector("[aria-expanded]")
    ?.setAttribute("aria-expanded", String(byId("side").classList.contains("up")));
}

function againLabel() {
  const n = state.judgements.length;
  return n ? `Look again with ${plural(n, "mark")}` : "Look again";
}

/** A field for words without a picture. @param {"relevant"|"irrelevant"} which @param {string} label */
function wordsField(which, label) {
  return h("input", {
    class: "field",
    name: which,
    "aria-label": label,
    placeholder: label,
    maxlength: "2000",
    on: {
      input: (event) => (state.words[which] = event.target.value),
      keydown: (event) => event.key === "Enter" && (event.preventDefault(), lookAgain()),
    },
  });
}

/** The ways of using marks, as the server has them; asked for once. @type {{name: string, summary: string}[]} */
let ways = [];

function wayField() {
  const field = h("select", {
    class: "field",
    name: "way",
    "aria-label": "How marks are used",
    on: { change: () => set({ strategy: field.value }, "view") },
  });
  if (!ways.length)
    api.strategies().then(({ strategies }) => {
      ways = strategies;
      showWays(field);
    }, complain);
  return field;
}

/** @param {HTMLSelectElement} field */
function showWays(field) {
  if (field.options.length !== ways.length)
    fill(field, ...ways.map(({ name, summary }) => h("option", { value: name, text: name, title: summary })));
  field.value = strategy();
  field.title = ways.find(({ name }) => name === field.value)?.summary ?? "";
}

function makeFoot() {
  const again = button("", lookAgain, "primary", "again");
  again.title = "Look again (Enter)";
  const choices = { null: "those that fit stay", true: "all may come again", false: "none comes again" };
  const options = Object.entries(choices).map(([value, text]) => h("option", { value, text }));
  const shown = h("select", { class: "field", name: "shown", "aria-label": "Pictures already shown" }, ...options);
  shown.addEventListener("change", () => set({ keepShown: JSON.parse(shown.value) }, "view"));
  fill(
    foot,
    again,
    wordsField("relevant", "What fits, in words"),
    wordsField("irrelevant", "What does not fit, in words"),
    button("Keep what it learnt", openSave, "button keep", "flag"),
    h("label", { class: "check small" }, "Already shown", shown),
    h("label", { class: "check small" }, "Strategy", wayField()),
  );
}

function renderFoot() {
  if (!foot.children.length) makeFoot();
  foot.querySelector(".primary span").textContent = againLabel();
  /** @type {HTMLSelectElement} */ (foot.querySelector("[name=shown]")).value = String(keepsShown());
  for (const which of ["relevant", "irrelevant"])
    /** @type {HTMLInputElement} */ (foot.querySelector(`[name=${which}]`)).value = state.words[which];
  showWays(foot.querySelector("[name=way]"));
  /** @type {HTMLElement} */ (foot.querySelector(".keep")).hidden = !state.judgements.some((one) => one.relevant);
}

function renderDock() {
  const dock = byId("dock");
  const n = state.judgements.length + state.drafts.length;
  if (!dock.children.length) {
    const open = button("", () => lift(!byId("side").classList.contains("up")));
    open.setAttribute("aria-expanded", "false");
    open.setAttribute("aria-controls", "side");
    fill(
      dock,
      open,
      button("Look again", () => (lift(false), lookAgain()), "primary", "again"),
    );
  }
  dock.querySelector("span").textContent = `Marked ${n}`;
}
