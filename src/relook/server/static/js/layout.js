/** Justified rows: every row as wide as the page, every picture with its own shape. */

/** @typedef {{x: number, y: number, w: number, h: number, row: number}} Place */

/**
 * @param {number[]} ratios width / height of each picture
 * @param {number} width of the page in px @param {number} target height of a row in px @param {number} gap in px
 * @returns {{places: Place[], height: number}}
 */
export function justify(ratios, width, target, gap) {
  /** @type {Place[]} */
  const places = [];
  let y = 0;
  let row = 0;
  let start = 0;
  let sum = 0;
  const close = (end, height) => {
    let x = 0;
    for (let at = start; at < end; at += 1) {
      const w =
        at === end - 1 && height < target * 1.4 && isFull(sum, end - start, width, target, gap)
          ? width - x
          : ratios[at] * height;
      places.push({ x: Math.round(x), y: Math.round(y), w: Math.round(w), h: Math.round(height), row });
      x += ratios[at] * height + gap;
    }
    y += height + gap;
    row += 1;
    start = end;
    sum = 0;
  };
  for (let at = 0; at < ratios.length; at += 1) {
    sum += ratios[at];
    if (isFull(sum, at + 1 - start, width, target, gap)) close(at + 1, (width - gap * (at - start)) / sum);
  }
  if (start < ratios.length)
    close(ratios.length, Math.min(target, (width - gap * (ratios.length - 1 - start)) / sum));
  return { places, height: Math.max(0, Math.round(y - gap)) };
}

const isFull = (sum, n, width, target, gap) => sum * target + gap * (n - 1) >= width;

/** A shape that a row can hold. @param {{width_px: number, height_px: number}} hit */
export const ratioOf = (hit) => Math.min(2.6, Math.max(0.5, hit.width_px / hit.height_px || 1.4));

/**
 * The neighbour of a picture, by direction.
 * @param {Place[]} places @param {number} from @param {"left"|"right"|"up"|"down"} where
 */
export function neighbour(places, from, where) {
  if (where === "left") return Math.max(0, from - 1);
  if (where === "right") return Math.min(places.length - 1, from + 1);
  const here = places[from];
  if (!here) return 0;
  const row = here.row + (where === "down" ? 1 : -1);
  const middle = here.x + here.w / 2;
  let best = from;
  let gap = Infinity;
  for (let at = 0; at < places.length; at += 1) {
    if (places[at].row !== row) continue;
    const off = Math.abs(places[at].x + places[at].w / 2 - middle);
    if (off < gap) [best, gap] = [at, off];
  }
  return best;
}
