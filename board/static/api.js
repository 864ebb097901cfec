// What the board asks of its server, beside what every page does.

import { bitmap, post, push, Refused, start as begin, version } from "../shared/server.js";

export { bytes, json, on, pending, settled } from "../shared/server.js";

export function picture(frame, width, crop) {
  return bitmap(`frames/${frame}?width=${width}&crop=${crop.join()}`);
}

export function preview(request) {
  return post("preview", { ...request, version: version() });
}

// ``told`` is the preview the reviewer saw: if the acts would be others by the time of sending, nothing is done.
export function decide(request, told) {
  push({ path: "act", body: request, decided: told.version, acts: told.acts });
}

export function turn(way) {
  push({ path: "turn", body: { way } });
}

async function deliver(entry) {
  if (entry.path === "act" && entry.decided !== version() && entry.sentAs === undefined) await checkAgain(entry);
  entry.sentAs ??= version(); // if it is done and only the answer is lost, its key says so
  return post(entry.path, { ...entry.body, version: entry.sentAs, key: entry.key });
}

// The log has grown since the reviewer decided: go on only if the decision still means the same.
async function checkAgain(entry) {
  const told = await preview(entry.body);
  if (JSON.stringify(told.acts) !== JSON.stringify(entry.acts)) {
    throw new Refused(400, "Somebody changed these birds meanwhile. Nothing was overwritten: look again.");
  }
  entry.decided = version();
}

function again(entry) {
  delete entry.sentAs;
  return entry.path === "act";
}

export function start() {
  begin({ name: "board-queue", deliver, again });
}
