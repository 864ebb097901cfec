// The line below the picture: what is labelled, carried, doubtful; a wheel zooms it, a press or a pull goes there.

import { app, element, goTo, lastFrame, listen, set } from "./state.js";
import { clock } from "./words.js";

const canvas = document.getElementById("timeline");
const paper = canvas.getContext("2d");
const tip = document.getElementById("tip");
const BAR = [20, 16]; // top and height, CSS px
const LEAST_FRAMES = 40;

const range = { first: 0, last: 0, frames: 0 };
let pulling = false;

function place(frame) {
  return ((frame + 0.5 - range.first) / (range.last - range.first + 1)) * canvas.clientWidth;
}

function frameAt(event) {
  const x = event.clientX - canvas.getBoundingClientRect().left;
  const frame = Math.floor(range.first + (x / canvas.clientWidth) * (range.last - range.first + 1));
  return Math.min(Math.max(0, frame), lastFrame());
}

function draw() {
  if (!app.server) return;
  if (range.frames !== lastFrame() + 1) Object.assign(range, { first: 0, last: lastFrame(), frames: lastFrame() + 1 });
  if (app.frame < range.first || app.frame > range.last) centre();
  const ratio = devicePixelRatio;
  Object.assign(canvas, { width: canvas.clientWidth * ratio, height: canvas.clientHeight * ratio });
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  paper.fillStyle = colour("track");
  paper.fillRect(0, BAR[0], canvas.clientWidth, BAR[1]);
  for (const kind of ["propagated", "reviewed", "hand-made"]) {
    paper.fillStyle = colour(kind);
    for (const [first, last, each] of app.server.origins) {
      if (each !== kind || last < range.first || first > range.last) continue;
      const [left, right] = [place(first - 0.5), place(last + 0.5)];
      const wide = Math.max(right - left, kind === "propagated" ? 1 : 3);
      const up = kind === "propagated" ? 0 : 4;
      paper.fillRect((left + right - wide) / 2, BAR[0] - up, wide, BAR[1] + 2 * up);
    }
  }
  paper.fillStyle = colour("doubt");
  for (const frame of Object.keys(app.server.doubts).map(Number)) {
    if (frame < range.first || frame > range.last) continue;
    paper.fillRect(place(frame) - 1, BAR[0] + BAR[1] + 5, 2.5, 6);
  }
  numbers(colour("dim"));
  paper.fillStyle = colour("now");
  paper.fillRect(place(app.frame) - 1, 2, 2, canvas.clientHeight - 4);
  paper.beginPath();
  paper.arc(place(app.frame), 6, 5, 0, 7);
  paper.fill();
}

function numbers(colour) {
  const frames = range.last - range.first + 1;
  const wanted = (frames * 90) / canvas.clientWidth;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= wanted);
  paper.fillStyle = colour;
  paper.font = "10px system-ui, sans-serif";
  for (let frame = Math.ceil(range.first / step) * step; frame <= range.last; frame += step) {
    paper.fillRect(place(frame), BAR[0] + BAR[1], 1, 4);
    paper.fillText(String(frame), Math.min(place(frame) + 3, canvas.clientWidth - 36), canvas.clientHeight - 3);
  }
}

function centre() {
  const half = Math.floor((range.last - range.first) / 2);
  move(app.frame - half, range.last - range.first);
}

function move(first, span) {
  const wide = Math.min(Math.max(span, Math.min(LEAST_FRAMES, lastFrame())), lastFrame());
  range.first = Math.min(Math.max(0, Math.round(first)), lastFrame() - wide);
  range.last = range.first + wide;
}

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const span = range.last - range.first;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      move(range.first + ((event.deltaX || event.deltaY) / canvas.clientWidth) * span, span);
    } else {
      const wide = Math.round(span * Math.exp(event.deltaY * 0.002));
      const share = (frameAt(event) - range.first) / Math.max(1, span);
      move(frameAt(event) - share * wide, wide);
    }
    set({});
  },
  { passive: false },
);
canvas.addEventListener("pointerdown", (event) => {
  pulling = true;
  canvas.setPointerCapture(event.pointerId);
  set({ playing: false });
  goTo(frameAt(event));
});
canvas.addEventListener("pointermove", (event) => {
  if (!app.server) return;
  const frame = frameAt(event);
  if (pulling) goTo(frame);
  const doubts = app.server.doubts[frame];
  const names = Object.keys(doubts ?? {}).map((id) => app.server.objects.find((each) => each.id === Number(id))?.name);
  const words = doubts ? `, unsure: ${names.filter(Boolean).join(", ")}` : "";
  tip.replaceChildren(element("span", { textContent: `${frame} (${clock(frame / app.server.video.fps)})${words}` }));
  tip.style.left = `${Math.min(Math.max(event.clientX - 50, 8), innerWidth - 240)}px`;
  tip.hidden = false;
});
canvas.addEventListener("pointerup", () => (pulling = false));
canvas.addEventListener("pointerleave", () => (tip.hidden = true));
new ResizeObserver(() => set({})).observe(canvas);
listen(draw);
