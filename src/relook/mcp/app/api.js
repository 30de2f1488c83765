/**
 * What the page's modules ask of their server, asked of the host instead: one function a verb, by the
 * names of the page's own `api.js`. Every failure is an `ApiError` with a message and a hint.
 */

import { request } from "./host.js";

export class ApiError extends Error {
  /** @param {{code: string, message: string, hint?: string}} error */
  constructor({ code, message, hint }) {
    super(message);
    this.status = 400;
    this.code = code;
    this.hint = hint || "";
  }
}

/**
 * Calls a tool of Relook through the host.
 * @param {string} name @param {Record<string, any>} given null and undefined are left out
 * @returns {Promise<any>} the result, whose text and values are as the server made them
 */
export async function call(name, given) {
  const known = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  let result;
  try {
    result = await request("tools/call", { name, arguments: Object.fromEntries(known) });
  } catch (error) {
    const hint = "The program that shows this window may not let it call tools, or wait for your leave.";
    throw new ApiError({ code: "host_refused", message: error.message || "The call was refused.", hint });
  }
  if (result.isError) throw new ApiError(errorOf(result));
  return result;
}

const errorOf = (result) =>
  result.structuredContent?.error ?? { code: "tool_failed", message: result.content?.[0]?.text ?? "It failed.", hint: "" };

const values = async (name, given) => (await call(name, given)).structuredContent;
const at = (L, S) => ({ session_id: S, library_id: L });

export const session = (L, S) => values("show_session", at(L, S));
export const why = (L, S, imageId) => values("explain", { ...at(L, S), image_id: imageId });
export const influence = (L, S, J) => values("explain", { ...at(L, S), judgement_id: J });
export const removeJudgement = (L, S, J) => values("take_back", { ...at(L, S), judgement_id: J });
export const changeJudgement = (L, S, J, body) =>
  values("change_judgement", { ...at(L, S), judgement_id: J, ...body });

/** Words that an agent proposed for a box, by place. @type {Map<string, string>} */
const said = new Map();
const placeOf = (imageId, box) => JSON.stringify([imageId, box]);

/** The box is to have these words when it is marked. @param {number} imageId @param {number[]} box @param {string} words */
export const say = (imageId, box, words) => said.set(placeOf(imageId, box), words);

export const judge = (L, S, body) =>
  values("judge", { ...at(L, S), ...body, caption: said.get(placeOf(body.image_id, body.box)) });

/** Words of boxes come with the answer here, and are not written anew. */
export const captionsExpected = () => undefined;
export const failureOf = () => undefined;
export const isWaiting = (judgement) => judgement.judgement_id === null && judgement.caption === null;
export const captionAgain = () => Promise.reject(new ApiError({ code: "not_here", message: "Write the words yourself." }));
export const image = () => Promise.reject(new ApiError({ code: "not_here", message: "It is on no page of this window." }));

const BLANK = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";
const THUMB_PX = 360;
const AT_ONCE = 12; // pictures of one call
/** Addresses of pictures that have come, by id. @type {Map<number, string>} */
const pictures = new Map();
/** Asked for, by id. @type {Set<number>} */
const asked = new Set();
/** @type {number[]} */
let wanted = [];
let fetching = Promise.resolve();
let library = "";

/**
 * The picture of a hit: a data address, or an empty one whose place is taken when it comes.
 * @param {string} L @param {{image_id: number}} hit
 */
export function thumbnail(L, hit) {
  const known = pictures.get(hit.image_id);
  if (known) return known;
  library = L;
  if (!asked.has(hit.image_id)) {
    asked.add(hit.image_id);
    wanted.push(hit.image_id);
    if (wanted.length === 1) queueMicrotask(fetchAll);
  }
  return BLANK + placeholder(hit.image_id);
}

const placeholder = (imageId) => `#picture-${imageId}`;

function fetchAll() {
  const ids = wanted;
  wanted = [];
  for (let first = 0; first < ids.length; first += AT_ONCE) {
    const some = ids.slice(first, first + AT_ONCE);
    fetching = fetching.then(() => fetchSome(some));
  }
}

async function fetchSome(ids) {
  try {
    const found = await fetchPictures(library, ids, THUMB_PX);
    for (const id of ids) put(id, found.get(id));
  } catch {
    for (const id of ids) put(id, undefined); // the next view of each asks again
    for (const id of ids) asked.delete(id);
  }
}

/** Shows a picture wherever it is waited for; "data:," is a broken one. */
function put(id, address) {
  if (address) pictures.set(id, address);
  for (const image of document.images) if (image.src.endsWith(placeholder(id))) image.src = address ?? "data:,";
}

/**
 * Pictures of images at a size. @param {string} L @param {number[]} ids @param {number} size_px
 * @returns {Promise<Map<number, string>>} addresses by id, without those that cannot be shown
 */
export async function fetchPictures(L, ids, size_px) {
  const result = await call("page_pictures", { library_id: L, image_ids: ids, size_px });
  const shown = result.content.filter((block) => block.type === "image");
  const addresses = shown.map((block) => `data:${block.mimeType};base64,${block.data}`);
  return new Map(result.structuredContent.image_ids.map((id, n) => [id, addresses[n]]));
}
