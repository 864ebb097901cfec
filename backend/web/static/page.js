// What every page knows and does: the server's state, the frame, listeners, elements, short messages, times.

export const app = {
  server: null, // the answer of api/state, null until it is there
  frame: 0,
  selected: null, // the chosen bird
  playing: 0, // 1 forward, -1 back
  speed: 1,
};

const listeners = new Set();
let due = false;

// Called after every change, once the server's state is there.
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

export const byId = (id) => document.getElementById(id);

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

let timer = 0;

export function say(text, bad = false) {
  const line = byId("message");
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
