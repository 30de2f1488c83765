/** Below the list of marks: the button that looks again, and what the next page is made with. */

import * as api from "./api.js";
import { openSave } from "./concepts.js";
import { button, fill, h, plural } from "./dom.js";
import { complain } from "./notices.js";
import { lookAgain } from "./rounds.js";
import { keepsShown, set, state, strategy } from "./state.js";

export const foot = h("div", { class: "side-foot" });

function againLabel() {
  const n = state.judgements.length;
  return n ? `Look again with ${plural(n, "mark")}` : "Look again";
}

/** A field for words without a picture. @param {"relevant"|"irrelevant"} which @param {string} label */
function wordsField(which, label) {
  return h("input", {
    class: "field",
    name: which,
    "aria-label": label,
    placeholder: label,
    maxlength: "2000",
    on: {
      input: (event) => (state.words[which] = event.target.value),
      keydown: (event) => event.key === "Enter" && (event.preventDefault(), lookAgain()),
    },
  });
}

/** The ways of using marks, as the server has them; asked for once. @type {{name: string, summary: string}[]} */
let ways = [];

function wayField() {
  const field = h("select", {
    class: "field",
    name: "way",
    "aria-label": "How marks are used",
    on: { change: () => set({ strategy: field.value }, "view") },
  });
  if (!ways.length)
    api.strategies().then(({ strategies }) => {
      ways = strategies;
      showWays(field);
    }, complain);
  return field;
}

/** @param {HTMLSelectElement} field */
function showWays(field) {
  if (field.options.length !== ways.length)
    fill(field, ...ways.map(({ name, summary }) => h("option", { value: name, text: name, title: summary })));
  field.value = strategy();
  field.title = ways.find(({ name }) => name === field.value)?.summary ?? "";
}

function makeFoot() {
  const again = button("", lookAgain, "primary", "again");
  again.title = "Look again (Enter)";
  const choices = { null: "those that fit stay", true: "all may come again", false: "none comes again" };
  const options = Object.entries(choices).map(([value, text]) => h("option", { value, text }));
  const shown = h("select", { class: "field", name: "shown", "aria-label": "Pictures already shown" }, ...options);
  shown.addEventListener("change", () => set({ keepShown: JSON.parse(shown.value) }, "view"));
  fill(
    foot,
    again,
    wordsField("relevant", "What fits, in words"),
    wordsField("irrelevant", "What does not fit, in words"),
    button("Keep what it learnt", openSave, "button keep", "flag"),
    h("label", { class: "check small" }, "Already shown", shown),
    h("label", { class: "check small" }, "Strategy", wayField()),
  );
}

/** Shows the state's number of marks, words and strategy. */
export function renderFoot() {
  if (!foot.children.length) makeFoot();
  const again = /** @type {HTMLButtonElement} */ (foot.querySelector(".primary"));
  again.children[1].textContent = againLabel();
  again.disabled = state.round === 0 && !state.hits.length; // there is nothing to mark
  /** @type {HTMLSelectElement} */ (foot.querySelector("[name=shown]")).value = String(keepsShown());
  for (const which of ["relevant", "irrelevant"])
    /** @type {HTMLInputElement} */ (foot.querySelector(`[name=${which}]`)).value = state.words[which];
  showWays(foot.querySelector("[name=way]"));
  /** @type {HTMLElement} */ (foot.querySelector(".keep")).hidden = !state.judgements.some((judgement) => judgement.relevant);
}
