/** Signing in and out, accepting an invitation, who somebody is and what they may do here. */

import * as api from "./api.js";
import { listen } from "./connection.js";
import { button, fill, h, plural } from "./dom.js";
import { announce, complain } from "./notices.js";
import { on, set, state } from "./state.js";

const dialog = h("dialog", { class: "sheet sign-in", "aria-labelledby": "sign-in-title" });
/** Reads the libraries and shows the page. @type {() => Promise<void>} */
let begin = async () => undefined;
/** Why a sign-in is asked for, where the address says so. */
let why = "";

/** @param {() => Promise<void>} boot */
export function setUpPeople(boot) {
  begin = boot;
  document.body.append(dialog);
  dialog.addEventListener("cancel", (event) => event.preventDefault()); // behind it nothing is to be had
  window.addEventListener("relook:sign-in", () => dialog.open || openSignIn());
  on("library", () => (document.documentElement.dataset.right = state.library?.right ?? "index"));
}

/** Opens what the address carries. @returns {boolean} whether it is an invitation, which comes before the page */
export function openCarried() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const invitation = hash.get("invitation");
  if (hash.has("link-ended")) why = "This link has ended.";
  if (invitation || why) history.replaceState({}, "", location.pathname + location.search);
  if (invitation) openAccept(invitation);
  return Boolean(invitation);
}

export const learnMe = async () => set({ me: await api.me() });

const ENDED = "You are signed out, or your time is over. What you typed here stays.";

/** @param {string} [note] why it is asked for */
export function openSignIn(note = state.me ? ENDED : why) {
  const name = nameField();
  const word = passwordField("Password", "current-password");
  show("Sign in", note, [name, word], "Sign in", () => api.signIn({ name: field(name).value, password: field(word).value }));
}

/** @param {string} invitation */
function openAccept(invitation) {
  const name = nameField();
  const word = passwordField("Password, at least 8 characters", "new-password");
  const again = passwordField("The same password once more", "new-password");
  show("You are invited", "Choose a name and a password; you sign in with them from now on.", [name, word, again], "Begin", () => {
    if (field(word).value !== field(again).value)
      throw new api.ApiError(400, { code: "bad_password", message: "the two passwords differ", hint: "type them again" });
    return api.acceptInvitation({ invitation, name: field(name).value, password: field(word).value });
  });
}

/** @param {HTMLElement} label @returns {HTMLInputElement} */
const field = (label) => /** @type {any} */ (label.querySelector("input"));

const labelled = (text, props) => h("label", { class: "labelled" }, h("span", { text }), h("input", { class: "field", required: true, ...props }));

const nameField = () =>
  labelled("Name", { name: "username", autocomplete: "username", autocapitalize: "none", spellcheck: "false", maxlength: "64" });

const passwordField = (text, autocomplete) => labelled(text, { name: autocomplete, type: "password", autocomplete, maxlength: "1000" });

/**
 * @param {string} title @param {string} note @param {HTMLElement[]} fields @param {string} label
 * @param {() => Promise<any>} send
 */
function show(title, note, fields, label, send) {
  const trouble = h("p", { class: "trouble", role: "alert" });
  const go = h("button", { class: "primary", text: label });
  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    trouble.textContent = "";
    try {
      await send();
      await signedIn();
    } catch (error) {
      trouble.textContent = [error.message, error.hint].filter(Boolean).map(sentence).join(" ");
      field(fields[fields.length - 1]).select();
    } finally {
      go.disabled = false;
    }
  };
  fill(
    dialog,
    h("div", { class: "sheet-head" }, h("h2", { id: "sign-in-title", text: title })),
    h("div", { class: "sheet-body" }, h("form", { on: { submit } }, note ? h("p", { class: "note", text: note }) : null, ...fields, trouble, go)),
  );
  if (!dialog.open) dialog.showModal();
  field(fields[0]).focus();
}

/** @param {string} words */
const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1).replace(/\.$/, "")}.`;

/** Goes on where the page was; somebody else gets a page of their own. */
async function signedIn() {
  const before = state.me;
  const me = await api.me();
  if (before && before.name !== me.name) return location.reload();
  set({ me });
  dialog.close();
  announce(me.name ? `Signed in as ${me.name}.` : "Signed in.");
  listen();
  if (!state.libraries.length) await begin();
}

async function signOut() {
  try {
    await api.signOut();
    location.assign("/");
  } catch (error) {
    complain(error);
  }
}

const MAY = { view: "look at this library", mark: "look at this library and mark", index: "change this library" };

/** Who is here, in the library view; nothing where nobody has to sign in. @param {HTMLElement} host */
export function showMe(host) {
  const { me, library } = state;
  if (!me || me.kind === "everyone" || me.kind === "token") return fill(host);
  const may = library ? `You may ${MAY[library.right] ?? "use this library"}.` : `You may see ${plural(state.libraries.length, "library", "libraries")}.`;
  const who = me.kind === "link" ? "You came by a link." : h("span", {}, "Signed in as ", h("strong", {}, h("bdi", { text: me.name })), ".");
  fill(
    host,
    h(
      "div",
      { class: "job-row" },
      h("p", {}, who, ` ${may}`),
      me.kind === "link" ? button("Sign in", () => openSignIn(""), "button small-button") : button("Sign out", signOut, "button small-button", "out"),
    ),
  );
}
