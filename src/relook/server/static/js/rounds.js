/** The loop: search, look again, undo, go to a round, before and after. */

import * as api from "./api.js";
import { captionsExpected, closeStream, learnFailures } from "./captions.js";
import { forgetWaiting, whenBack } from "./connection.js";
import { byId, fill, h, plural } from "./dom.js";
import * as marks from "./marks.js";
import { capital, movesInWords, pageName, parentOf } from "./moves.js";
import { announce, busy, complain, toast } from "./notices.js";
import { describe } from "./query.js";
import { NOTHING_FITS, keepsShown, may, pageLimit, remember, set, state, strategy } from "./state.js";
import { noteSearch } from "./recent.js";

/** @typedef {import("./state.js").Part} Part */

const where = () => [state.library.library_id, state.session.session_id];
/** @type {AbortController|null} */
let searching = null;

/** Makes a session what the page shows. @param {any} session @param {any} [page] */
export function adopt(session, page = session.page) {
  const other = state.session?.session_id !== session.session_id;
  if (other) {
    closeStream();
    set({ pages: new Map(), changes: new Map(), pictures: new Map() });
  }
  state.pages.set(session.current_round, page);
  remember(page.hits);
  learnFailures(session.judgements, session.session_id);
  const keys = new Map(state.judgements.map((judgement) => [judgement.judgement_id, judgement.key]));
  const judgements = session.judgements.map((judgement) => marks.known(judgement, keys.get(judgement.judgement_id) ?? undefined));
  const drafts = other
    ? []
    : state.drafts.filter((draft) => page.hits.some((hit) => hit.image_id === draft.image_id));
  set(
    {
      session: { ...session, page: undefined, judgements: undefined },
      only: { where: session.where ?? {}, path: session.path ?? null, min_fit: session.min_fit ?? 0 },
      rounds: session.rounds,
      round: session.current_round,
      hits: page.hits,
      judgements,
      drafts,
      selected: null,
      cursor: 0,
      showing: "after",
    },
    "session",
    "only",
    "hits",
    "marks",
    "selection",
    "view",
    "cursor",
  );
  if (judgements.some((judgement) => judgement.box && judgement.caption === null && judgement.caption_by === "captioner"))
    captionsExpected();
  marks.learnPictures();
  knowParent();
}

/** Loads the page before, so that before/after answers at once. */
async function knowParent() {
  const parent = parentOf(state.round);
  if (parent === null || state.pages.has(parent)) return;
  try {
    await pageOf(parent);
    set({}, "view", "marks");
  } catch {
    // only the badges miss it; the toggle asks again and tells
  }
}

/** A round's page, kept once known. @param {number} number @returns {Promise<import("./state.js").Page>} */
async function pageOf(number) {
  const known = state.pages.get(number);
  if (known) return known;
  const { page } = await api.round(...where(), number);
  state.pages.set(number, page);
  remember(page.hits);
  return page;
}

/** @param {Part[]} parts @param {AbortSignal} signal */
async function begin(parts, signal) {
  const body = { query: { parts }, limit: pageLimit(), ...state.only };
  if (!may("mark")) return showOnly(await busy(api.search(state.library.library_id, body, signal)), describe(parts));
  const more = { name: describe(parts).slice(0, 80), instruction: state.instruction };
  adopt(await busy(api.startSession(state.library.library_id, { ...body, ...more }, signal)));
}

/**
 * Shows a page to somebody who may only look: there is no session, and nothing to mark.
 * @param {any} page @param {string} name
 */
function showOnly(page, name) {
  closeStream();
  fill(byId("results"));
  set(
    { session: null, rounds: [], round: 0, judgements: [], drafts: [], selected: null, cursor: 0, showing: "after" },
    "session",
    "marks",
    "selection",
  );
  set({ hits: page.hits, pages: new Map([[0, page]]), changes: new Map(), pictures: new Map() }, "hits", "view", "cursor");
  remember(page.hits);
  const found = `${plural(page.hits.length, "picture")} for “${name}”. You may look at this library, not mark.`;
  byId("results").prepend(h("p", { class: "note looks-only", text: found }));
}

/** Begins a session. @param {Part[]} parts @returns {Promise<boolean>} whether there is a page */
export async function search(parts) {
  searching?.abort();
  searching = new AbortController();
  forgetWaiting();
  try {
    await begin(parts, searching.signal);
    noteSearch(parts);
    remind();
    history.pushState({}, "", address());
    scrollTo({ top: 0 });
    announce(`${plural(state.hits.length, "picture")} found.`);
    return true;
  } catch (error) {
    failed(error, `Your search for “${describe(parts)}” is sent again then.`, () => search(parts));
    return false;
  }
}

/** A request that the server did not answer is sent again; what it refused is told. */
function failed(error, words, run) {
  if (error.status === 0) whenBack(words, run);
  else complain(error);
}

function remind() {
  const page = state.pages.get(state.round);
  if (!page) return;
  // That nothing fits stands above the pictures.
  const offered = (page.suggestions ?? []).map((suggestion) => suggestion.note); // they do, too
  for (const note of page.notes)
    if (!offered.includes(note) && (page.n_fitting !== 0 || note !== NOTHING_FITS)) toast(note);
}

