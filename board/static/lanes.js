// Identities over time: one lane per bird, with gaps, doubts and the current frame. The wheel zooms; a click or a drag
// goes to a frame.

import { app, byId, colourOf, listen, set } from "./state.js";
import { Axis } from "../shared/axis.js";
import { allLanes, INTERPOLATED, LOST } from "./tracks.js";

const canvas = byId("lanes");
const paper = canvas.getContext("2d");
const LABEL = 84; // width of the names, CSS px
const LANE = 13; // height of a lane
const HEAD = 18; // height of the frame numbers

const axis = new Axis(canvas, {
  left: LABEL,
  scrolls: (event) => {
    const { scrollHeight, clientHeight } = canvas.parentElement;
    return !event.ctrlKey && !event.shiftKey && scrollHeight > clientHeight + 4 && event.offsetX < LABEL;
  },
});

function draw() {
  axis.follow();
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
  runs();
  for (const [, , first, last] of app.server.moments) {
    if (last < axis.first || first > axis.last) continue;
    paper.fillStyle = colour("doubt");
    paper.fillRect(axis.xOf(first) - 1, HEAD - 7, Math.max(2.5, axis.xOf(last) - axis.xOf(first)), 6);
  }
  paper.fillStyle = colour("dim");
  for (const { frame, x } of axis.ticks(100)) paper.fillText(String(frame), Math.min(x, LABEL + axis.width - 36), 9);
  paper.fillStyle = colour("now");
  paper.fillRect(axis.xOf(app.frame) - 1, 0, 2, height);
}

function labels(colour) {
  for (const { code, name, track } of [...app.server.birds, { code: app.server.birds.length, name: "unassigned", track: -1 }]) {
    const y = HEAD + code * LANE;
    paper.fillStyle = colour(track === app.selected ? "accent" : "dim");
    paper.fillText(name, 2, y + LANE - 3, LABEL - 8);
    paper.fillStyle = colour("track");
    paper.fillRect(LABEL, y + 2, axis.width, LANE - 4);
  }
}

// Runs of frames in which a track was detected or interpolated.
function runs() {
  const lanes = allLanes();
  if (!lanes) return;
  const unassigned = app.server.birds.length;
  for (let k = 0; k < lanes.n; k++) {
    const [, code, state, first, last] = lanes.cells.subarray(5 * k, 5 * k + 5);
    if (last < axis.first || first > axis.last || state === LOST) continue;
    const y = HEAD + (code < 0 ? unassigned : code) * LANE;
    const left = Math.max(LABEL, axis.xOf(first - 0.5));
    const right = Math.min(LABEL + axis.width, axis.xOf(last + 0.5));
    paper.fillStyle = colourOf(code);
    paper.globalAlpha = state === INTERPOLATED ? 0.4 : 1;
    paper.fillRect(left, y + 2, Math.max(right - left, 0.7), LANE - 4);
  }
  paper.globalAlpha = 1;
}

// The next frame in ``direction`` at which a run in this state begins, of the selected bird if there is one; else null.
export function nextRun(state, direction) {
  const lanes = allLanes();
  let best = null;
  for (let k = 0; k < (lanes?.n ?? 0); k++) {
    const [track, , kind, first] = lanes.cells.subarray(5 * k, 5 * k + 5);
    if (kind !== state || (app.selected !== null && track !== app.selected)) continue;
    if (direction > 0 ? first > app.frame && (best === null || first < best) : first < app.frame && (best === null || first > best)) best = first;
  }
  return best;
}

canvas.addEventListener("pointerdown", (event) => {
  const bird = app.server?.birds[Math.floor((event.offsetY - HEAD) / LANE)];
  if (bird) set({ selected: bird.track, other: null });
});
listen(draw);
