/** What the page knows, in one place. Modules read `state`, change it with `set` and listen by topic. */

/**
 * @typedef {[number, number, number, number]} Box relative x0, y0, x1, y1 of the upright picture
 * @typedef {Omit<Api.Hit, "tile"> & {tile: Box}} Hit
 * @typedef {Api.PartRequest} Part
 * @typedef {Omit<Api.Page, "hits" | "query"> & {query: {parts: Part[]}, hits: Hit[], exhausted?: boolean,
 *   loading?: boolean}} Page `exhausted`: nothing is below it; `loading`: more is on its way
 * @typedef {Omit<Api.Judgement, "box" | "judgement_id"> & {key: string, judgement_id: number|null, box: Box|null,
 *   gone?: boolean}} Judgement `judgement_id` null: the server has not answered yet
 * @typedef {Api.RoundRow} Round
 * @typedef {{key: string, image_id: number, box: Box, relevant?: undefined, caption?: undefined}} Draft a box
 *   that has no sign yet
 * @typedef {{where: Record<string, string>, path: string|null, min_fit?: number}} Only which pictures may be found
 */

const listeners = new EventTarget();

export const state = {
  /** @type {Api.Library[]} */ libraries: [],
  /** @type {any} */ library: null,
  /** @type {any} */ session: null,
  /** @type {Round[]} */ rounds: [],
  round: 0,
  /** @type {Map<number, Page>} */ pages: new Map(),
  /** @type {Map<number, Record<string, Api.Change>>} */ changes: new Map(),
  /** @type {Hit[]} */ hits: [],
  /** @type {Judgement[]} */ judgements: [],
  /** @type {Draft[]} */ drafts: [],
  /** Key of the selected box, or null. @type {string|null} */ selected: null,
  /** Position of the current picture in `hits`. */ cursor: 0,
  /** @type {"after"|"before"} */ showing: "after",
  scores: false,
  /** What the next search keeps to. @type {Only} */ only: { where: {}, path: null },
  /** Whether pictures shown before may come again; null: those that fit and are not marked, or, in a library that
   * would run out of new ones, all. @type {boolean|null} */
  keepShown: null,
  /** How marks are used; null follows the library's configuration. @type {string|null} */ strategy: null,
  /** Whether a line has a grammar; null follows the library's configuration. @type {boolean|null} */ grammar: null,
  /** What captions of the next search should tell. */ instruction: "",
  /** Words about what fits and what does not, for the next page. */ words: { relevant: "", irrelevant: "" },
  /** Ids of the pictures with a star. @type {Set<number>} */ favourites: new Set(),
  /** Who asks; null before that is known. @type {Api.Me|null} */ me: null,
  /** @type {Api.Job|null} */ job: null,
  /** Every picture seen, by id. @type {Map<number, Hit>} */ pictures: new Map(),
};

/** @typedef {"library"|"session"|"hits"|"marks"|"selection"|"view"|"job"|"cursor"|"only"|"favourites"} Topic */

const RIGHTS = ["none", "view", "mark", "index"];

/** Whether somebody may do what needs a right, in the library that is shown. @param {"view"|"mark"|"index"} right */
export const may = (right) => RIGHTS.indexOf(state.library?.right ?? "index") >= RIGHTS.indexOf(right);

/** @param {Partial<typeof state>} patch @param {...Topic} topics what to tell about */
export function set(patch, ...topics) {
  Object.assign(state, patch);
  for (const topic of topics) listeners.dispatchEvent(new Event(topic));
}

/** @param {Topic|Topic[]} topics @param {() => void} run */
export function on(topics, run) {
  for (const topic of [topics].flat()) listeners.addEventListener(topic, run);
}

/** Resolves when the server has told its libraries; what is typed before that waits. */
export const librariesKnown = new Promise((known) => on("library", () => known(undefined)));

/** The server's note of a page on which nothing fits. */
export const NOTHING_FITS = "No close match. Nearest below.";

/** How many pictures stand before the line where they stop fitting; null where nobody knows. */
export function nFitting() {
  const page = state.showing === "before" ? undefined : state.pages.get(state.round);
  return page?.n_fitting ?? null;
}

/** Hits become known pictures, so that the tray can show them on later pages. @param {Hit[]} hits */
export function remember(hits) {
  for (const hit of hits) state.pictures.set(hit.image_id, hit);
}

/** The judgement of a whole picture. @param {number} imageId @returns {Judgement|undefined} */
export const markOf = (imageId) => state.judgements.find((judgement) => judgement.image_id === imageId && !judgement.box);

/** Signed boxes of a picture. @param {number} imageId */
export const boxesOf = (imageId) => state.judgements.filter((judgement) => judgement.image_id === imageId && judgement.box);

/** The selected box, signed or not. @returns {Judgement|Draft|undefined} */
export const selectedBox = () =>
  state.judgements.find((judgement) => judgement.key === state.selected) ??
  state.drafts.find((draft) => draft.key === state.selected);

/** The hit under the cursor. @returns {Hit|undefined} */
export const current = () => state.hits[state.cursor];

/** Whether the next page may show pictures again; null: what fits stays. @returns {boolean|null} */
export function keepsShown() {
  if (state.keepShown !== null) return state.keepShown;
  return state.library?.keep_shown || (state.library?.n_images ?? 0) < 5 * pageSize() ? true : null;
}

/** @returns {number} pictures on a page: what a person chose here, or else what the server is configured for */
export const pageSize = () => Number(recall("page-size", state.library?.limit ?? 20));

/** @returns {number|null} the same for a request, which may ask for 1,000; null: as the server is configured, even for more */
export const pageLimit = () => (pageSize() > 1000 ? null : pageSize());

/** @returns {string} how marks are used */
export const strategy = () => state.strategy ?? state.library?.strategy ?? "auto";

/** @returns {boolean} whether a line has a grammar, or is words as they stand */
export const grammar = () => state.grammar ?? state.library?.grammar ?? true;

/** @param {string} name @param {any} otherwise */
export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(`relook.${name}`) ?? "null") ?? otherwise;
  } catch {
    return otherwise; // storage is off or holds something else: the page works without
  }
}

/** @param {string} name @param {any} value */
export function keep(name, value) {
  try {
    localStorage.setItem(`relook.${name}`, JSON.stringify(value));
  } catch {
    // storage is off or full: nothing on the page depends on it
  }
}
