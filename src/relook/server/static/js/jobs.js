/** An index run: progress as it comes, time left, pause, resume, stop. */

import * as api from "./api.js";
import { button, count, fill, h, plural } from "./dom.js";
import { announce, complain, toast } from "./notices.js";
import { on, set, state } from "./state.js";

/** @type {EventSource|null} */
let source = null;
const ENDED = new Set(["done", "failed", "stopped"]);

/** Follows a job until it ends. @param {any} job @param {() => void} ended */
export function follow(job, ended) {
  source?.close();
  set({ job }, "job");
  announce("Indexing has begun.");
  if (ENDED.has(job.state)) return finish(job, ended);
  source = new EventSource(api.jobEventsUrl(job.job_id));
  source.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    set({ job: now }, "job");
    if (ENDED.has(now.state)) finish(now, ended);
  });
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED || ENDED.has(state.job?.state)) return;
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
  const report = job.report ?? {};
  if (job.state === "done")
    toast(
      `Indexed: ${count(report.n_added)} added, ${count(report.n_updated)} updated, ${count(job.n_skipped)} skipped.`,
    );
  if (job.state === "failed")
    toast(job.error?.message ?? "Indexing failed.", { hint: job.error?.hint, bad: true });
  ended();
}

/** Shows the job in a place, and keeps it current. @param {HTMLElement} host */
export function showJob(host) {
  const render = () => host.isConnected && fill(host, state.job ? card(state.job) : null);
  on("job", render);
  return render;
}

function card(job) {
  const running = job.state === "running";
  const bar = h("progress", { "aria-label": "Indexing" });
  if (job.total) {
    bar.max = job.total;
    bar.value = job.done;
  } else if (!running) bar.value = job.state === "done" ? 1 : 0;
  const steer = (verb) => async () => {
    try {
      set({ job: await api.steerJob(job.job_id, verb) }, "job");
    } catch (error) {
      complain(error);
    }
  };
  return h(
    "div",
    { class: "job" },
    h(
      "div",
      { class: "job-row" },
      h("strong", { text: title(job) }),
      running && button("Pause", steer("pause"), "button small-button", "pause"),
      job.state === "paused" && button("Resume", steer("resume"), "button small-button", "play"),
      !ENDED.has(job.state) && button("Stop", steer("stop"), "button small-button", "cross"),
    ),
    bar,
    h("p", { class: "small muted number", text: details(job) }),
    job.error ? h("p", { class: "small", text: `${job.error.message} ${job.error.hint ?? ""}` }) : null,
  );
}

function title(job) {
  const names = {
    paused: "Paused",
    done: "Done",
    failed: "Failed",
    stopped: "Stopped: what was indexed stays",
  };
  return names[job.state] ?? `Working: ${job.stage || "starting"}`;
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
function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}
