// What the page knows: the server's state, and what is chosen here. Modules read it and listen for changes.

export const app = {
  server: null, // the answer of api/state, null until it is there
  frame: 0,
  selected: null, // track of the chosen bird
  other: null, // track of a second one, for swap, merge and link
  playing: 0, // 1 forward, -1 back
  speed: 1,
  show: { masks: true, boxes: true, names: true, trails: false, zones: true },
  asking: null, // {request, told}: an act that waits for "do it"
  picking: null, // {what, take}: the next click on a bird goes to ``take``
  drawing: null, // identity of the bird whose box is being drawn
};

const listeners = new Set();
let due = false;

export function listen(listener) {
  listeners.add(listener);
}

// Change something and let every part draw itself once, before the next picture of the screen.
export function set(changes) {
  Object.assign(app, changes);
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (app.server) for (const listener of listeners) listener();
  });
}

export function lastFrame() {
  return (app.server?.video.frames ?? 1) - 1;
}

export function goTo(frame) {
  set({ frame: Math.min(Math.max(0, Math.round(frame)), lastFrame()) });
}

export function bird(code) {
  return app.server?.birds[code] ?? null;
}

export function colourOf(code) {
  return code < 0 ? "#9a9a9a" : (bird(code)?.colour ?? "#9a9a9a");
}

export function nameOf(row) {
  return row.identity < 0 ? `track ${row.track}` : (bird(row.identity)?.name ?? "?");
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

export const byId = (id) => document.getElementById(id);

const line = byId("message");
let timer = 0;

export function say(text, bad = false) {
  line.textContent = text;
  line.className = bad ? "shown bad" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => (line.className = ""), Math.max(3000, 60 * text.length));
}

export function clock(frame) {
  const seconds = frame / app.server.video.fps;
  const whole = Math.floor(seconds);
  const pair = (value) => String(value).padStart(2, "0");
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map(pair).join(":");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${parts}.${pair(Math.floor((seconds - whole) * 100))}`;
}
