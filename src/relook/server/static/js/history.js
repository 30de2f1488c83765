/** The rounds as a line that can be clicked; branches grow below it. */

import { fill, h, plural, svg } from "./dom.js";
import { capital, pageName } from "./moves.js";
import { goTo } from "./rounds.js";
import { state } from "./state.js";

const STEP_PX = 44;
const LANE_PX = 36;
const SIZE_PX = 28;

/**
 * Places rounds: a column for each step from the first page, a lane for each branch.
 * @param {import("./state.js").Round[]} rounds
 * @returns {Map<number, {column: number, lane: number}>}
 */
export function lanes(rounds) {
  const places = new Map();
  let n_lanes = 1;
  for (const round of [...rounds].sort((a, b) => a.number - b.number)) {
    const parent = places.get(round.parent);
    const column = parent ? parent.column + 1 : 0;
    const taken = [...places.values()].some(
      (place) => place.lane === (parent?.lane ?? 0) && place.column >= column,
    );
    const lane = parent && taken ? n_lanes++ : (parent?.lane ?? 0);
    places.set(round.number, { column, lane });
  }
  return places;
}

/** @returns {Set<number>} the rounds from the first page to the current one */
function wayHere() {
  const way = new Set();
  let at = state.rounds.find((round) => round.number === state.round);
  while (at) {
    way.add(at.number);
    const { parent } = at;
    at = state.rounds.find((round) => round.number === parent);
  }
  return way;
}

/** @param {HTMLElement} host */
export function showHistory(host) {
  const places = lanes(state.rounds);
  const way = wayHere();
  const xy = (number) => {
    const { column, lane } = places.get(number) ?? { column: 0, lane: 0 };
    return [column * STEP_PX + 4, lane * LANE_PX + 4];
  };
  const paths = state.rounds
    .filter((round) => round.parent !== null && places.has(round.parent))
    .map((round) => {
      const [ax, ay] = xy(round.parent).map((edge) => edge + SIZE_PX / 2);
      const [bx, by] = xy(round.number).map((edge) => edge + SIZE_PX / 2);
      const bend = ay === by ? `L${bx} ${by}` : `C${ax + 18} ${by} ${ax + 6} ${by} ${bx} ${by}`;
      return svg("path", { d: `M${ax} ${ay}${bend}`, class: way.has(round.number) ? "on" : "" });
    });
  const lines = svg("svg", { "aria-hidden": "true" });
  lines.append(...paths.sort((a, b) => a.classList.length - b.classList.length));
  const items = state.rounds.map((round) => {
    const item = h("li", {}, node(round, way));
    const [x, y] = xy(round.number);
    item.style.left = `${x}px`;
    item.style.top = `${y}px`;
    return item;
  });
  const list = h("ol", {}, ...items);
  const all = [...places.values()];
  list.style.width = `${(Math.max(...all.map((place) => place.column)) + 1) * STEP_PX - 8}px`;
  list.style.height = `${(Math.max(...all.map((place) => place.lane)) + 1) * LANE_PX}px`;
  list.prepend(lines);
  fill(host, list);
  host.querySelector("[aria-current]")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
}

function node(round, way) {
  const from =
    round.parent === null
      ? "what was searched for"
      : `from ${pageName(round.parent)}, ${round.choice?.strategy ?? round.strategy}`;
  const name = `${capital(pageName(round.number))}: ${from}, ${plural(round.n_hits, "picture")}`;
  return h("button", {
    type: "button",
    class: way.has(round.number) ? "on" : "",
    "aria-label": name,
    title: `${name}${round.choice?.reason ? `. ${round.choice.reason}` : ""}`,
    "aria-current": round.number === state.round ? "step" : null,
    text: String(round.number + 1),
    on: { click: () => goTo(round.number) },
  });
}

/** Goes to the round before or after on this way. @param {-1|1} by */
export function stepRound(by) {
  const now = state.rounds.find((round) => round.number === state.round);
  const target = by < 0 ? now?.parent : state.rounds.filter((round) => round.parent === state.round).at(-1)?.number;
  if (target !== null && target !== undefined) goTo(target);
}
