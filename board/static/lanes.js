// Identity by time: a lane a bird, with gaps, doubts and what is being looked at. A wheel zooms, a press or a pull goes there.

import { app, byId, clock, colourOf, element, goTo, lastFrame, listen, set } from "./state.js";
import { allLanes, INTERPOLATED, LOST } from "./tracks.js";

const canvas = byId("lanes");
const paper = canvas.getContext("2d");
const LABEL = 84; // CSS px
const LANE = 13;
const HEAD = 18;
const LEAST_FRAMES = 40;

const range = { first: 0, last: 0, frames: 0 };
let pulling = false;

function wide() {
  return Math.max(1, canvas.clientWidth - LABEL);
}

function place(frame) {
  return LABEL + ((frame + 0.5 - range.first) / (range.last - range.first + 1)) * wide();
}

function frameAt(event) {
  const x = event.clientX - canvas.getBoundingClientRect().left - LABEL;
  return Math.min(Math.max(0, Math.floor(range.first + (x / wide()) * (range.last - range.first + 1))), lastFrame());
}

function draw() {
  if (range.frames !== lastFrame() + 1) Object.assign(range, { first: 0, last: lastFrame(), frames: lastFrame() + 1 });
  if (app.frame < range.first || app.frame > range.last) move(app.frame - (range.last - range.first) / 2, range.last - range.first);
  const birds = app.server.birds.length;
  const height = HEAD + (birds + 1) * LANE + 4;
  canvas.style.height = `${height}px`;
  const ratio = devicePixelRatio;
  Object.assign(canvas, { width: canvas.clientWidth * ratio, height: height * ratio });
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  paper.font = "11px system-ui, sans-serif";
  labels(colour);
  stretches();
  for (const [, , first, last] of app.server.moments) {
    if (last < range.first || first > range.last) continue;
    paper.fillStyle = colour("doubt");
    paper.fillRect(place(first) - 1, HEAD - 7, Math.max(2.5, place(last) - place(first)), 6);
  }
  numbers(colour("dim"));
  paper.fillStyle = colour("now");
  paper.fillRect(place(app.frame) - 1, 0, 2, height);
}

function labels(colour) {
  for (const { code, name, track } of [...app.server.birds, { code: app.server.birds.length, name: "not told apart", track: -1 }]) {
    const y = HEAD + code * LANE;
    paper.fillStyle = colour(track === app.selected ? "accent" : "dim");
    paper.fillText(name, 2, y + LANE - 3, LABEL - 8);
    paper.fillStyle = colour("track");
    paper.fillRect(LABEL, y + 2, wide(), LANE - 4);
  }
}

function stretches() {
  const lanes = allLanes();
  if (!lanes) return;
  const nameless = app.server.birds.length;
  for (let k = 0; k < lanes.n; k++) {
    const [, code, state, first, last] = lanes.cells.subarray(5 * k, 5 * k + 5);
    if (last < range.first || first > range.last || state === LOST) continue;
    const y = HEAD + (code < 0 ? nameless : code) * LANE;
    const left = Math.max(LABEL, place(first - 0.5));
    const right = Math.min(LABEL + wide(), place(last + 0.5));
    paper.fillStyle = colourOf(code);
    paper.globalAlpha = state === INTERPOLATED ? 0.4 : 1;
    paper.fillRect(left, y + 2, Math.max(right - left, 0.7), LANE - 4);
  }
  paper.globalAlpha = 1;
}

function numbers(colour) {
  const frames = range.last - range.first + 1;
  const wanted = (frames * 100) / wide();
  const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= wanted);
  paper.fillStyle = colour;
  for (let frame = Math.ceil(range.first / step) * step; frame <= range.last; frame += step) {
    paper.fillText(String(frame), Math.min(place(frame), LABEL + wide() - 36), 9);
  }
}

function move(first, span) {
  const least = Math.min(LEAST_FRAMES, lastFrame());
  const frames = Math.round(Math.min(Math.max(span, least), lastFrame()));
  range.first = Math.min(Math.max(0, Math.round(first)), lastFrame() - frames);
  range.last = range.first + frames;
}

// The next frame in direction ``way`` where a stretch of this state begins, of the chosen bird if there is one.
export function nextStretch(state, way) {
  const lanes = allLanes();
  let best = null;
  for (let k = 0; k < (lanes?.n ?? 0); k++) {
    const [track, , kind, first] = lanes.cells.subarray(5 * k, 5 * k + 5);
    if (kind !== state || (app.selected !== null && track !== app.selected)) continue;
    if (way > 0 ? first > app.frame && (best === null || first < best) : first < app.frame && (best === null || first > best)) best = first;
  }
  return best;
}

canvas.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey && !event.shiftKey && canvas.parentElement.scrollHeight > canvas.parentElement.clientHeight + 4 && event.offsetX < LABEL) return;
    event.preventDefault();
    const span = range.last - range.first;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      move(range.first + ((event.deltaX || event.deltaY) / wide()) * span, span);
    } else {
      const frames = Math.round(span * Math.exp(event.deltaY * 0.002));
      const share = (frameAt(event) - range.first) / Math.max(1, span);
      move(frameAt(event) - share * frames, frames);
    }
    set({});
  },
  { passive: false },
);
canvas.addEventListener("pointerdown", (event) => {
  if (!app.server) return;
  pulling = true;
  canvas.setPointerCapture(event.pointerId);
  const code = Math.floor((event.offsetY - HEAD) / LANE);
  if (app.server.birds[code]) set({ selected: app.server.birds[code].track, other: null });
  set({ playing: 0 });
  goTo(frameAt(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (!app.server) return;
  const frame = frameAt(event);
  if (pulling) goTo(frame);
  const tip = byId("tip");
  tip.replaceChildren(element("span", { textContent: `${frame} (${clock(frame)})` }));
  tip.style.left = `${Math.min(Math.max(event.clientX - 50, 8), innerWidth - 160)}px`;
  tip.style.top = `${canvas.getBoundingClientRect().top - 28}px`;
  tip.hidden = false;
});
canvas.addEventListener("pointerup", () => (pulling = false));
canvas.addEventListener("pointerleave", () => (byId("tip").hidden = true));
new ResizeObserver(() => set({})).observe(canvas.parentElement);
listen(draw);
