/** What is known of a picture: its file, and what the camera and people wrote into it. */

import { clock } from "./play.js";
import { count } from "./dom.js";

const NAMED = new Set(
  "taken_at taken_from latitude longitude camera_make camera lens rating keywords artist copyright people favorite title caption".split(" "),
);
const TAKEN_FROM = { modified: "when the file was last changed", takeout: "by Google Takeout", text: "by a note in the file" };

/** A date as people write it here; the zone stays as it was. @param {string} iso */
export function dateOf(iso) {
  const [, year, month, day, hour, minute] =
    iso.match(/^(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?(?:T(\d{2}):(\d{2}))?/) ?? [];
  if (!year) return iso;
  const at = new Date(Number(year), Number(month ?? 1) - 1, Number(day ?? 1), Number(hour ?? 0), Number(minute ?? 0));
  /** @type {Intl.DateTimeFormatOptions} */
  const form = hour
    ? { dateStyle: "long", timeStyle: "short" }
    : day
      ? { dateStyle: "long" }
      : { year: "numeric", ...(month ? { month: "long" } : {}) };
  const zone = iso.match(/(Z|[+-]\d{2}:\d{2})$/)?.[0] ?? "";
  return `${at.toLocaleString([], form)}${zone ? ` (UTC${zone === "Z" ? "" : zone})` : ""}`;
}

/** Degrees with their halves of the globe. @param {number} latitude @param {number} longitude */
export const placeOf = (latitude, longitude) =>
  `${Math.abs(latitude).toFixed(4)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude).toFixed(4)}° ${longitude < 0 ? "W" : "E"}`;

/** @param {any} make @param {any} model */
function cameraOf(make, model) {
  if (!make || !model) return make || model;
  const brand = String(make).split(" ")[0];
  return String(model).toLowerCase().startsWith(brand.toLowerCase()) ? model : `${make} ${model}`;
}

/** @param {number} n */
export function bytes(n) {
  if (!n) return "0 B";
  const power = Math.min(4, Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** power).toFixed(power ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

/** @param {any} value */
const written = (value) => (Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : String(value));

/**
 * What there is to say, in the order people ask for it.
 * @param {import("./state.js").Hit} hit @param {any} image as the server has it; null until it is known
 * @returns {[string, string][]} names and values
 */
export function factsOf(hit, image) {
  const about = image?.metadata ?? {};
  const from = /** @type {Record<string, string>} */ (TAKEN_FROM)[about.taken_from];
  const stars = Number(about.rating);
  const rows = [
    ["Title", hit.title],
    ["Caption", hit.caption],
    ["Words in it", (hit.written ?? []).map((word) => word.text).join(" ")],
    ["Taken", about.taken_at && `${dateOf(String(about.taken_at))}${from ? `, told ${from}` : ""}`],
    ["Place", about.latitude !== undefined && about.longitude !== undefined && placeOf(Number(about.latitude), Number(about.longitude))],
    ["Camera", cameraOf(about.camera_make, about.camera)],
    ["Lens", about.lens],
    ["People", about.people && written(about.people)],
    ["Keywords", about.keywords && written(about.keywords)],
    ["Rating", stars > 0 && `${"★".repeat(stars)}${"☆".repeat(Math.max(0, 5 - stars))}`],
    ["By", about.artist],
    ["Copyright", about.copyright],
    ["Moment", hit.time_s == null ? "" : clock(hit.time_s)],
    ["Size", `${count(hit.width_px)} × ${count(hit.height_px)} px${image ? `, ${bytes(image.size_bytes)} ${image.format}` : ""}`],
    ["File", hit.path],
    ["Score", hit.score === undefined ? "" : hit.score.toFixed(4)],
    ...Object.entries(about)
      .filter(([name]) => !NAMED.has(name))
      .map(([name, value]) => [name.replaceAll("_", " "), written(value)]),
  ];
  return /** @type {[string, string][]} */ (rows.filter(([, value]) => value !== undefined && value !== null && value !== false && value !== ""));
}
