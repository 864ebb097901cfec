// What the page knows beside what every page does: the tool, and how to read the server's state.

import { app } from "../shared/page.js";

export { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "../shared/page.js";

Object.assign(app, {
  tool: "scribble",
  negative: false,
  radius: 12, // of brush and eraser, px of the frame
  outlines: true,
  follow: true, // the view goes with what is carried on
});

export function objects() {
  return app.server?.objects ?? [];
}

export function selected() {
  return objects().find((each) => each.id === app.selected) ?? null;
}

export function origin(frame) {
  const run = app.server?.origins.find(([first, last]) => first <= frame && frame <= last);
  return run ? run[2] : null;
}

export function busy() {
  const task = app.server?.task;
  return Boolean(task && (task.state === "running" || task.state === "paused"));
}

// Frames that a person drew or accepted, and frames with doubts, ascending.
export function labelled() {
  const frames = [];
  for (const [first, last, kind] of app.server?.origins ?? []) {
    if (kind !== "propagated") for (let frame = first; frame <= last; frame++) frames.push(frame);
  }
  return frames;
}

export function doubtful() {
  return Object.keys(app.server?.doubts ?? {}).map(Number);
}
