/** The HTTP API, one function a verb. Every failure is an `ApiError` with a message and a hint. */

const BASE = "/api/v1";

export class ApiError extends Error {
  /** @param {number} status 0 when no answer came @param {{code: string, message: string, hint: string}} error */
  constructor(status, { code, message, hint }) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint || "";
  }
}

const OFFLINE = {
  code: "no_answer",
  message: "The Relook server does not answer.",
  hint: "Start it again with: relook serve. This page goes on where it was.",
};

/**
 * @param {string} path below /api/v1 @param {{method?: string, body?: any, signal?: AbortSignal}} [options]
 * @returns {Promise<any>} the JSON answer; null for 204
 */
export async function call(path, options = {}) {
  const answer = await send(path, options);
  return answer.status === 204 ? null : answer.json().catch(() => null);
}

/**
 * As `call`, for an answer that is read bit by bit.
 * @param {string} path @param {{method?: string, body?: any, signal?: AbortSignal}} options
 * @returns {Promise<Response>}
 */
export async function send(path, { method = "GET", body, signal }) {
  const form = body instanceof FormData;
  /** @type {Record<string, string>} */
  const headers = body === undefined || form ? {} : { "Content-Type": "application/json" };
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method,
      signal,
      headers,
      body: body === undefined || form ? body : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  }
  if (answer.ok) return answer;
  const error = new ApiError(answer.status, errorOf(answer, await answer.json().catch(() => null)));
  const asks = { bad_token: "relook:token", sign_in_needed: "relook:sign-in" }[error.code];
  if (asks && path !== "/me") window.dispatchEvent(new Event(asks));
  throw error;
}

/** Tells the page that the server is away. @returns {ApiError} */
export function offline() {
  window.dispatchEvent(new Event("relook:offline"));
  return new ApiError(0, OFFLINE);
}

function errorOf(answer, value) {
  if (value?.error?.message) return value.error;
  const wait = answer.headers.get("Retry-After");
  return {
    code: `http_${answer.status}`,
    message: `The server answered ${answer.status} ${answer.statusText}.`,
    hint: wait ? `Try again in ${wait} s.` : "Look at the terminal where relook serve runs.",
  };
}

const form = (entries) => {
  const made = new FormData();
  for (const [name, value] of entries) made.append(name, value, value.name);
  return made;
};
const lib = (L) => `/libraries/${encodeURIComponent(L)}`;
const ses = (L, S) => `${lib(L)}/sessions/${encodeURIComponent(S)}`;

export const me = () => call("/me");
export const signIn = (body) => call("/sign-in", { method: "POST", body });
export const signOut = () => call("/sign-out", { method: "POST" });
export const acceptInvitation = (body) => call("/invitations/accept", { method: "POST", body });
export const health = () => call("/health");
export const version = () => call("/version");
export const strategies = () => call("/strategies");
export const libraries = () => call("/libraries");
export const library = (L) => call(lib(L));
export const fields = (L) => call(`${lib(L)}/fields`);
export const facets = (L, only) => call(`${lib(L)}/facets`, { method: "POST", body: only });
export const browse = (L, body) => call(`${lib(L)}/browse`, { method: "POST", body });
export const copies = (L, skip, limit) => call(`${lib(L)}/copies?${new URLSearchParams({ skip, limit })}`);
export const copiesOf = (L, ids) => call(`${lib(L)}/copies/group`, { method: "POST", body: { image_ids: ids } });
export const folders = (L, path) => call(`${lib(L)}/folders?${new URLSearchParams({ path })}`);
export const skipped = (L) => call(`${lib(L)}/skipped`);
export const search = (L, body, signal) => call(`${lib(L)}/search`, { method: "POST", body, signal });
export const uploadPicture = (L, file) =>
  call(`${lib(L)}/pictures`, { method: "POST", body: form([["file", file]]) });
export const image = (L, id) => call(`${lib(L)}/images/${id}`);
export const showInFolder = (L, id) => call(`${lib(L)}/images/${id}/show-in-folder`, { method: "POST" });
export const heatmap = (L, id, query) => call(`${lib(L)}/images/${id}/heatmap?${new URLSearchParams(query)}`);

export const sessions = (L) => call(`${lib(L)}/sessions`);
export const startSession = (L, body, signal) => call(`${lib(L)}/sessions`, { method: "POST", body, signal });
export const importSession = (L, file) =>
  call(`${lib(L)}/sessions/import`, { method: "POST", body: form([["file", file]]) });
export const session = (L, S) => call(ses(L, S));
export const changeSession = (L, S, body) => call(ses(L, S), { method: "PATCH", body });
export const deleteSession = (L, S) => call(ses(L, S), { method: "DELETE" });
export const undo = (L, S) => call(`${ses(L, S)}/undo`, { method: "POST" });
export const redo = (L, S) => call(`${ses(L, S)}/redo`, { method: "POST" });
export const lookAgain = (L, S, body) => call(`${ses(L, S)}/rounds`, { method: "POST", body });
export const round = (L, S, n) => call(`${ses(L, S)}/rounds/${n}`);
export const estimate = (L, S, limit) => call(`${ses(L, S)}/estimate?limit=${limit}`);
export const why = (L, S, imageId, how) => call(`${ses(L, S)}/why/${imageId}?${new URLSearchParams(how)}`);
export const influence = (L, S, J, how) => call(`${ses(L, S)}/influence/${J}?${new URLSearchParams(how)}`);
export const judge = (L, S, body) => call(`${ses(L, S)}/judgements`, { method: "POST", body });
export const changeJudgement = (L, S, J, body) =>
  call(`${ses(L, S)}/judgements/${J}`, { method: "PATCH", body });
