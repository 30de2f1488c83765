/** The Ask panel: a picture and a question in, an answer with evidence to check out. */

import { failure, sentList, showAnswer } from "./answer.js";
import * as api from "./api.js";
import { AskForm } from "./askform.js";
import { button, byId, fill, h, icon, iconButton, plural } from "./dom.js";
import { Cards, titleOf } from "./evidence.js";
import { toast } from "./notices.js";
import { modelName, Stages } from "./stages.js";
import { on, state } from "./state.js";
import { stream } from "./stream.js";
import { acceptFiles, ofFile, ofLibrary, well } from "./subject.js";

/** @typedef {import("./subject.js").Subject} Subject */

const dialog = h("dialog", { class: "sheet ask-panel", "aria-labelledby": "ask-title" });
const live = h("p", { class: "visually-hidden", role: "status" });
const out = h("div", { class: "ask-out" });
const message = h("div");
const draft = h("div", { class: "ask-draft", "aria-hidden": "true" });
const verdict = h("div", { class: "ask-answer", tabindex: "-1", role: "region", "aria-label": "The answer" });
const evidenceHead = h("div", { class: "ask-evidence-head" });
const narrow = matchMedia("(max-width: 860px)"); // one column, as in ask.css
const say = (text) => (live.textContent = text);
const stages = new Stages(say);
const cards = new Cards({ mark, like });
const form = new AskForm({ submit: () => ask(), stop: () => control?.abort() });
const photo = well(take);

/** @type {Subject|null} */
let subject = null;
/** What the answer shown was made with; null before there is one. @type {any} */
let answer = null;
/** @type {AbortController|null} while an answer is made */
let control = null;
/** The last request showed evidence to check, and no model has seen it yet. */
let reviewing = false;
/** Evidence was struck or pinned since the answer. */
let edited = false;
let drafts = { with: "", without: "" };
/** @type {{search: (parts: any[]) => void, searchPicture: (file: File) => void}} */
let actions = { search: () => undefined, searchPicture: () => undefined };

/** @param {typeof actions} given how a search begins */
export function setUpAsk(given) {
  actions = given;
  fill(
    out,
    message,
    stages.element,
    draft,
    verdict,
    h("section", { class: "ask-evidence", "aria-label": "Evidence" }, evidenceHead, cards.names, cards.element),
  );
  dialog.append(
    h(
      "div",
      { class: "sheet-head" },
      h("h2", { id: "ask-title", text: "Ask about a picture" }),
      iconButton("cross", "Close (Esc)", closeAsk),
    ),
    h("div", { class: "sheet-body ask-body" }, h("div", { class: "ask-in" }, photo.element, form.element), out),
    live,
  );
  document.body.append(dialog);
  fill(byId("open-ask"), icon("ask"), h("span", { class: "name", text: "Ask" }));
  byId("open-ask").addEventListener("click", () => askAbout(null));
  dialog.addEventListener("click", (event) => event.target === dialog && closeAsk());
  acceptFiles(dialog, take);
  on("library", () => {
    if (subject && subject.libraryId !== state.library?.library_id) choose(null);
  });
  window.addEventListener("relook:ask", (event) => {
    open();
    take(/** @type {CustomEvent} */ (event).detail);
  });
  welcome();
}

export const closeAsk = () => dialog.close();

/** Opens the panel with a picture of the library, or as it was left. @param {import("./state.js").Hit|null} [hit] */
export function askAbout(hit) {
  if (hit) choose(ofLibrary(hit));
  open();
}

async function open() {
  if (!dialog.open) dialog.showModal();
  photo.show(subject);
  (subject ? form.question : photo.choose).focus();
  if (form.choices) return;
  try {
    form.show(await api.askChoices());
  } catch (error) {
    show(failure(error, { label: "Try again", run: () => (show(), open()) }));
  }
}

/** A picture from outside the library. @param {File|Blob} file */
function take(file) {
  try {
    choose(ofFile(file));
    form.question.focus();
  } catch (error) {
    show(failure(error, { label: "Choose another", run: () => photo.choose.click() }));
  }
}

/** Another picture: what was found about the one before goes. @param {Subject|null} next */
function choose(next) {
  if (next && next.key === subject?.key) return;
  control?.abort();
  control = null;
  form.running(false);
  if (subject?.src.startsWith("blob:")) URL.revokeObjectURL(subject.src);
  subject = next;
  out.classList.remove("used");
  photo.show(next);
  form.forget();
  clear();
  welcome();
}

