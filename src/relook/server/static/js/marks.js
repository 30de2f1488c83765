/** Judging: every change shows at once, goes to the server in order, and is taken back if refused. */

import * as api from "./api.js";
import { captionsExpected } from "./captions.js";
import { plural } from "./dom.js";
import { announce, complain } from "./notices.js";
import { boxesOf, markOf, remember, set, state } from "./state.js";

/** @typedef {import("./state.js").Judgement} Judgement */
/** @typedef {import("./state.js").Box} Box */
/** @typedef {import("./state.js").Hit} Hit */

let tail = Promise.resolve();
let n_keys = 0;

/** Runs after everything that was asked before; keeps the server's order. @param {() => Promise<any>} job */
function enqueue(job) {
  const run = tail.then(job);
  tail = run.catch(() => undefined);
  return run;
}

/** Resolves when the server has everything. */
export const settled = () => tail;

export const newKey = () => `k${(n_keys += 1)}`;

/** The server's judgement with a key that stays. @param {any} judgement @param {string} [key] @returns {Judgement} */
export const known = (judgement, key) => ({ ...judgement, key: key ?? `j${judgement.judgement_id}` });

const where = () => [state.library.library_id, state.session.session_id];
const say = (what) => announce(`${what}. ${plural(state.judgements.length, "mark")} so far.`);

/** Replaces one judgement in place and tells. @param {string} key @param {Partial<Judgement>} patch */
export function patchMark(key, patch) {
  set({ judgements: state.judgements.map((judgement) => (judgement.key === key ? { ...judgement, ...patch } : judgement)) }, "marks");
}

/** Marks a picture or a box. @param {number} imageId @param {boolean} relevant @param {Box|null} [box] @param {string} [key] */
export function mark(imageId, relevant, box = null, key = newKey()) {
  if (!state.session) return null;
  const [L, S] = where();
  const old = box ? null : markOf(imageId);
  if (old) {
    sign(old, relevant);
    return old.key;
  }
  const fresh = {
    key,
    judgement_id: null,
    round: state.round,
    led_to: null,
    image_id: imageId,
    relevant,
    box,
    caption: null,
    caption_by: box ? "captioner" : "person",
    weight: 1,
  };
  set(
    { judgements: [...state.judgements, fresh], drafts: state.drafts.filter((draft) => draft.key !== key) },
    "marks",
  );
  say(`${box ? "Box" : "Picture"} ${relevant ? "relevant" : "irrelevant"}`);
  if (box) captionsExpected();
  enqueue(async () => {
    const made = await api.judge(L, S, { image_id: imageId, relevant, box });
    const local = state.judgements.find((judgement) => judgement.key === key);
    if (local)
      patchMark(key, {
        ...made,
        relevant: local.relevant,
        box: local.box,
        caption: local.caption ?? made.caption,
      });
    if (made.caption === null && box) captionsExpected();
    return made;
  }).catch((error) => {
    set({ judgements: state.judgements.filter((judgement) => judgement.key !== key) }, "marks");
    complain(error);
  });
  return key;
}

/** Marks, or takes the same mark back. @param {number} imageId @param {boolean} relevant */
export function toggle(imageId, relevant) {
  const now = markOf(imageId);
  if (now && now.relevant === relevant) remove(now);
  else mark(imageId, relevant);
}

/** The server's number of a judgement; it may still be on its way. @param {string} key */
const numberOf = (key, fallback) => state.judgements.find((judgement) => judgement.key === key)?.judgement_id ?? fallback;

/** Takes one judgement back. @param {Judgement} judgement */
export function remove(judgement) {
  const [L, S] = where();
  set(
    {
      judgements: state.judgements.filter((row) => row.key !== judgement.key),
      selected: state.selected === judgement.key ? null : state.selected,
    },
    "marks",
    "selection",
  );
  say(judgement.box ? "Box taken away" : "Mark taken away");
  // One job, so that a mark made next is not the one that goes: it has the same place.
  enqueue(async () => {
    const number = judgement.judgement_id ?? (await askNumber(L, S, judgement));
    if (number !== undefined) await api.removeJudgement(L, S, number);
  }).catch((error) => {
    set({ judgements: [...state.judgements, judgement] }, "marks");
    complain(error);
  });
}

/** The number of a mark that left the page before the answer to its own request came. */
async function askNumber(L, S, judgement) {
  const { judgements } = await api.session(L, S);
  return judgements.filter((row) => row.image_id === judgement.image_id && same(row.box, judgement.box)).at(-1)?.judgement_id;
}

const same = (a, b) => (!a && !b) || (a && b && a.every((edge, at) => Math.abs(edge - b[at]) < 1e-4));

