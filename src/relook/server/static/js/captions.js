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
const nameOf = (judgement, session = state.session?.session_id) => `${session} ${judgement.judgement_id}`;

/** Why the captioner found no words for a judgement. @param {import("./state.js").Judgement} judgement */
export const failureOf = (judgement) =>
  judgement.caption === "" && judgement.caption_by === "captioner" ? failures.get(nameOf(judgement)) : undefined;

/** Keeps what the server tells of failures, which only some of its answers do. @param {any[]} judgements @param {string} [session] */
export function learnFailures(judgements, session) {
  for (const judgement of judgements) if (judgement.failure) failures.set(nameOf(judgement, session), judgement.failure);
}

/** Whether the words of a box are still being written. @param {any} judgement */
export const isWaiting = (judgement) => judgement.box && judgement.caption === null && judgement.caption_by === "captioner";

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

function arrived(captioned) {
  const known = state.judgements.find((row) => row.judgement_id === captioned.judgement_id);
  if (!known) {
    early.set(captioned.judgement_id, captioned);
    return;
  }
  apply(known, captioned);
}

function apply(known, captioned) {
  if (known.caption_by === "person" && known.caption !== null) return; // the person's words stand
  const isNews = captioned.failure && !failureOf(known);
  learnFailures([captioned]); // also where the empty caption came before its reason
  if (known.caption === captioned.caption && !isNews) return;
  const judgements = state.judgements.map((row) =>
    row === known ? { ...row, caption: captioned.caption, caption_by: captioned.caption_by, arrived: true } : row,
  );
  set({ judgements }, "marks");
  if (captioned.caption) announce(`Caption: ${captioned.caption}`);
  else if (captioned.failure) announce(`No words for this box: ${captioned.failure.message}`);
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
    for (const judgement of now.judgements) if (!isWaiting(judgement)) arrived(judgement);
  } catch {
    // the next round asks again
  }
  if (state.judgements.some(isWaiting)) poll = window.setTimeout(catchUp, 8000);
}
