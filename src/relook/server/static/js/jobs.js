/** An index run: progress as it comes, time left, pause, resume, stop. */

import * as api from "./api.js";
import { button, count, fill, h, needs, plural } from "./dom.js";
import { announce, complain, toast } from "./notices.js";
import { on, set, state } from "./state.js";

/** @type {EventSource|null} */
let source = null;
const ENDED = new Set(["done", "failed", "stopped"]);

/** Follows a job until it ends. @param {any} job @param {() => void} ended */
export function follow(job, ended) {
  source?.close();
  set({ job }, "job");
  announce(`${name(job)} has begun.`);
  if (ENDED.has(job.state)) return finish(job, ended);
  source = new EventSource(api.jobEventsUrl(job.job_id));
  source.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    set({ job: now }, "job");
    if (ENDED.has(now.state)) finish(now, ended);
  });
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED || ENDED.has(state.job?.state ?? "")) return;
    setTimeout(() => poll(job.job_id, ended), 1000);
  });
}

/** The stream ended without a last word: ask. */
async function poll(id, ended) {
  try {
    const now = await api.job(id);
    if (ENDED.has(now.state)) {
      set({ job: now }, "job");
      finish(now, ended);
    } else follow(now, ended);
  } catch (error) {
    complain(error);
  }
}

function finish(job, ended) {
  source?.close();
  source = null;
  if (job.state === "done") toast(outcome(job));
  if (job.state === "failed")
    toast(job.error?.message ?? `${name(job)} failed.`, { hint: job.error?.hint, bad: true });
  ended();
}

const name = (job) => (job.kind === "upgrade" ? "The upgrade" : "Indexing");

/** What a run did, in a sentence. */
function outcome({ kind, report, n_skipped }) {
  if (kind !== "upgrade")
    return [
      `Indexed: ${count(report.n_added)} added, ${count(report.n_updated)} updated, ${count(n_skipped)} skipped.`,
      report.n_text_read
        ? `Looked for words in ${plural(report.n_text_read, "picture")}: ${count(report.n_text_found)} have some.`
        : "",
    ].join(" ");
  const unread = report.n_unread ? `, ${count(report.n_unread)} cannot be read now` : "";
  return `Upgraded to ${report.after}: ${plural(report.n_images - report.n_unread, "picture")}${unread}.`;
}

/** Shows the job in a place, and keeps it current. @param {HTMLElement} host */
export function showJob(host) {
  const made = card();
  const render = () => {
    if (!host.isConnected) return;
    if (!state.job) return fill(host);
    made.show(state.job);
    if (host.firstChild !== made.element) fill(host, made.element);
  };
  on("job", render);
  return render;
}

/** Made once: a button that is replaced between press and release would never be clicked. */
function card() {
  const steer = (verb) => async () => {
    if (!state.job) return;
    try {
      set({ job: await api.steerJob(state.job.job_id, verb) }, "job");
    } catch (error) {
      complain(error);
    }
  };
  const named = h("strong");
  const pause = button("Pause", steer("pause"), "button small-button", "pause");
  const resume = button("Resume", steer("resume"), "button small-button", "play");
  const stop = button("Stop", steer("stop"), "button small-button", "cross");
  const barHost = h("div");
  const numbers = h("p", { class: "small muted number" });
  const trouble = h("p", { class: "small" });
  const show = (job) => {
    named.textContent = title(job);
    const held = document.activeElement;
    pause.hidden = job.state !== "running";
    resume.hidden = job.state !== "paused";
    stop.hidden = ENDED.has(job.state);
    if (held === pause && pause.hidden) resume.focus();
    if (held === resume && resume.hidden) pause.focus();
    showProgress(barHost, job);
    numbers.textContent = details(job);
    trouble.hidden = !job.error;
    trouble.textContent = job.error ? `${job.error.message} ${job.error.hint ?? ""}` : "";
  };
  const row = h("div", { class: "job-row" }, named, ...[pause, resume, stop].map((steered) => needs("index", steered)));
  return { element: h("div", { class: "job" }, row, barHost, numbers, trouble), show };
}

/** A bar that knows no total yet runs by itself; it cannot be made from one that has a value. */
function showProgress(host, job) {
  const known = Boolean(job.total) || job.state !== "running";
  if (!host.firstChild || known !== host.firstChild.hasAttribute("value"))
    fill(host, h("progress", { "aria-label": "Progress", ...(known ? { value: 0 } : {}) }));
  if (!known) return;
  const bar = host.firstChild;
  bar.setAttribute("max", String(job.total || 1));
  bar.setAttribute("value", String(job.total ? job.done : job.state === "done" ? 1 : 0));
}

function title(job) {
  const names = {
    paused: "Paused",
    done: "Done",
    failed: "Failed",
    stopped: "Stopped: what was done stays",
  };
  const waits = job.stage === "waiting" ? "Waiting for the run before" : "";
  return names[job.state] ?? (waits || `Working: ${job.stage || "starting"}`);
}

function details(job) {
  const of = job.total ? `${count(job.done)} of ${count(job.total)}` : plural(job.done ?? 0, "picture");
  const rate = job.rate_per_s
    ? `${job.rate_per_s < 10 ? job.rate_per_s.toFixed(1) : Math.round(job.rate_per_s)} a second`
    : "";
  const left = job.state === "running" && job.left_s ? `${duration(job.left_s)} left` : "";
  return [of, rate, left, job.n_skipped ? `${count(job.n_skipped)} skipped` : ""].filter(Boolean).join(" · ");
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
