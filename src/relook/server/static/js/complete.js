/** "All of them?": how many are found of how many there may be, and the next picture worth judging. */

import * as api from "./api.js";
import { button, fill, h, plural } from "./dom.js";
import * as marks from "./marks.js";
import { announce } from "./notices.js";
import { on, state } from "./state.js";
import { openImage } from "./viewer.js";

const N_NEXT = 5; // named at a time, so that the next one is there before the server has answered
const QUIET_MS = 300; // after the last mark
const ENOUGH = 0.9;

const title = h("h3", { text: "All of them?" });
const summary = h("p", { class: "small" });
const track = h("div", { class: "set-track" });
const next = h("div", { class: "set-next" });
const notes = h("div", {});
/** The section of the list of marks; hidden until something is marked. */
export const completeness = h(
  "section",
  { class: "tray-group complete", "aria-label": "All of them?", hidden: true },
  title,
  summary,
  track,
  next,
  notes,
);

/** @type {Api.Estimate|null} */
let estimate = null;
/** What the estimate was asked for: another answer is too old. */
let askedFor = "";
let timer = 0;

export function setUpComplete() {
  on(["marks", "session"], () => {
    completeness.hidden = !state.session || !state.judgements.length;
    showNext();
    if (completeness.hidden || stamp() === askedFor) return;
    clearTimeout(timer);
    timer = window.setTimeout(ask, QUIET_MS);
  });
}

/** What an estimate depends on, as far as this page knows it. */
function stamp() {
  const signs = state.judgements.map((judgement) => [judgement.image_id, judgement.relevant, Boolean(judgement.box)].join());
  return JSON.stringify([state.session?.session_id, state.round, signs.sort()]);
}

async function ask() {
  const wanted = stamp();
  askedFor = wanted;
  await marks.settled();
  try {
    const made = await api.estimate(state.library.library_id, state.session.session_id, N_NEXT);
    if (wanted === askedFor) show(made);
  } catch (error) {
    askedFor = "";
    if (wanted === stamp()) fill(notes, h("p", { class: "note", text: error.message }));
  }
}

/** @param {Api.Estimate} made */
function show(made) {
  if (made.complete && !estimate?.complete) announce(made.summary);
  estimate = made;
  summary.textContent = made.summary;
  completeness.classList.toggle("enough", made.complete);
  track.hidden = !made.n_found;
  const most = Math.max(made.high, 1);
  const share = (n) => `${Math.min(100, (100 * n) / most)}%`;
  const foundBar = h("i", { class: "set-found" });
  const likely = h("i", { class: "set-likely" });
  const line = h("i", { class: "set-line", title: "Nine of ten of the most there may be" });
  foundBar.style.width = share(made.n_found);
  Object.assign(likely.style, { left: share(made.low), right: "0" });
  line.style.left = share(ENOUGH * most);
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", `${made.n_found} found, at most ${made.high} in all`);
  fill(track, likely, foundBar, line);
  const looked = `${plural(made.n_seen, "picture")} of ${made.n_images.toLocaleString("en")} looked at.`;
  fill(notes, ...[looked, ...made.notes].map((text) => h("p", { class: "note", text })));
  showNext();
}

/** The likeliest picture that is not judged on this page yet. */
function showNext() {
  const judged = new Set(state.judgements.map((judgement) => judgement.image_id));
  const id = estimate?.to_judge.find((candidate) => !judged.has(candidate.image_id))?.image_id;
  if (completeness.hidden || !id) return fill(next);
  if (next.dataset.id === String(id) && next.childElementCount) return;
  const held = next.contains(document.activeElement)
    ? /** @type {HTMLElement} */ (document.activeElement).dataset.sign
    : undefined;
  next.dataset.id = String(id);
  const sign = (relevant) => {
    const made = button(
      relevant ? "Fits" : "Does not",
      () => marks.mark(id, relevant),
      "quiet small-button",
      relevant ? "tick" : "cross",
    );
    made.dataset.sign = String(relevant);
    return made;
  };
  const photo = h(
    "button",
    { type: "button", class: "set-photo", "aria-label": "Show it larger", on: { click: () => openImage(id) } },
    h("img", { src: api.thumbnail(state.library.library_id, { image_id: id }, 240), alt: "" }),
  );
  fill(
    next,
    h("p", { class: "note", text: estimate?.complete ? "Still the likeliest" : "Worth judging next" }),
    photo,
    h("div", { class: "mark-signs" }, sign(true), sign(false)),
  );
  if (held) /** @type {HTMLElement} */ (next.querySelector(`[data-sign="${held}"]`)).focus();
  marks.learn(id);
}
