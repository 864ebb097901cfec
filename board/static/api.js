// The board's requests to its server, beside those of every page.

import { bitmap, post, push, Refused, start as begin, version } from "../shared/server.js";

export { bytes, json, on, pending, settled } from "../shared/server.js";

export function croppedFrame(frame, width, crop) {
  return bitmap(`frames/${frame}?width=${width}&crop=${crop.join()}`);
}

export function preview(request) {
  return post("preview", { ...request, version: version() });
}

// ``preview`` is what the reviewer saw: if the request would change something else by the time it is sent, it is refused.
export function decide(request, preview) {
  push({ path: "act", body: request, decided: preview.version, acts: preview.acts });
}

export function turn(way) {
  push({ path: "turn", body: { way } });
}

async function deliver(entry) {
  if (entry.path === "act" && entry.decided !== version() && entry.sentAs === undefined) await checkAgain(entry);
  entry.sentAs ??= version(); // applied already and only the answer lost: the server knows the key
  return post(entry.path, { ...entry.body, version: entry.sentAs, key: entry.key });
}

// The log has grown since the reviewer decided: go on only if the decision still has the same effect.
async function checkAgain(entry) {
  const now = await preview(entry.body);
  if (JSON.stringify(now.acts) !== JSON.stringify(entry.acts)) {
    throw new Refused(400, "Somebody changed these birds in the meantime. Nothing was overwritten; please check again.");
  }
  entry.decided = version();
}

function retry(entry) {
  delete entry.sentAs;
  return entry.path === "act";
}

export function start() {
  begin({ name: "board-queue", deliver, retry });
}
