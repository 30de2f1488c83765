/** An answer on the page: text with citations to click, flags, both versions side by side, what was sent. */

import { reportOf } from "./api.js";
import { button, fill, h, icon, plural } from "./dom.js";
import { modelName, ms } from "./stages.js";

const CITATION = /\[(\d{1,3})\]/;
const ENDS = {
  length: "The longest reply was reached: this answer is not whole.",
  refused: "The model declined to answer.",
  empty: "The model wrote no answer.",
  cut_off: "The connection ended before the answer did: it is not whole.",
};
/** Why nothing was found out; "nothing found" is said only where somebody looked. */
const NOT_LOOKED = {
  blocked: "The picture was not looked up: the service took us for a robot.",
  failed: "The picture was not looked up: no service that was asked answered.",
};
const INVENTED_NOTE = "cited evidence that does not exist";

/**
 * Text with its citations as buttons.
 * @param {string} text @param {(number: number) => void} point @param {(number: number) => string} titled
 */
export function cited(text, point, titled) {
  const pieces = text.split(CITATION).map((piece, at) => {
    if (at % 2 === 0) return piece;
    const number = Number(piece);
    return h("button", {
      type: "button",
      class: "cite number",
      text: piece,
      title: titled(number),
      "aria-label": `Evidence ${number}: ${titled(number)}`,
      on: { click: () => point(number) },
    });
  });
  return h("div", { class: "ask-text" }, ...pieces);
}

/**
 * @param {Element} host @param {any} answer of the API
 * @param {{point: (number: number) => void, titled: (number: number) => string}} actions
 */
export function showAnswer(host, answer, { point, titled }) {
  const without = answer.without;
  const lost = answer.evidence.providers?.length ? NOT_LOOKED[answer.evidence.outcome] : "";
  fill(
    host,
    lost && h("p", { class: "ask-flag", role: "alert" }, icon("flag"), h("span", { text: lost })),
    h(
      "div",
      { class: without ? "ask-two" : "ask-one" },
      version(answer, without ? (answer.with_evidence ? "With evidence" : "The answer") : "", point, titled),
      without && version(without, "Without evidence", point, titled),
    ),
    answer.why && h("p", { class: "note", text: `${sentence(answer.why)}` }),
    ...(answer.evidence.notes ?? []).map((note) => h("p", { class: "note", text: sentence(note) })),
    sentList(answer.sent),
    h(
      "a",
      { class: "button small-button ask-report", href: reportOf(answer.ask_id), download: "relook-report.html" },
      "Save a report",
    ),
    how(answer),
  );
}

function version(written, heading, point, titled) {
  const notes = written.notes.filter((note) => !note.startsWith(INVENTED_NOTE));
  return h(
    "section",
    { class: "ask-version", "aria-label": heading || null },
    heading && h("h3", { text: heading }),
    ENDS[written.finish] && h("p", { class: "ask-flag" }, icon("flag"), h("span", { text: ENDS[written.finish] })),
    written.text
      ? cited(written.text, point, titled)
      : !ENDS[written.finish] && h("p", { class: "muted", text: "No text came." }),
    written.thinking && thoughts(written.thinking),
    written.invented.length > 0 && invented(written.invented),
    ...notes.map((note) => h("p", { class: "note", text: sentence(note) })),
  );
}

/** What it thought before it answered: apart from the answer, and shut. @param {string} text */
const thoughts = (text) =>
  h("details", { class: "ask-how" }, h("summary", { text: "What the model thought" }), h("p", { class: "ask-text", text }));

/** A reader must never follow a number to nothing. */
function invented(numbers) {
  const named = numbers.flatMap((number, at) => [at ? ", " : "", h("del", { class: "number", text: `[${number}]` })]);
  const single = numbers.length === 1;
  return h(
    "p",
    { class: "ask-flag" },
    icon("flag"),
    h(
      "span",
      {},
      "The model cited evidence that it was not shown: ",
      ...named,
      `. ${single ? "It was" : "They were"} taken out; do not trust what leaned on ${single ? "it" : "them"}.`,
    ),
  );
}

const sentence = (text) => {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
};

/** What left this machine. @param {{host: string, n_bytes: number, what: string}[]} sent */
export function sentList(sent) {
  if (!sent.length)
    return h("p", { class: "ask-sent" }, icon("shield"), h("span", { text: "Nothing was sent to anybody else." }));
  return h(
    "div",
    { class: "ask-sent" },
    icon("out"),
    h(
      "div",
      {},
      h("p", { text: "This was sent to others:" }),
      h(
        "ul",
        {},
        ...sent.map((upload) =>
          h(
            "li",
            {},
            h("code", { text: upload.host }),
            ` ${upload.what} `,
            h("span", { class: "muted number", text: `(${kilobytes(upload.n_bytes)})` }),
          ),
        ),
      ),
    ),
  );
}

const kilobytes = (n) => (n < 1000 ? plural(n, "byte") : `${(n / 1000).toFixed(n < 10000 ? 1 : 0)} kB`);

/** Times, tokens, and exactly what a model was shown. */
function how(answer) {
  const times = Object.entries(answer.stages).filter(([, seconds]) => seconds > 0);
  const { prompt_tokens, completion_tokens } = answer.usage ?? {};
  const rows = [
    ["Model", answer.model || modelName(answer.answerer)],
    ["Time", [ms(answer.took_s), ...times.map(([name, seconds]) => `${name} ${ms(seconds)}`)].join(" · ")],
    ["Tokens", prompt_tokens ? `${prompt_tokens} read, ${completion_tokens ?? "?"} written` : ""],
  ];
  const parts = answer.prompt?.parts ?? [];
  return h(
    "details",
    { class: "ask-how" },
    h("summary", { text: "How this answer was made" }),
    h(
      "dl",
      { class: "view-facts" },
      ...rows
        .filter(([, value]) => value)
        .flatMap(([name, value]) => [h("dt", { text: name }), h("dd", { text: value })]),
    ),
    parts.length > 0 && h("h3", { text: "What the model was shown" }),
    parts.length > 0 &&
      h(
        "pre",
        { tabindex: "0", "aria-label": "What the model was shown" },
        [
          answer.prompt.system,
          ...parts.map((part) => part.text ?? `(picture: ${part.picture}, ${kilobytes(part.n_bytes)})`),
        ].join("\n\n"),
      ),
  );
}

/** Any failure with what to do next. @param {any} error @param {{label: string, run: () => void}} retry */
export function failure(error, retry) {
  return h(
    "div",
    { class: "ask-failure", role: "alert" },
    icon("flag"),
    h(
      "div",
      {},
      h("p", {}, h("strong", { text: error.message || "Something went wrong on this page." })),
      error.hint && h("p", { text: sentence(error.hint) }),
      button(retry.label, retry.run, "button small-button", "again"),
    ),
  );
}