function clear() {
  answer = null;
  reviewing = edited = false;
  drafts = { with: "", without: "" };
  stages.clear();
  showItems([]);
  fill(verdict);
  fill(draft);
  show();
}

const show = (/** @type {any[]} */ ...nodes) => fill(message, ...nodes);

function welcome() {
  show(
    h(
      "div",
      { class: "ask-welcome" },
      icon("ask"),
      h("p", {
        text: subject
          ? "What is found about this picture becomes numbered evidence. The answer cites it, and you can strike out what is wrong."
          : "Choose a picture, paste or drop one here, or press a on any picture of the library.",
      }),
    ),
  );
}

/** Asks anew: the picture is looked up. */
async function ask() {
  const chosen = subject;
  if (!chosen) {
    welcome();
    return photo.choose.focus();
  }
  const { providers, review } = form.chosen;
  if (!providers.length)
    return show(h("p", { class: "ask-flag", role: "alert" }, icon("flag"), "Choose where to look it up."));
  if (!form.may) return say("Agree first, or choose only what stays here.");
  clear();
  reviewing = review && form.hasModel;
  await run(async (signal) => {
    const named = await chosen.ready;
    return request({ library_id: chosen.libraryId, ...named, providers }, signal);
  }, ask);
}

/** The same evidence, without what was struck; nothing is looked up. */
async function answerAgain() {
  if (!form.may) return say("Agree first, or choose only what stays here.");
  const numbers = (how) => cards.items.filter((item) => item[how]).map((item) => item.number);
  const body = { ask_id: answer.ask_id, strike: numbers("struck"), pin: numbers("pinned") };
  reviewing = false;
  drafts = { with: "", without: "" };
  stages.clear();
  show();
  await run((signal) => request(body, signal), answerAgain);
}

/** @param {any} body @param {AbortSignal} signal */
async function request(body, signal) {
  const { question, model, compare } = form.chosen;
  const options = reviewing ? { model: "evidence-only" } : { model, compare: compare && form.hasModel };
  let ended = false;
  const hear = (event, payload) => {
    ended ||= event === "answer" || event === "error";
    heard(event, payload);
  };
  await stream("/ask", { ...body, question, ...options, allow_upload: form.allowed }, hear, signal);
  if (!ended)
    throw new api.ApiError(0, {
      code: "broke_off",
      message: "The answer broke off: the server ended the connection.",
      hint: "Look at the terminal where relook serve runs, and ask again.",
    });
}

/** Does it once, with every way it can end. @param {(signal: AbortSignal) => Promise<void>} work @param {() => void} again */
async function run(work, again) {
  control?.abort();
  const mine = new AbortController();
  control = mine;
  form.running(true);
  out.classList.add("used");
  if (narrow.matches) out.scrollIntoView({ block: "start" });
  else out.scrollTop = 0;
  cards.lock(true);
  showEvidenceHead();
  if (dialog.open && !dialog.contains(document.activeElement)) form.stop.focus({ preventScroll: true });
  verdict.classList.add("stale");
  let failed = null;
  try {
    await work(mine.signal);
  } catch (error) {
    failed = error;
  }
  if (control !== mine) return; // another picture has taken the panel
  control = null;
  settle(failed, again);
}

function settle(failed, again) {
  const held = dialog.contains(document.activeElement) ? document.activeElement : null;
  const onButton = held === form.stop || held === null || held.closest("[inert]");
  form.running(false);
  cards.lock(false);
  stages.end(!failed);
  fill(draft);
  showEvidenceHead();
  if (!failed) {
    verdict.classList.remove("stale");
    say(reviewing ? "The evidence is there. Check it, then have it answered." : "The answer is there.");
    if (!dialog.open) toast("The answer is there.", { action: { label: "Show", run: open } });
    else if (onButton) (reviewing ? evidenceHead.querySelector("button") : verdict).focus({ preventScroll: true });
    return;
  }
  restore();
  if (dialog.open && onButton) form.ask.focus({ preventScroll: true });
  if (failed.name === "AbortError") return stopped(again);
  if (!(failed instanceof api.ApiError)) console.error(failed);
  show(failure(failed, { label: "Try again", run: again }), ...sentSoFar());
}

/** The answer before, when another one did not come. */
function restore() {
  if (!answer || reviewing) return;
  drawAnswer();
  verdict.classList.add("stale");
}

