/** Earlier searches: open, rename, delete, import. */

import * as api from "./api.js";
import { button, fill, h, iconButton, needs } from "./dom.js";
import { pageName } from "./moves.js";
import { complain, toast } from "./notices.js";
import { openSession } from "./rounds.js";
import { may, set, state } from "./state.js";

const SHOWN = 30;

/**
 * Lists the sessions of the library.
 * @param {HTMLElement} host
 * @param {{close: () => void, choose: (libraryId: string) => void}} actions
 */
export async function showSessions(host, actions) {
  const { sessions } = await api.sessions(state.library.library_id);
  const file = h("input", {
    type: "file",
    accept: ".json,application/json",
    class: "visually-hidden",
    tabindex: "-1",
    "aria-label": "Exported session",
  });
  file.addEventListener("change", () => importFile(file.files[0], actions));
  const again = () => showSessions(host, actions);
  fill(
    host,
    h(
      "div",
      { class: "job-row" },
      h("h3", { text: "Earlier searches" }),
      file,
      needs("mark", button("Import a session", () => file.click(), "button small-button")),
    ),
    sessions.length ? null : h("p", { class: "note", text: may("mark") ? "None yet. Each search is kept here." : "None yet." }),
    h("ul", { class: "session-list" }, ...sessions.slice(0, SHOWN).map((session) => row(session, again, actions))),
  );
}

function row(session, again, actions) {
  const when = new Date(session.created_s * 1000);
  const open = h("button", {
    type: "button",
    class: "quiet name",
    text: session.name || "Untitled",
    title: session.name,
    on: { click: () => (actions.close(), openSession(session.session_id).catch(complain)) },
  });
  const rename = needs("mark", iconButton("pencil", `Rename the search “${session.name}”`, () => {
    const field = nameField(session, (renamed) => (renamed ? again() : (field.replaceWith(open), rename.focus())));
    open.replaceWith(field);
    field.focus();
    field.select();
  }));
  return h(
    "li",
    {},
    open,
    h("span", {
      class: "small muted number",
      text: `${pageName(session.current_round)} · ${when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`,
    }),
    rename,
    needs("index", iconButton("bin", `Delete the search “${session.name}”`, async () => {
      try {
        await api.deleteSession(state.library.library_id, session.session_id);
        if (state.session?.session_id === session.session_id) actions.choose(state.library.library_id);
        again();
      } catch (error) {
        complain(error);
      }
    })),
  );
}

/**
 * A field with a session's name: Enter keeps it, Escape does not.
 * @param {{session_id: string, name: string}} session @param {(renamed: boolean) => void} done
 */
export function nameField(session, done) {
  const field = h("input", { class: "field name", value: session.name, "aria-label": "Name of this search", maxlength: "200" });
  field.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const name = field.value.trim();
    if (event.key === "Escape" || !name || name === session.name) return done(false);
    try {
      await api.changeSession(state.library.library_id, session.session_id, { name });
      if (state.session?.session_id === session.session_id) set({ session: { ...state.session, name } }, "session");
      toast(`The search is called “${name}” now.`);
      done(true);
    } catch (error) {
      complain(error);
    }
  });
  return field;
}

async function importFile(file, actions) {
  if (!file) return;
  try {
    const { session_id: id, notes } = await api.importSession(state.library.library_id, file);
    for (const note of notes) toast(note);
    actions.close();
    await openSession(id);
  } catch (error) {
    complain(error);
  }
}
