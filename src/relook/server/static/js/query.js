/**
 * The one-line query language, both ways: `dog + snow - people`, `dog -people`, `0.5:snow`, `@van`,
 * `dog@0,0,0.5,1`, `text:"invoice 2021"`.
 * It is that of `search/grammar.py`; both read the lines of tests/query_lines.json alike.
 */

/** @typedef {import("./state.js").Part} Part */

// What keyboards make of a minus; what stands in quotes stays as it is.
const DASH = /(^|\s)([-+]?(?:text:)?(?:"[^"]*"|[“„][^”“]*[”“])|[\u2012-\u2015\u2212\uff0d](?=\s|$)|[\u2212\uff0d](?=[^\s\d-]))/gi;
const SPLIT = /(?:^|\s+)([+-])(?=\s|$)/;
const SHORT_MINUS = /(^|\s)-(?:"([^"]+)"|([^\s\d"-][^\s]*))/g;
const WRITTEN = /(^|\s)(?:([+-])\s*)?text:(?:"([^"]*)"|[“„]([^”“]*)[”“]|(["“„].*)|(\S*))/gi;
const PLACE = /\s*@(-?[\d.]+(?:,-?[\d.]+){3})$/;
const WEIGHT = /^(\d+(?:\.\d+)?|\.\d+):\s*(?=[^\s\d])/;

/**
 * Reads words as signed parts. A minus that sticks to a word takes away just that word.
 * @param {string} text @param {boolean} grammar whether it is in that language; otherwise all of it is words
 * @returns {Part[]}
 */
export function parse(text, grammar = true) {
  if (!grammar) return text.trim() ? [{ text, literal: true, weight: 1 }] : [];
  /** @type {Part[]} */
  const minus = [];
  /** @type {Part[]} */
  const written = [];
  const plain = text.replace(DASH, (all, before, at) => (/^[\u2012-\u2015\u2212\uff0d]/.test(at) ? `${before}-` : all));
  const others = plain.replace(WRITTEN, (_, before, sign, straight, curly, unclosed, word) => {
    // What no text can be, as a quote that is not closed, is the server's to refuse.
    const words = (straight || curly || unclosed || word || "").trim().replace(/\s+/g, " ");
    written.push({ written: words || '""', weight: sign === "-" ? -1 : 1 });
    return before;
  });
  if (written.length && !others.trim()) return written;
  const rest = others.replace(SHORT_MINUS, (_, before, quoted, word) => {
    minus.push({ text: quoted ?? word, weight: -1 });
    return before;
  });
  const pieces = rest.trim().split(SPLIT);
  const parts = [part(pieces[0], 1)];
  for (let at = 1; at < pieces.length; at += 2) parts.push(part(pieces[at + 1], pieces[at] === "-" ? -1 : 1));
  return [...parts.filter((signed) => signed !== null), ...minus, ...written];
}

/** @param {string} piece @param {number} sign @returns {Part|null} */
function part(piece, sign) {
  let words = piece.trim().replace(/\s+/g, " ");
  let weight = sign;
  const weighted = words.match(WEIGHT);
  if (weighted) {
    weight = sign * Number(weighted[1]);
    words = words.slice(weighted[0].length);
  }
  const id = words.match(/^id:(\d{1,18})$/);
  if (id) return { image_id: Number(id[1]), weight };
  const placed = words.match(PLACE);
  /** @type {{place?: [number, number, number, number]}} */
  const place = placed ? { place: /** @type {any} */ (placed[1].split(",").map(Number)) } : {};
  if (placed) words = words.slice(0, -placed[0].length);
  if (/^@\s*\S/.test(words)) return { concept: words.slice(1).trim(), weight, ...place };
  return words ? { text: words, weight, ...place } : null;
}

/** Words, or a concept by its name; nothing for a picture. @param {any} part */
export const wordsOf = (part) => {
  if (part.written) return `text:"${part.written.replaceAll('"', " ").trim()}"`;
  const words = part.text ?? (part.concept ? `@${part.concept}` : "");
  return words && part.place ? `${words}@${part.place.join(",")}` : words;
};

/** Words of a query as one line; pictures are left out. @param {Part[]} parts */
export function print(parts) {
  return parts
    .filter(wordsOf)
    .map((part, at) => {
      const weight = Math.abs(part.weight ?? 1);
      const words = weight === 1 ? wordsOf(part) : `${weight}:${wordsOf(part)}`;
      const minus = (part.weight ?? 1) < 0;
      return at === 0 && !minus ? words : `${minus ? "-" : "+"} ${words}`;
    })
    .join(" ");
}

/** How a query is called in lists. @param {Part[]} parts */
export function describe(parts) {
  const words = print(parts);
  const n_pictures = parts.filter((part) => !wordsOf(part)).length;
  if (!n_pictures) return words;
  const pictures = n_pictures === 1 ? "a picture" : `${n_pictures} pictures`;
  return words ? `${pictures} + ${words}` : pictures;
}
