// SegAnnot's requests to its server, beside those of every page.

import { bytes, json, post, push, start as begin, take, version } from "../shared/server.js";
import { parsed } from "../shared/masks.js";

export { on, pending } from "../shared/server.js";

const CHANGE_TIMEOUT_MS = 600000; // undoing thousands of frames

export async function mask(frame) {
  return parsed(await bytes(`masks/${frame}`));
}

export function nextFrame() {
  return json("next");
}

export function change(path, body) {
  return push({ path, body });
}

export async function control(path, body) {
  take(await post(path, body));
}

export function start() {
  begin({
    name: "segannot-queue",
    deliver: ({ path, key, body }) => post(path, { key, ...body, version: version() }, CHANGE_TIMEOUT_MS),
    retry: ({ path }) => path === "draw", // drawn while another window changed something: it is sent once more on the new version
    busy: ({ task }) => Boolean(task && (task.state === "running" || task.state === "paused")),
  });
}