/** Changes a judgement here at once and then on the server. @param {Judgement} judgement @param {Partial<Judgement>} patch */
function change(judgement, patch) {
  const [L, S] = where();
  patchMark(judgement.key, patch);
  const sent = Object.fromEntries(
    ["relevant", "box", "caption"].filter((name) => name in patch).map((name) => [name, patch[name]]),
  );
  enqueue(async () => {
    const number = numberOf(judgement.key, judgement.judgement_id);
    if (number === null) return; // it was refused, and has left the page
    const made = await api.changeJudgement(L, S, number, sent);
    if (patch.box && made?.caption !== undefined)
      patchMark(judgement.key, { caption: made.caption, caption_by: made.caption_by });
    if (patch.box && made?.judgement_id) patchMark(judgement.key, { judgement_id: made.judgement_id });
  }).catch((error) => {
    patchMark(judgement.key, Object.fromEntries(Object.keys(patch).map((name) => [name, judgement[name]])));
    complain(error);
  });
}

/** @param {Judgement} judgement @param {boolean} relevant */
export function sign(judgement, relevant) {
  if (judgement.relevant === relevant) return;
  change(judgement, { relevant });
  say(relevant ? "Now relevant" : "Now irrelevant");
}

/** @param {Judgement} judgement @param {string} caption */
export function writeCaption(judgement, caption) {
  change(judgement, { caption: caption.trim(), caption_by: "person" });
  say("Caption saved");
}

/** Has the words of a box written anew, after a failure. @param {Judgement} judgement */
export function askCaption(judgement) {
  const [L, S] = where();
  patchMark(judgement.key, { caption: null, caption_by: "captioner" });
  captionsExpected();
  enqueue(() => api.captionAgain(L, S, numberOf(judgement.key, judgement.judgement_id))).catch((error) => {
    patchMark(judgement.key, { caption: judgement.caption, caption_by: judgement.caption_by });
    complain(error);
  });
}

const moving = new Map();

/** Moves a box; the server hears of it when the box rests. @param {string} key @param {Box} box */
export function moveBox(key, box) {
  if (state.drafts.some((draft) => draft.key === key)) {
    set({ drafts: state.drafts.map((draft) => (draft.key === key ? { ...draft, box } : draft)) }, "marks");
    return;
  }
  const judgement = state.judgements.find((row) => row.key === key);
  if (!judgement) return;
  patchMark(key, { box });
  clearTimeout(moving.get(key)?.timer);
  const from = moving.get(key)?.from ?? judgement;
  const send = () => {
    moving.delete(key);
    const now = state.judgements.find((row) => row.key === key);
    if (!now) return;
    if (now.caption_by === "captioner") captionsExpected();
    change(from, { box: now.box, ...(now.caption_by === "captioner" ? { caption_by: "captioner" } : {}) });
  };
  moving.set(key, { from, send, timer: setTimeout(send, 400) });
}

/** Sends boxes that have just been moved, without waiting for them to rest. */
export function flush() {
  for (const { timer, send } of [...moving.values()]) {
    clearTimeout(timer);
    send();
  }
}

/** A new box without a sign. @param {number} imageId @param {Box} box @returns {string} its key */
export function draft(imageId, box) {
  const key = newKey();
  set({ drafts: [...state.drafts, { key, image_id: imageId, box }], selected: key }, "marks", "selection");
  announce("A box. Press r for relevant, i for irrelevant, d to delete it.");
  return key;
}

/** Gives the selected box or draft its sign. @param {any} drawn @param {boolean} relevant */
export function signBox(drawn, relevant) {
  if ("relevant" in drawn) sign(drawn, relevant);
  else mark(drawn.image_id, relevant, drawn.box, drawn.key);
}

/** @param {any} drawn judgement or draft */
export function removeBox(drawn) {
  if ("relevant" in drawn) remove(drawn);
  else set({ drafts: state.drafts.filter((row) => row.key !== drawn.key), selected: null }, "marks", "selection");
}

export const select = (key) => state.selected !== key && set({ selected: key }, "selection");

/** Fills in pictures of judgements that no page here has shown. */
export async function learnPictures() {
  const missing = [...new Set(state.judgements.map((judgement) => judgement.image_id))].filter(
    (id) => !state.pictures.has(id),
  );
  for (const id of missing) await learn(id);
  if (missing.length) set({}, "marks");
}

/** Makes a picture that is on no page known. @param {number} id */
export async function learn(id) {
  if (state.pictures.has(id)) return;
  try {
    remember([await api.image(state.library.library_id, id)]);
  } catch {
    // it left the library; the tray says so
  }
}

/** What a screen reader says of a picture's marks. @param {number} imageId */
export function spokenMarks(imageId) {
  const whole = markOf(imageId);
  const n_boxes = boxesOf(imageId).length;
  return [
    whole ? (whole.relevant ? "relevant" : "irrelevant") : "",
    n_boxes ? plural(n_boxes, "box", "boxes") : "",
  ]
    .filter(Boolean)
    .join(", ");
}
