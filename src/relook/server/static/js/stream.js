/** Server-sent events as the answer to a POST: an EventSource can only GET. */

import { offline, send } from "./api.js";

/**
 * Tells every event as it comes; resolves when the server ends the stream.
 * @param {string} path below /api/v1 @param {any} body @param {(event: string, told: any) => void} hear
 * @param {AbortSignal} signal ends it
 */
export async function stream(path, body, hear, signal) {
  const answer = await send(path, { method: "POST", body, signal });
  if (!answer.body) throw offline();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await piece(reader);
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) tell(block, hear);
  }
}

async function piece(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw offline();
  }
}

/** Lines without an event's name are there to keep the connection open. */
function tell(block, hear) {
  let event = "";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (event) hear(event, JSON.parse(data.join("\n")));
}
