// What the page knows: the server's state, and what is chosen here. Modules read it and listen for changes.

export const app = {
  server: null, // the answer of api/state, null until it is there
  frame: 0,
  selected: null, // id of the chosen object
  tool: "scribble",
  negative: false,
  radius: 12, // of brush and eraser, px of the frame
  outlines: true,
  playing: false,
  follow: true, // the view goes with what is carried on
};

const listeners = new Set();
let drawn = false;

export function listen(listener) {
  listeners.add(listener);
}

// Change something and let every part draw itself once, before the next picture of the screen.
export function set(changes) {
  Object.assign(app, changes);
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    for (const listener of listeners) listener();
  });
}

export function objects() {
  return app.server?.objects ?? [];
}

export function selected() {
  return objects().find((each) => each.id === app.selected) ?? null;
}

export function lastFrame() {
  return (app.server?.video.frames ?? 1) - 1;
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

export function goTo(frame) {
  set({ frame: Math.min(Math.max(0, Math.round(frame)), lastFrame()) });
}

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(made.dataset, value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}
