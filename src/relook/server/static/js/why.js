/** Why a picture is here, and what a mark did. */

import * as api from "./api.js";
import { fileName, fill, h, icon } from "./dom.js";
import { settled } from "./marks.js";
import { pageSize, state, strategy } from "./state.js";

const where = () => [state.library.library_id, state.session.session_id];

/**
 * The reasons of a hit as bars.
 * @param {HTMLElement} host @param {import("./state.js").Hit} hit
 */
export async function showReasons(host, hit) {
  fill(host, h("p", { class: "note", text: "Working it out …" }));
  try {
    await settled();
    const { score, reasons } = await api.why(...where(), hit.image_id, { strategy: strategy() });
    const most = Math.max(...reasons.map((reason) => Math.abs(reason.amount)), 1e-9);
    fill(
      host,
      h("p", { class: "note", text: `Score ${score.toFixed(3)} is the sum of:` }),
      h("ul", { class: "reasons" }, ...reasons.slice(0, 12).map((reason) => reasonRow(reason, most))),
      h("p", {
        class: "note",
        text: "It follows your marks as they are now, also those you made on this page.",
      }),
    );
  } catch (error) {
    fill(
      host,
      h("p", { class: "note", text: error.message }),
      error.hint ? h("p", { class: "note", text: error.hint }) : null,
    );
  }
}

function reasonRow(reason, most) {
  const down = reason.amount < 0;
  const bar = h("i");
  bar.style.width = `${(Math.abs(reason.amount) / most) * 100}%`;
  return h(
    "li",
    { class: down ? "reason down" : "reason" },
    h("span", { class: "name", title: reason.name }, ...reasonName(reason)),
    h("span", { class: "number", text: signed(reason.amount) }),
    h("span", { class: "track" }, bar),
  );
}

/** @param {number} amount */
function signed(amount) {
  const digits = Math.abs(amount).toFixed(3);
  return `${digits === "0.000" ? "" : amount < 0 ? "−" : "+"}${digits}`;
}

/** Shares that are neither words of the query nor a mark, for people. @type {Record<string, string>} */
const PLAIN = {
  phrasing: "how people describe what you marked",
  "first page": "what the first page has in common",
  "first page, likely": "what the likely pictures of the first page have in common",
  "first page, unlikely": "what its unlikely pictures have in common",
  "summary of relevant": "what the marked pictures have in common",
  "summary of the first page": "what the first page has in common",
  "first page, little regarded": "what its little regarded pictures have in common",
};

/** Who gave the share: words of the query, or one of the marks. */
function reasonName(reason) {
  const mark = state.judgements.find((row) => row.judgement_id === reason.judgement_id);
  if (!mark) {
    const part = state.session.query.parts?.find((asked) => asked.text === reason.name);
    if (!part && PLAIN[reason.name]) return [h("span", { text: PLAIN[reason.name] })];
    const minus = (part?.weight ?? 1) < 0;
    return [h("span", { text: minus ? `without “${reason.name}”` : `“${reason.name}”` })];
  }
  const sign = icon(mark.relevant ? "tick" : "cross");
  sign.classList.add(mark.relevant ? "yes" : "no");
  const hit = state.pictures.get(mark.image_id) ?? { image_id: mark.image_id };
  const words = mark.caption || (mark.box ? "a part of it" : "the whole picture");
  return [
    sign,
    h("img", {
      src: api.thumbnail(state.library.library_id, hit, 80),
      alt: mark.relevant ? "relevant" : "irrelevant",
    }),
    h("span", { text: words }),
  ];
}

/** What one mark moved. @param {HTMLElement} host @param {number} judgementId @param {(hit: any) => void} open */
export async function showInfluence(host, judgementId, open) {
  fill(host, h("p", { class: "note", text: "Working it out …" }));
  try {
    await settled();
    const groups = moves(await api.influence(...where(), judgementId, { strategy: strategy() }), pageSize());
    const strips = Object.entries(groups).map(([title, moved]) => strip(title, moved, open));
    const page = `The page is the first ${pageSize()} pictures that your marks lead to.`;
    fill(host, ...strips, h("p", { class: "note", text: strips.length ? page : "This mark moved nothing by itself." }));
  } catch (error) {
    fill(host, h("p", { class: "note", text: `${error.message} ${error.hint ?? ""}` }));
  }
}

/**
 * Moves by what somebody sees of them. A score may change without a place changing; places are what is seen.
 * @param {Api.Influence} influence @param {number} n pictures on a page @returns {Record<string, Api.Moved[]>}
 */
export function moves(influence, n) {
  const raised = influence.raised.filter((move) => move.rank < move.rank_without);
  const lowered = influence.lowered.filter((move) => move.rank > move.rank_without);
  const groups = {
    "Moved onto the page": raised.filter((move) => move.rank <= n && move.rank_without > n),
    "Moved up on the page": raised.filter((move) => move.rank_without <= n),
    "Moved up, not yet on the page": raised.filter((move) => move.rank > n),
    "Left the page": lowered.filter((move) => move.rank > n && move.rank_without <= n),
    "Moved down on the page": lowered.filter((move) => move.rank <= n),
    "Moved further down": lowered.filter((move) => move.rank_without > n),
  };
  return Object.fromEntries(Object.entries(groups).filter(([, moved]) => moved.length));
}

function strip(title, moved, open) {
  const photo = (move) =>
    h(
      "button",
      { type: "button", title: fileName(move.path), "aria-label": `${title}: ${fileName(move.path)}`, on: { click: () => open(move) } },
      h("img", {
        src: api.thumbnail(state.library.library_id, { image_id: move.image_id }, 80),
        alt: "",
        loading: "lazy",
      }),
    );
  return h(
    "div",
    {},
    h("p", { class: "note", text: title }),
    h("ul", { class: "strip" }, ...moved.map((move) => h("li", {}, photo(move)))),
  );
}