function stopped(again) {
  say("Stopped.");
  const text =
    "Stopped. The server ends what it had begun and shows it to nobody; what was sent is not called back.";
  show(
    h(
      "div",
      { class: "ask-failure calm" },
      icon("stop"),
      h("div", {}, h("p", { text }), button("Ask again", again, "button small-button", "again")),
    ),
    ...sentSoFar(),
  );
}

const sentSoFar = () => (stages.sent.length ? [sentList(stages.sent)] : []);

/** One event of the stream. */
function heard(event, payload) {
  if (event === "error") throw new api.ApiError(200, payload.error);
  stages.hear(event, payload);
  if (event === "evidence") {
    showItems(payload.items, payload.own, payload.candidates);
    cards.lock(true);
  }
  if (event === "text" && !reviewing) write(payload);
  if (event === "answer") finish(payload);
}

/** The answer as it is written; its citations are not checked yet, so they are no links. */
function write({ which, text }) {
  drafts[which] += text;
  const column = (name, label) =>
    drafts[name] &&
    h(
      "div",
      { class: "ask-version" },
      drafts.with && drafts.without && h("h3", { text: label }),
      h("div", { class: "ask-text", text: drafts[name] }),
    );
  fill(verdict);
  fill(draft, column("with", "With evidence"), column("without", "Without evidence"));
}

function finish(finished) {
  answer = finished;
  edited = false;
  fill(draft);
  showItems(finished.evidence.items, finished.evidence.own, finished.evidence.candidates);
  if (reviewing) {
    fill(verdict);
    return;
  }
  drawAnswer();
}

function drawAnswer() {
  cards.cited(answer.citations);
  const titled = (number) => titleOf(cards.items.find((item) => item.number === number) ?? { number });
  showAnswer(verdict, answer, { point: (number) => cards.point(number), titled });
}

function showItems(items, own = null, names = []) {
  cards.show(items, subject?.libraryId ?? state.library?.library_id, own, names);
  showEvidenceHead();
}

/** "Nothing was found" only where somebody looked. */
const NO_EVIDENCE = { blocked: "Not looked up", failed: "Not looked up", not_asked: "Nobody was asked" };

/** What can be done with the evidence as it stands. */
function showEvidenceHead() {
  const n_struck = cards.items.filter((item) => item.struck).length;
  const n_pinned = cards.items.filter((item) => item.pinned).length;
  if (evidenceHead.parentElement) evidenceHead.parentElement.hidden = !cards.items.length && !answer;
  const counts = [n_struck && `${n_struck} struck out`, n_pinned && `${n_pinned} pinned`].filter(Boolean).join(", ");
  const label = reviewing ? `Answer with ${modelName(form.chosen.model)}` : "Answer again";
  fill(
    evidenceHead,
    h("h3", {
      text: cards.items.length
        ? plural(cards.items.length, "piece of evidence", "pieces of evidence")
        : (NO_EVIDENCE[answer?.evidence?.outcome] ?? "Nothing was found"),
    }),
    counts && h("span", { class: "muted small", text: counts }),
    answer &&
      !control &&
      button(label, answerAgain, `${edited || reviewing ? "primary" : "button"} small-button`, "again"),
    answer && h("p", { class: "note", text: hintOf() }),
  );
}

function hintOf() {
  if (!cards.items.length) return "No provider knows the picture. Look in another one, or ask a model.";
  if (reviewing) return "No model has seen this yet. Strike out what is wrong, pin what is right.";
  if (edited) return "The answer above still rests on the evidence as it was. Nothing is looked up again.";
  return "Strike out what is wrong, pin what is right, and have it answered again.";
}

/** @param {import("./evidence.js").Item} item @param {"pinned"|"struck"} how */
function mark(item, how) {
  const on = !item[how];
  Object.assign(item, { pinned: false, struck: false, [how]: on });
  edited = true;
  cards.remark(item);
  showEvidenceHead();
  say(`Evidence ${item.number}: ${on ? (how === "struck" ? "struck out" : "pinned") : "as it was"}.`);
}

/** Back into the search: with the item's own picture, or with its title. @param {import("./evidence.js").Item} item */
async function like(item) {
  closeAsk();
  if (item.image_id !== null) return actions.search([{ image_id: item.image_id, weight: 1 }]);
  if (!item.thumbnail) return actions.search([{ text: item.title.slice(0, 300), weight: 1 }]);
  const bytes = Uint8Array.from(atob(item.thumbnail), (letter) => letter.charCodeAt(0));
  actions.searchPicture(new File([bytes], `evidence-${item.number}.jpg`, { type: "image/jpeg" }));
}
