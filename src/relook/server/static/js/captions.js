/** Captions that arrive later: listens to the session's events while one is being written. */

import * as api from "./api.js";
import { announce } from "./notices.js";
import { set, state } from "./state.js";

/** @type {EventSource|null} */
let source = null;
let address = "";
let idle = 0;
let poll = 0;
/** Events can overtake the answer that names their judgement: kept by number. @type {Map<number, any>} */
const early = new Map();
/** Why a box has no words, by session and number. @type {Map<string, {message: string, hint: string}>} */
const failures = new Map();
const nameOf = (one, session = state.session?.session_id) => `${session} ${one.judgement_id}`;

/** Why the captioner found no words for a judgement. @param {import("./state.js").Judgement} one */
export const failureOf = (one) =>
  one.caption === "" && one.caption_by === "captioner" ? failures.get(nameOf(one)) : undefined;

/** Keeps what the server tells of failures, which only some of its answers do. @param {any[]} judgements @param {string} [session] */
export function learnFailures(judgements, session) {
  for (const one of judgements) if (one.failure) failures.set(nameOf(one, session), one.failure);
}

/** @param {any} one judgement */
const isWaiting = (one) => one.box && one.caption === null && one.caption_by === "captioner";

/** Call before a box goes to the server: opens the event stream if it is not open. */
export function captionsExpected() {
  if (!state.session) return;
  const wanted = api.eventsUrl(state.library.library_id, state.session.session_id);
  if (!source || source.readyState === EventSource.CLOSED || address !== wanted) open(wanted);
  clearTimeout(idle);
  clearTimeout(poll);
  poll = window.setTimeout(catchUp, 4000);
  idle = window.setTimeout(closeStream, 60000);
}

function open(wanted) {
  closeStream();
  address = wanted;
  source = new EventSource(wanted);
  source.addEventListener("caption", (event) => arrived(JSON.parse(event.data)));
}

/** Leaves the stream; a browser has few connections to one server. */
export function closeStream() {
  source?.close();
  source = null;
  clearTimeout(poll);
}

function arrived(one) {
  const known = state.judgements.find((row) => row.judgement_id === one.judgement_id);
  if (!known) {
    early.set(one.judgement_id, one);
    return;
  }
  apply(known, one);
}

function apply(known, one) {
  if (known.caption_by === "person" && known.caption !== null) return; // the person's words stand
  if (known.caption === one.caption) return;
  learnFailures([one]);
  const judgements = state.judgements.map((row) =>
    row === known ? { ...row, caption: one.caption, caption_by: one.caption_by, arrived: true } : row,
  );
  set({ judgements }, "marks");
  if (one.caption) announce(`Caption: ${one.caption}`);
  else if (one.failure) announce(`No words for this box: ${one.failure.message}`);
}

/** An event may have come before the answer, or been missed. */
export function matchEarly() {
  for (const known of state.judgements) {
    if (known.judgement_id === null) continue;
    const caption = early.get(known.judgement_id);
    if (!caption) continue;
    early.delete(known.judgement_id);
    apply(known, caption);
  }
}

async function catchUp() {
  if (!state.session || !state.judgements.some(isWaiting)) return;
  try {
    const now = await api.session(state.library.library_id, state.session.session_id);
    for (const one of now.judgements) if (!isWaiting(one)) arrived(one);
  } catch {
    // the next round asks again
  }
  if (state.judgements.some(isWaiting)) poll = window.setTimeout(catchUp, 8000);
}
