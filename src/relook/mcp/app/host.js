/** Talks to the program that shows this window: JSON-RPC by messages, as MCP Apps (SEP-1865) says. */

const VERSION = "2026-01-26";
const host = window.parent;
let n_asked = 0;
/** Requests without an answer yet, by number. @type {Map<number, {done: (result: any) => void, failed: (error: any) => void}>} */
const waiting = new Map();
/** By method: what is told to this window. @type {Map<string, (params: any) => void>} */
const heard = new Map();
/** By method: what this window is asked for. @type {Map<string, () => Promise<any>>} */
const answers = new Map([["ping", async () => ({})]]);

const send = (message) => host.postMessage({ jsonrpc: "2.0", ...message }, "*");

/** @param {string} method @param {any} params @returns {Promise<any>} its result; rejects with {code, message} */
export function request(method, params) {
  n_asked += 1;
  const id = n_asked;
  return new Promise((done, failed) => {
    waiting.set(id, { done, failed });
    send({ id, method, params });
  });
}

/** @param {string} method @param {any} [params] */
export const notify = (method, params = {}) => send({ method, params });

/** Listens to a notification of the host. @param {string} method @param {(params: any) => void} run */
export const hear = (method, run) => heard.set(method, run);

/** Answers a request of the host. @param {string} method @param {() => Promise<any>} run */
export const answer = (method, run) => answers.set(method, run);

window.addEventListener("message", (event) => {
  const message = event.data;
  if (event.source !== host || message?.jsonrpc !== "2.0") return;
  if (message.method === undefined) settle(message);
  else if (message.id === undefined) heard.get(message.method)?.(message.params ?? {});
  else respond(message);
});

function settle({ id, result, error }) {
  const asked = waiting.get(id);
  waiting.delete(id);
  if (error) asked?.failed(error);
  else asked?.done(result);
}

async function respond({ id, method }) {
  const run = answers.get(method);
  if (!run) return send({ id, error: { code: -32601, message: `This window has no method ${method}.` } });
  send({ id, result: await run() });
}

/** Begins: the host tells of itself, then of the call that opened the window. @returns {Promise<any>} the host's context */
export async function connect() {
  const { hostContext } = await request("ui/initialize", {
    protocolVersion: VERSION,
    appInfo: { name: "relook", title: "Relook", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  });
  notify("ui/notifications/initialized");
  return hostContext ?? {};
}

/** Tells the host how large the page is, now and whenever that changes. @param {HTMLElement} page */
export function tellSize(page) {
  let last = "";
  const tell = () => {
    const { width, height } = page.getBoundingClientRect();
    const size = { width: Math.ceil(width), height: Math.ceil(height) };
    if (`${size.width} ${size.height}` === last) return;
    last = `${size.width} ${size.height}`;
    notify("ui/notifications/size-changed", size);
  };
  new ResizeObserver(tell).observe(page);
}
