/** Keyboard commands, and the overlay that lists them. */

import { toggleFavourite } from "./albums.js";
import { askAbout } from "./ask.js";
import { STEPS, boxKey, boxOn, nextBox } from "./boxkeys.js";
import { byId, fill, h, iconButton } from "./dom.js";
import { openFilters } from "./filters.js";
import { stepRound } from "./history.js";
import { openLibrary } from "./library.js";
import * as marks from "./marks.js";
import { compare, lookAgain, redo, undo } from "./rounds.js";
import { focusSearch, isCommandHere, typeHere } from "./search.js";
import { current, keep, may, recall, selectedBox, set, state } from "./state.js";
import { edit, focusTray, lift } from "./tray.js";
import { closeViewer, editHere, like, openAt, pan, playShown, shownHit, step, toggleHeat, toggleWhy, viewerOpen, zoomKey } from "./viewer.js";
import { check } from "./share.js";

/** @type {[string, string[][]][]} */
const HELP = [
  [
    "Find",
    [
      ["/", "go to the search box; before a search any letter does"],
      ["f", "filters: path and metadata"],
      ["Ctrl V", "search with the picture on the clipboard"],
      ["m", "more like this picture"],
    ],
  ],
  [
    "Move",
    [
      ["← ↑ ↓ →", "picture to picture (also h j k l)"],
      ["Home End", "first, last picture"],
      ["o", "larger view, and back"],
      ["g", "go to your marks"],
    ],
  ],
  [
    "Mark",
    [
      ["r", "relevant (Space, too)"],
      ["i", "irrelevant"],
      ["b", "a box on the picture"],
      ["n", "next box"],
      ["e", "edit the box's caption"],
    ],
  ],
  [
    "Box",
    [
      ["arrows", "move it by 1 px, with Shift 10 px"],
      ["Alt arrows", "resize it, with Shift 10 px"],
      ["r i", "relevant, irrelevant"],
      ["d", "delete it"],
      ["Esc", "leave it"],
    ],
  ],
  [
    "Look again",
    [
      ["Enter", "look again"],
      ["z, Shift+Z", "undo, make it again"],
      ["x", "before and after"],
      ["[ ]", "page before, page after"],
    ],
  ],
  [
    "See",
    [
      ["w", "why is this here?"],
      ["v", "favourite: put a star on this picture, or take it off"],
      ["a", "ask about this picture"],
      ["+ - 0", "larger, smaller, whole (larger view)"],
      ["Shift arrows", "move the enlarged picture"],
      ["t", "heat map (larger view)"],
      ["p", "play the video (larger view)"],
      ["s", "scores"],
      ["Shift L", "the library"],
      ["?", "these commands"],
    ],
  ],
];

const ARROWS = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
  h: "left",
  l: "right",
  k: "up",
  j: "down",
};

/** What keys of a box do beside it: the keyboard goes back to its picture, its caption is edited. */
const ofBox = {
  leave: () => !viewerOpen() && grid.focus(),
  edit: (key) => (viewerOpen() ? editHere(key) : edit(key)),
};

const help = h("dialog", { class: "sheet", "aria-labelledby": "help-title" });
/** @type {import("./grid.js").Grid} */
let grid;
/** @type {(at: number) => void} */
let searchLike = () => undefined;

/** @param {import("./grid.js").Grid} theGrid @param {(at: number) => void} likeIt */
export function setUpKeys(theGrid, likeIt) {
  grid = theGrid;
  searchLike = likeIt;
  document.body.append(help);
  fillHelp();
  byId("open-help").addEventListener("click", openHelp);
  help.addEventListener("click", (event) => event.target === help && help.close());
  document.addEventListener("keydown", pressed);
}

const openHelp = () => help.showModal();

function fillHelp() {
  const keysOn = check(
    "Single keys give commands (switch off if they get in your way)",
    recall("keys", true),
    (on) => keep("keys", on),
  );
  fill(
    help,
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "help-title", text: "Keyboard commands" }),
      iconButton("cross", "Close (Esc)", () => help.close()),
    ),
    h(
      "div",
      { class: "sheet-body" },
      h(
        "div",
        { class: "keys" },
        ...HELP.map(([title, rows]) =>
          h(
            "section",
            {},
            h("h3", { text: title }),
            h(
              "dl",
              {},
              ...rows.flatMap(([keys, what]) => [
                h("dt", {}, ...keys.split(" ").flatMap((key, at) => [at ? " " : "", h("kbd", { text: key })])),
                h("dd", { text: what }),
              ]),
            ),
          ),
        ),
      ),
      keysOn,
    ),
  );
}