/** The page's own address: open it again, or share it. */
export function address() {
  const query = new URLSearchParams({
    library: state.library.library_id,
    ...(state.session ? { session: state.session.session_id } : {}),
  });
  return `/?${query}`;
}

/** @param {string} sessionId @param {boolean} [push] whether Back returns here */
export async function openSession(sessionId, push = true) {
  const session = await busy(api.session(state.library.library_id, sessionId));
  if (!may("mark")) return showOnly(session.page, session.name);
  adopt(session);
  if (push) history.pushState({}, "", address());
  scrollTo({ top: 0 });
}

let looking = false;

/** Shows the next page, fitted from every mark. */
export async function lookAgain() {
  if (!state.session || looking) return;
  looking = true;
  forgetWaiting();
  marks.flush();
  try {
    const n_unsigned = state.drafts.length;
    await busy(
      marks.settled().then(async () => {
        const { relevant, irrelevant } = state.words;
        const body = {
          strategy: strategy(),
          limit: pageLimit(),
          keep_shown: keepsShown(), // null: what fits stays
          relevant_words: relevant,
          irrelevant_words: irrelevant,
        };
        const answer = await api.lookAgain(...where(), body);
        set({ words: { relevant: "", irrelevant: "" } });
        state.changes.set(answer.session.current_round, answer.changes ?? {});
        adopt(answer.session, answer.page);
      }),
    );
    scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    remind();
    if (n_unsigned)
      toast(`${plural(n_unsigned, "box", "boxes")} without a sign did not count.`, {
        hint: "Select a box, then press r or i.",
      });
    announce(`${capital(pageName(state.round))}. ${plural(state.hits.length, "picture")}. ${movesInWords()}`);
  } catch (error) {
    failed(error, "The next page is asked for again then.", lookAgain);
  } finally {
    looking = false;
  }
}

/** Takes the last mark back, or the last page. */
export async function undo() {
  if (!state.session) return;
  if (state.drafts.length) {
    marks.removeBox(state.drafts.at(-1));
    return;
  }
  marks.flush();
  try {
    await marks.settled();
    const { told: step, session } = await busy(api.undo(...where()));
    adoptQuietly(session);
    announce(step);
    toast(`Undone: ${step}`, { action: { label: "Make it again", run: redo } });
  } catch (error) {
    if (error.code === "nothing_to_undo") toast("There is nothing to undo.");
    else complain(error);
  }
}

/** Makes the step again that undo took back. */
export async function redo() {
  if (!state.session) return;
  marks.flush();
  try {
    await marks.settled();
    const { told: step, session } = await busy(api.redo(...where()));
    adoptQuietly(session);
    announce(step);
    toast(`Made again: ${step}`);
  } catch (error) {
    if (error.code === "nothing_to_redo") toast("There is nothing to make again.", { hint: error.hint });
    else complain(error);
  }
}

/** Keeps the place on the page when the page is the same. */
function adoptQuietly(session) {
  const { cursor, hits } = state;
  const page = session.page;
  const same =
    session.current_round === state.round && page.hits.every((hit, at) => hit.image_id === hits[at]?.image_id);
  adopt(session, same ? { ...page, hits } : page);
  if (same) set({ cursor }, "cursor");
}

/** Makes an earlier round current; looking again from there grows a branch. @param {number} number */
export async function goTo(number) {
  if (number === state.round) return;
  try {
    await marks.settled();
    const session = await busy(api.changeSession(...where(), { current_round: number }));
    adopt(session);
    const n_later = state.rounds.filter((round) => round.parent === number).length;
    announce(`${capital(pageName(number))}. ${n_later ? "Look again from here to begin a branch." : ""}`);
  } catch (error) {
    complain(error);
  }
}

/** Shows the page before this round, or this one again. @param {"before"|"after"} [showing] */
export async function compare(showing = state.showing === "after" ? "before" : "after") {
  const parent = parentOf(state.round);
  if (!state.session || parent === null || showing === state.showing) return;
  try {
    const page = await pageOf(showing === "before" ? parent : state.round);
    set({ hits: page.hits, showing, cursor: 0 }, "hits", "view", "cursor");
    announce(showing === "before" ? `Before: ${pageName(parent)}` : `After: ${pageName(state.round)}`);
  } catch (error) {
    complain(error);
  }
}

/** Adds hits below the first page. @returns {Promise<boolean>} whether there were any */
export async function more() {
  const page = state.pages.get(state.round);
  if (
    !state.session ||
    !page ||
    state.round !== 0 ||
    state.showing === "before" ||
    page.exhausted ||
    page.loading
  )
    return false;
  page.loading = true;
  try {
    const { hits, n_fitting } = await api.search(state.library.library_id, {
      query: page.query ?? state.session.query,
      limit: 1000,
      where: state.session.where,
      path: state.session.path,
      min_fit: state.session.min_fit,
    });
    const known = new Set(page.hits.map((hit) => hit.image_id));
    const extra = hits.filter((hit) => !known.has(hit.image_id));
    page.hits = [...page.hits, ...extra];
    page.exhausted = true;
    page.n_fitting = n_fitting;
    remember(extra);
    if (state.round === 0 && state.pages.get(0) === page) set({ hits: page.hits }, "view");
    return extra.length > 0;
  } catch (error) {
    page.exhausted = true;
    complain(error);
    return false;
  } finally {
    page.loading = false;
  }
}