export const captionAgain = (L, S, J) => call(`${ses(L, S)}/judgements/${J}/caption`, { method: "POST" });
export const removeJudgement = (L, S, J) => call(`${ses(L, S)}/judgements/${J}`, { method: "DELETE" });

const con = (L, C) => `${lib(L)}/concepts/${C}`;
export const concepts = (L) => call(`${lib(L)}/concepts`);
export const saveConcept = (L, body) => call(`${lib(L)}/concepts`, { method: "POST", body });
export const importConcept = (L, file) =>
  call(`${lib(L)}/concepts/import`, { method: "POST", body: form([["file", file]]) });
export const mergeConcepts = (L, body) => call(`${lib(L)}/concepts/merge`, { method: "POST", body });
export const concept = (L, C) => call(con(L, C));
export const changeConcept = (L, C, body) => call(con(L, C), { method: "PATCH", body });
export const deleteConcept = (L, C) => call(con(L, C), { method: "DELETE" });
export const conceptAlbum = (L, C) => call(`${con(L, C)}/album?seen=true`);

const alb = (L, A) => `${lib(L)}/albums/${A}`;
export const albums = (L, imageId) => call(`${lib(L)}/albums${imageId ? `?image_id=${imageId}` : ""}`);
export const album = (L, A) => call(alb(L, A));
export const createAlbum = (L, body) => call(`${lib(L)}/albums`, { method: "POST", body });
export const renameAlbum = (L, A, body) => call(alb(L, A), { method: "PATCH", body });
export const deleteAlbum = (L, A) => call(alb(L, A), { method: "DELETE" });
export const restoreAlbum = (L, A) => call(`${alb(L, A)}/restore`, { method: "POST" });
export const addToAlbum = (L, A, ids) => call(`${alb(L, A)}/images`, { method: "POST", body: { image_ids: ids } });
export const removeFromAlbum = (L, A, ids) =>
  call(`${alb(L, A)}/images/remove`, { method: "POST", body: { image_ids: ids } });

export const links = (L) => call(`${lib(L)}/links`);
export const shareAlbum = (L, A, body) => call(`${alb(L, A)}/links`, { method: "POST", body });
export const endLink = (L, name) => call(`${lib(L)}/links/${name}`, { method: "DELETE" });

export const index = (L, body) => call(`${lib(L)}/index`, { method: "POST", body });
export const upgradeCost = (L) => call(`${lib(L)}/upgrade`);
export const upgrade = (L) => call(`${lib(L)}/upgrade`, { method: "POST" });
export const upload = (L, files) =>
  call(`${lib(L)}/uploads`, { method: "POST", body: form(files.map((file) => ["files", file])) });
export const job = (id) => call(`/jobs/${id}`);
export const steerJob = (id, verb) => call(`/jobs/${id}/${verb}`, { method: "POST" });

export const askChoices = () => call("/ask");

/** Addresses that an element or a link loads by itself. */
export const serverEventsUrl = `${BASE}/events`;
export const eventsUrl = (L, S) => `${BASE}${ses(L, S)}/events`;
export const jobEventsUrl = (id) => `${BASE}/jobs/${id}/events`;
export const exportUrl = (L, S, format, what) => `${BASE}${ses(L, S)}/export?format=${format}&what=${what}`;
export const conceptExportUrl = (L, C) => `${BASE}${con(L, C)}/export`;
export const albumExportUrl = (L, A, format) => `${BASE}${alb(L, A)}/export?format=${format}`;
export const copiesUrl = (L, format) => `${BASE}${lib(L)}/copies/list?format=${format}`;
export const selectionUrl = (L, ids, format) => `${BASE}${lib(L)}/selection?format=${format}&ids=${ids.join(",")}`;
export const fileUrl = (L, id) => `${BASE}${lib(L)}/images/${id}/file`;

const SIZES = [160, 320, 640, 1280];

/** Address of the page that keeps everything an answer rests on. @param {string} askId */
export const reportOf = (askId) => `${BASE}/ask/${encodeURIComponent(askId)}/report`;

/**
 * Address of a thumbnail that is sharp at a size on this screen.
 * @param {string} L @param {{image_id: number, thumbnail?: string}} hit @param {number} longSide_px in CSS pixels
 */
export function thumbnail(L, hit, longSide_px) {
  const wanted = longSide_px * Math.min(window.devicePixelRatio || 1, 2);
  const size = SIZES.find((px) => px >= wanted * 0.9) ?? SIZES.at(-1);
  const url = new URL(hit.thumbnail ?? `${BASE}${lib(L)}/images/${hit.image_id}/thumbnail`, location.origin);
  url.searchParams.set("size", String(size));
  return url.pathname + url.search;
}
