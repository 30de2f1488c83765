/** Builds elements. Data only ever becomes text or attributes, never markup. */

const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<string, string>} drawn on a 24 x 24 grid */
const ICONS = {
  search: "M11 4a7 7 0 1 1 0 14 7 7 0 0 1 0-14m5 12 5 5",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  tick: "m5 12.5 4.5 4.5L19 7",
  cross: "M6 6l12 12M18 6 6 18",
  open: "M14 4h6v6M20 4l-7 7M10 20H4v-6m0 6 7-7",
  why: "M9.5 9a2.6 2.6 0 1 1 3.6 2.5c-.8.4-1.1.9-1.1 2M12 17.5h.01M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.5 11v5m3-5v5",
  like: "M4 4h7v7H4zM13 13h7v7h-7zM15 4h5v5M20 4l-6 6",
  pencil: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  filter: "M4 6h16M7 12h10M10 18h4",
  undo: "M9 7 4 12l5 5M4.5 12H15a5 5 0 0 1 0 10",
  redo: "m15 7 5 5-5 5M19.500 12H9a5 5 0 0 0 0 10",
  share: "M12 15V4m0 0L8 8m4-4 4 4M5 13v7h14v-7",
  grid: "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5",
  left: "m15 5-7 7 7 7",
  right: "m9 5 7 7-7 7",
  clock: "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18M12 7v5l3.500 2",
  copies: "M8 8h12v12H8zM16 8V4H4v12h4",
  box: "M4 8V4h4m8 0h4v4m0 8v4h-4m-8 0H4v-4",
  pause: "M8 5v14m8-14v14",
  play: "M7 5v14l12-7z",
  heat: "M12 3c4 4 6 6.500 6 10a6 6 0 0 1-12 0c0-2 1-3.500 2-4.500.5 2 1.500 2.500 2.500 3C10 8 11 5 12 3",
  again: "M20 12a8 8 0 1 1-2.500-5.800M20 3v5h-5",
  ask: "M4 4.500h16v12h-9l-4 4v-4H4zM10 8.800a2 2 0 1 1 2.800 1.800c-.5.2-.8.6-.8 1.200M12 13.800h.01",
  pin: "M9 3.500h6l-.8 6L17 12.500H7l2.800-3zM12 12.500v8",
  stop: "M7 7h10v10H7z",
  link: "M14 4h6v6M20 4l-9 9M17 14v6H4V7h6",
  shield: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2.200 2.200L15.500 10",
  out: "M5 20h14M12 16V4m0 0L7.500 8.500M12 4l4.500 4.500",
  warn: "M12 4 3 20h18zM12 10v4M12 17h.01",
  more: "M12 5v14M5 12h14",
  less: "M5 12h14",
  fit: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  hand: "M12 3v18M3 12h18M12 3 9.500 5.500M12 3l2.500 2.500M12 21l-2.500-2.500M12 21l2.500-2.500M3 12l2.500-2.500M3 12l2.500 2.500M21 12l-2.500-2.500M21 12l-2.500 2.500",
  folder: "M3 6h6l2 2h10v11H3z",
  star: "m12 3.500 2.600 5.700 6.200.7-4.600 4.200 1.300 6.100-5.500-3.100-5.500 3.100 1.300-6.100-4.600-4.200 6.200-.7z",
  flag: "M6 21V4h12l-3 4 3 4H6",
};

/**
 * Makes an element.
 * @param {string} tag
 * @param {Record<string, any>} [props] `class`, `on: {click}`, `data: {..}`, `text`, else attributes;
 *   null and false leave an attribute out.
 * @param {...(Node|string|null|false|undefined)} children
 * @returns {any}
 */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [type, run] of Object.entries(value)) made.addEventListener(type, run);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "text") made.textContent = value;
    else if (name === "class") made.className = value;
    else if (name === "value") /** @type {HTMLInputElement} */ (made).value = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** @param {string} name of `ICONS` @returns {SVGElement} */
export function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  const made = svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" });
  made.append(path);
  return made;
}

/** @param {string} tag @param {Record<string, string|number>} attributes @returns {any} */
export function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * A button with an icon whose name is read aloud and shown as a tooltip.
 * @param {string} name icon @param {string} label @param {(event: Event) => void} run
 * @param {Record<string, any>} [props]
 */
export function iconButton(name, label, run, props = {}) {
  const { on, ...rest } = props;
  return h(
    "button",
    {
      type: "button",
      class: "quiet square",
      "aria-label": label,
      title: label,
      ...rest,
      on: { click: run, ...on },
    },
    icon(name),
  );
}

/** @param {string} label @param {() => void} run @param {string} [kind] @param {string} [picture] */
export function button(label, run, kind = "button", picture = "") {
  return h(
    "button",
    { type: "button", class: kind, on: { click: run } },
    picture ? icon(picture) : null,
    h("span", { text: label }),
  );
}

/**
 * Shows an element only to those who have a right to the library.
 * @template {HTMLElement} T @param {"mark"|"index"} right @param {T} element @returns {T}
 */
export function needs(right, element) {
  element.dataset.needs = right;
  return element;
}

/** Replaces what an element holds. @param {Element} host @param {...(Node|string|null|false)} children */
export function fill(host, ...children) {
  host.replaceChildren(...children.filter((child) => child !== null && child !== false && child !== undefined));
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** @param {number} number */
export const count = (number) => Number(number || 0).toLocaleString("en");

/** @param {number} n @param {string} singular @param {string} [many] */
export const plural = (n, singular, many = `${singular}s`) => `${count(n)} ${n === 1 ? singular : many}`;

/** Last part of a path. @param {string} path */
export const fileName = (path) =>
  String(path || "")
    .split(/[\\/]/)
    .pop() || "";

/** Puts a relative box on an element. @param {HTMLElement} element @param {number[]} box */
export function place(element, [x0, y0, x1, y1]) {
  Object.assign(element.style, {
    left: `${x0 * 100}%`,
    top: `${y0 * 100}%`,
    width: `${(x1 - x0) * 100}%`,
    height: `${(y1 - y0) * 100}%`,
  });
}
