// The state of this page beside that of every page: the tool, and lookups in the server's state.

import { app } from "../shared/page.js";

export { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "../shared/page.js";

Object.assign(app, {
  tool: "scribble",
  negative: false, // what is drawn does not belong to the bird
  radius: 12, // of brush and eraser, px of the frame
  outlines: true,
  follow: true, // the view follows the propagation
});

export function objects() {
  return app.server?.objects ?? [];
}

// Objects as the list shows them: the one in front first.
export function frontToBack() {
  return [...objects()].sort((a, b) => b.order - a.order);
}

export function selected() {
  return objects().find((object) => object.id === app.selected) ?? null;
}

export function origin(frame) {
  const run = app.server?.origins.find(([first, last]) => first <= frame && frame <= last);
  return run ? run[2] : null;
}

// Whether a propagation is running or paused.
export function busy() {
  const task = app.server?.task;
  return Boolean(task && (task.state === "running" || task.state === "paused"));
}

// Frames that a person drew or accepted, ascending.
export function labelledFrames() {
  const frames = [];
  for (const [first, last, kind] of app.server?.origins ?? []) {
    if (kind !== "propagated") for (let frame = first; frame <= last; frame++) frames.push(frame);
  }
  return frames;
}

// Frames in which the propagation is uncertain of an object, ascending.
export function uncertainFrames() {
  return Object.keys(app.server?.doubts ?? {}).map(Number);
}