/** Whether the key belongs to a field. @param {KeyboardEvent} event */
function inField(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target.matches("[type=range]")) return !!STEPS[event.key];
  return target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]") && !isCommandHere(event);
}

/** Whether the key begins a search: before the first one, all that writes a character does. @param {KeyboardEvent} event */
const writes = ({ key, altKey }) =>
  !state.session && !viewerOpen() && !altKey && [...key].length === 1 && !" /?".includes(key);

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey) return;
  if (inField(event) || document.querySelector("dialog[open]:not(.viewer), .menu")) return;
  if (event.key === "Escape") return escape(event);
  if (writes(event)) return typeHere();
  if (recall("keys", true) === false && event.key.length === 1 && event.key !== " ") return;
  const box = selectedBox();
  const run = (box && boxKey(event, box, ofBox)) || commandKey(event);
  if (!run) return;
  event.preventDefault();
  run();
}

function escape(event) {
  const box = selectedBox();
  if (box && !("relevant" in box)) marks.removeBox(box);
  else if (box) marks.select(null);
  else if (viewerOpen()) closeViewer();
  else if (byId("side").classList.contains("up")) lift(false);
  else if (!byId("side").contains(document.activeElement)) return;
  event.preventDefault();
  if (!viewerOpen()) grid.focus();
}

/** @returns {(() => void)|null} */
function commandKey(event) {
  const { key } = event;
  if (event.altKey) return null;
  if (ARROWS[key] && !(event.shiftKey && key.length === 1)) return arrow(ARROWS[key], event);
  const anywhere = {
    "/": leaveAnd(focusSearch),
    f: leaveAnd(() => openFilters(true)),
    "?": openHelp,
    L: leaveAnd(openLibrary),
  }[key];
  if (anywhere) return anywhere;
  if (key === "o") return viewerOpen() ? closeViewer : () => openAt(state.cursor);
  if (key === "a" && may("mark")) return () => askAbout(shownHit() ?? current());
  if (key === "p" && viewerOpen()) return playShown;
  if (viewerOpen() && zoomKey(key)) return zoomKey(key);
  if (key === "v" && may("mark")) return () => toggleFavourite(shownHit() ?? current());
  if (key === "m") return viewerOpen() ? like : () => searchLike(state.cursor);
  if (!state.session) return null;
  return roundKey(event) ?? pictureKey(event);
}

function roundKey({ key, target }) {
  const pressable = /** @type {HTMLElement} */ (target).closest("button, a, summary, input");
  const ofPicture = !pressable || pressable.matches(".photo");
  if (key === "Enter") return ofPicture ? () => leaveAnd(lookAgain)().then(() => grid.focus()) : null;
  return (
    {
      z: undo,
      Z: redo,
      x: leaveAnd(compare),
      "[": leaveAnd(() => stepRound(-1)),
      "]": leaveAnd(() => stepRound(1)),
      g: leaveAnd(focusTray),
      s: () => set({ scores: !state.scores }, "view"),
    }[key] ?? null
  );
}

function pictureKey({ key }) {
  const hit = shownHit() ?? current();
  if (!hit) return null;
  return (
    {
      r: () => marks.toggle(hit.image_id, true),
      i: () => marks.toggle(hit.image_id, false),
      b: () => boxOn(hit, within()),
      n: () => nextBox(hit, within()),
      w: () => (viewerOpen() ? toggleWhy(true) : openAt(state.cursor, true)),
      t: () => {
        if (!viewerOpen()) openAt(state.cursor);
        toggleHeat();
      },
      Home: viewerOpen() ? null : () => grid.go(0),
      End: viewerOpen() ? null : () => grid.go(grid.places.length - 1),
    }[key] ?? null
  );
}

/** @param {() => any} run @returns {() => Promise<any>} */
const leaveAnd = (run) => async () => {
  if (viewerOpen()) closeViewer();
  return run();
};

function arrow(where, event) {
  if (viewerOpen() && event.shiftKey) return () => pan(.../** @type {[-1|0|1, -1|0|1]} */ (STEPS[event.key]));
  if (viewerOpen()) return where === "left" || where === "up" ? () => step(-1) : () => step(1);
  if (!state.hits.length || /** @type {HTMLElement} */ (event.target).closest(".side, .top, .bar, .dock"))
    return null;
  return () => grid.go(where);
}

const within = () =>
  (viewerOpen() ? document.querySelector(".viewer") : document.querySelector(".grid")) ?? document.body;
