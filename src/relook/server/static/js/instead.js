/** What else to ask, above the pictures: words to leave out, a word put right, models of other languages. */

import { button, byId, fill, h } from "./dom.js";
import { on, state } from "./state.js";

/** @param {{search: (parts: any[]) => void, models: () => void}} actions */
export function setUpInstead(actions) {
  on(["session", "hits", "view"], () => render(actions));
}

/** Of the page that is shown. @returns {Api.Suggestion[]} */
export const suggestionsHere = () => state.pages.get(state.round)?.suggestions ?? [];

function render(actions) {
  const host = byId("instead");
  const suggestions = state.session ? suggestionsHere() : [];
  host.hidden = !suggestions.length;
  fill(
    host,
    ...suggestions.map((suggestion) => {
      const parts = suggestion.query?.parts;
      const act = parts ? () => actions.search(parts) : actions.models;
      return button(suggestion.label, act);
    }),
    ...suggestions
      .filter((suggestion) => suggestion.note !== suggestion.label)
      .map((suggestion) => h("p", { class: "small muted", text: said(suggestion) })),
  );
}

/** A sentence beside the button, which says itself what to do. @param {Api.Suggestion} suggestion */
function said(suggestion) {
  const [lead] = suggestion.note.split(/[:;] /);
  return `${lead[0].toUpperCase()}${lead.slice(1)}.`;
}
