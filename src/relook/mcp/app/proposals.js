/** What the agent would mark: shown with what it would do; the person accepts or vetoes. */

import { button, byId, fileName, fill, h, icon, place, plural } from "../../server/static/js/dom.js";
import * as marks from "../../server/static/js/marks.js";
import { announce } from "../../server/static/js/notices.js";
import { state } from "../../server/static/js/state.js";
import { moves } from "../../server/static/js/why.js";
import * as api from "./api.js";

/** @typedef {{image_id: number, relevant: boolean, box: import("../../server/static/js/state.js").Box|null, caption: string|null,
 *   reason: string, path: string, raised: any[], lowered: any[], does: string}} Proposed */
/** @typedef {{mark: Proposed, decided: ""|"accepted"|"vetoed"}} Proposal */

/** @type {Proposal[]} */
let proposals = [];
/** Called after each decision. */
let decided = () => undefined;

/** @param {() => any} run */
export const whenDecided = (run) => (decided = run);

/** Shows what is proposed now, instead of what was before. @param {Proposed[]} proposed */
export function propose(proposed) {
  proposals = proposed.map((mark) => ({ mark, decided: isMarked(mark) ? "accepted" : "" }));
  render();
}

/** What was decided, in words for the agent. */
export function decisionsInWords() {
  const lines = proposals.map(({ mark, decided }) => `${nameOf(mark)}: ${decided || "not decided"}`);
  return lines.length ? `Of the marks that you proposed: ${lines.join("; ")}.` : "";
}

const nameOf = (mark) =>
  `image ${mark.image_id}${mark.box ? ` box ${mark.box.map((edge) => edge.toFixed(2)).join(" ")}` : ""} ` +
  (mark.relevant ? "relevant" : "irrelevant");

const same = (a, b) => (!a && !b) || (a && b && a.every((edge, n) => Math.abs(edge - b[n]) < 1e-4));
const isMarked = (mark) =>
  state.judgements.some(
    (known) => known.image_id === mark.image_id && known.relevant === mark.relevant && same(known.box, mark.box),
  );

const open = () => proposals.filter((proposal) => !proposal.decided);

function decide(proposal, decision) {
  const { mark } = proposal;
  proposal.decided = decision;
  if (decision === "accepted") {
    if (mark.box && mark.caption) api.say(mark.image_id, mark.box, mark.caption);
    marks.mark(mark.image_id, mark.relevant, mark.box);
  }
  announce(`${decision === "accepted" ? "Accepted" : "Vetoed"}. ${plural(open().length, "proposal")} left.`);
}

/** Decides, and goes on with the keyboard at the next one. */
function decideAll(some, decision) {
  for (const proposal of some) decide(proposal, decision);
  render();
  decided();
  const next = byId("proposals").querySelector("button") ?? document.querySelector(".look-again");
  /** @type {HTMLElement|null} */ (next)?.focus({ preventScroll: true });
}

function render() {
  const host = byId("proposals");
  const left = open();
  host.hidden = !left.length;
  fill(
    host,
    h(
      "div",
      { class: "proposals-head" },
      h("h2", { text: `The agent would mark ${plural(left.length, "picture")}` }),
      h("p", { class: "note", text: "Nothing counts until you accept it." }),
      left.length > 1 && button("Accept all", () => decideAll(open(), "accepted"), "button small-button"),
      left.length > 1 && button("Veto all", () => decideAll(open(), "vetoed"), "button small-button"),
    ),
    h("ul", { class: "proposal-list" }, ...left.map(card)),
  );
  outline();
}

function card(proposal) {
  const { mark } = proposal;
  const sign = mark.relevant ? "relevant" : "irrelevant";
  const title = state.pictures.get(mark.image_id)?.title || fileName(mark.path);
  return h(
    "li",
    { class: `proposal ${sign}` },
    cut(mark),
    h(
      "div",
      { class: "proposal-body" },
      h("p", { class: "proposal-sign" }, icon(mark.relevant ? "tick" : "cross"), ` ${mark.relevant ? "Relevant" : "Irrelevant"}${mark.box ? ", this part" : ""}`),
      h("p", { class: "mark-name", title, text: title }),
      mark.caption ? h("p", { text: `“${mark.caption}”` }) : null,
      mark.reason ? h("p", { class: "proposal-reason", text: mark.reason }) : null,
      influence(mark),
    ),
    h(
      "div",
      { class: "proposal-buttons" },
      button("Accept", () => decideAll([proposal], "accepted"), "button small-button", "tick"),
      button("Veto", () => decideAll([proposal], "vetoed"), "button small-button", "cross"),
    ),
  );
}

/** What the mark would do: in words, and, opened, the pictures that it would move. */
function influence(mark) {
  const groups = Object.entries(moves(mark, Math.max(state.hits.length, 1)));
  const strips = h("div");
  const made = h(
    "details",
    { class: "proposal-does" },
    h("summary", { text: groups.length ? `Would do: ${mark.does}` : "Would move nothing by itself" }),
    strips,
  );
  made.addEventListener("toggle", () => made.open && fill(strips, ...groups.map(([title, moved]) => strip(title, moved))));
  return made;
}

function strip(title, moved) {
  const photo = (move) => h("img", { src: api.thumbnail(state.library.library_id, move), alt: fileName(move.path) });
  const photos = moved.map((move) => h("li", {}, photo(move)));
  return h("div", {}, h("p", { class: "note", text: title }), h("ul", { class: "strip" }, ...photos));
}

/** The picture with its box, small. */
function cut(mark) {
  const picture = h("img", { src: api.thumbnail(state.library.library_id, mark), alt: "" });
  const shown = h("div", { class: "proposal-photo" }, picture);
  if (mark.box) shown.append(boxOf(mark));
  return shown;
}

function boxOf(mark) {
  const box = h("div", { class: `proposed-box ${mark.relevant ? "relevant" : "irrelevant"}`, "aria-hidden": "true" });
  place(box, mark.box);
  return box;
}

/** Outlines on the pictures of the page. */
export function outline() {
  document.querySelectorAll(".grid .proposed, .grid .proposed-box").forEach((old) => old.remove());
  for (const { mark } of open()) {
    const tile = document.querySelector(`.grid .tile[data-id="${mark.image_id}"]`);
    if (mark.box) tile?.append(boxOf(mark));
    else tile?.append(h("span", { class: `proposed ${mark.relevant ? "relevant" : "irrelevant"}`, text: mark.relevant ? "✓ ?" : "✗ ?", "aria-hidden": "true" }));
  }
}
