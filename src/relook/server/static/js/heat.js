/** Where in a picture the search fits: a map in colours over it, with its legend. */

import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { settled } from "./marks.js";
import { announce, busy, complain } from "./notices.js";
import { keep, recall, state } from "./state.js";

/** From what fits least to what fits most; light grows evenly, so that it reads without colour, too. */
export const RAMP = [
  [0, 0, 4],
  [87, 16, 110],
  [188, 55, 84],
  [249, 142, 9],
  [252, 255, 164],
];
const STRENGTH = 65; // per cent

/** Whether it is shown with every picture. */
let isOn = false;
export const heatIsOn = () => isOn;

/** @param {number} heat 0 to 1 @returns {number[]} red, green, blue */
function colourOf(heat) {
  const at = Math.min(1, Math.max(0, heat)) * (RAMP.length - 1);
  const from = RAMP[Math.floor(at)];
  const to = RAMP[Math.ceil(at)];
  return from.map((value, channel) => Math.round(value + (to[channel] - value) * (at % 1)));
}

/**
 * Draws the map.
 * @param {HTMLElement} host exactly as large as the picture @param {number} imageId
 */
async function showHeat(host, imageId) {
  await settled();
  const map = await api.heatmap(state.library.library_id, imageId, { session: state.session.session_id });
  const canvas = h("canvas", { class: "heat", role: "img", "aria-label": heatInWords(map.cells) });
  paint(canvas, map);
  hideHeat(host);
  canvas.style.opacity = String(recall("heat", STRENGTH) / 100);
  if (isOn) host.append(canvas);
}

/** @param {HTMLElement} host */
const hideHeat = (host) => host.querySelectorAll(".heat").forEach((heat) => heat.remove());

function paint(canvas, { cells, min, max }) {
  const rows = cells.length;
  const columns = cells[0]?.length ?? 0;
  const small = h("canvas", { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  const span = max - min || 1;
  cells.flat().forEach((value, at) => image.data.set([...colourOf((value - min) / span), 255], at * 4));
  small.getContext("2d").putImageData(image, 0, 0);
  canvas.width = 480;
  canvas.height = Math.max(1, Math.round((480 * rows) / (columns || 1)));
  const brush = canvas.getContext("2d");
  brush.imageSmoothingEnabled = true;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** @param {number[][]} cells */
function heatInWords(cells) {
  const flat = cells.flat();
  const at = flat.indexOf(Math.max(...flat));
  const part = (value, n, names) => names[Math.min(2, Math.floor((value / n) * 3))];
  const row = part(Math.floor(at / cells[0].length), cells.length, ["top", "middle", "bottom"]);
  const column = part(at % cells[0].length, cells[0].length, ["left", "middle", "right"]);
  return `Heat map: fits best in the ${row} ${column}`;
}

/** The colours, and how strong they lie over the picture. @param {() => HTMLElement} host */
function legend(host) {
  const ramp = h("span", { class: "heat-ramp", "aria-hidden": "true" });
  ramp.style.background = `linear-gradient(to right, ${RAMP.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
  const strength = h("input", {
    type: "range",
    min: "20",
    max: "100",
    step: "5",
    value: String(recall("heat", STRENGTH)),
    "aria-label": "How strong the heat map is",
  });
  strength.addEventListener("input", () => {
    keep("heat", Number(strength.value));
    const canvas = /** @type {HTMLElement|null} */ (host().querySelector(".heat"));
    if (canvas) canvas.style.opacity = String(Number(strength.value) / 100);
  });
  return h(
    "div",
    { class: "heat-legend" },
    h("span", { text: "fits least" }),
    ramp,
    h("span", { text: "fits most" }),
    h("label", {}, h("span", { text: "Strength" }), strength),
    h("p", { class: "note", text: "Within this picture only: it does not tell how well the picture fits." }),
  );
}

/**
 * A button that switches the map, with its legend; what was on stays on for the next picture.
 * @param {() => HTMLElement} host @param {() => number} imageId
 * @returns {{button: HTMLButtonElement, legend: HTMLElement}}
 */
export function heatButton(host, imageId) {
  const below = h("div");
  const made = h("button", { type: "button", class: "quiet small-button heat-button", title: "Where in the picture the search fits (t)" });
  const face = (working) => {
    fill(made, working ? h("i", { class: "spinner" }) : icon("heat"), h("span", { text: working ? "Working it out …" : "Heat map" }));
    made.setAttribute("aria-pressed", String(isOn));
    made.setAttribute("aria-busy", String(working));
    fill(below, isOn && legend(host));
  };
  const run = async () => {
    face(true);
    try {
      await busy(showHeat(host(), imageId()));
      const canvas = host().querySelector(".heat");
      if (canvas) announce(canvas.getAttribute("aria-label") ?? "");
    } catch (error) {
      isOn = false;
      complain(error);
    }
    face(false);
  };
  made.addEventListener("click", () => {
    isOn = !isOn;
    if (isOn) return run();
    hideHeat(host());
    face(false);
  });
  face(false);
  if (isOn) run();
  return { button: made, legend: below };
}
