// Shared by every page: the application state, listeners, elements, messages, times.

export const app = {
  server: null, // the answer of api/state; null until it has arrived
  frame: 0,
  selected: null, // id of the selected bird
  playing: 0, // 1 forward, -1 backward
  speed: 1,
};

const listeners = new Set();
let due = false;

// Call ``listener`` after every change, once the server's state has arrived.
export function listen(listener) {
  listeners.add(listener);
}

// Change the application state; every listener then redraws once, in the browser's next animation frame.
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

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(node.dataset, value);
    else if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

let timer = 0;

// Show a message for a few seconds.
export function say(text, bad = false) {
  const line = byId("message");
  line.textContent = text;
  line.className = bad ? "shown bad" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => (line.className = ""), Math.max(3000, 60 * text.length));
}

// Time of a frame as [h:]mm:ss.cc
export function clock(frame) {
  const seconds = frame / app.server.video.fps;
  const whole = Math.floor(seconds);
  const pair = (value) => String(value).padStart(2, "0");
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map(pair).join(":");
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${parts}.${pair(Math.floor((seconds - whole) * 100))}`;
}
