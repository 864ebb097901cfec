// The state of this page beside that of every page: what is displayed, and what waits for the reviewer.

import { app } from "../shared/page.js";

export { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "../shared/page.js";

Object.assign(app, {
  other: null, // track of a second bird, for a swap
  show: { masks: true, boxes: true, names: true, trails: false, zones: true },
  preview: null, // {request, answer}: a correction that waits to be applied
  picking: null, // {hint, take}: the row of the next bird that is clicked goes to ``take``
  drawing: null, // {name, frame, track}: the bird whose mask is being drawn
});

export function bird(code) {
  return app.server?.birds[code] ?? null;
}

export function colourOf(code) {
  return code < 0 ? "#9a9a9a" : (bird(code)?.colour ?? "#9a9a9a");
}

export function nameOf(row) {
  return row.identity < 0 ? `track ${row.track}` : (bird(row.identity)?.name ?? "?");
}
