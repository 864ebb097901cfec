// What the page knows beside what every page does: what is shown, and what waits for the reviewer.

import { app } from "../shared/page.js";

export { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "../shared/page.js";

Object.assign(app, {
  other: null, // track of a second bird, for swap, merge and link
  show: { masks: true, boxes: true, names: true, trails: false, zones: true },
  asking: null, // {request, told}: an act that waits for "do it"
  picking: null, // {what, take}: the next click on a bird goes to ``take``
  drawing: null, // {name, frame, track}: the bird that is being drawn
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
