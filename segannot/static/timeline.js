// The timeline: labelled, propagated and uncertain frames. The wheel zooms; a click or a drag goes to a frame.

import { app, byId, listen } from "./state.js";
import { Axis } from "../shared/axis.js";

const canvas = byId("timeline");
const paper = canvas.getContext("2d");
const BAR = [20, 16]; // top and height, CSS px
const axis = new Axis(canvas, { describe: uncertainBirds });

// For the tooltip of a frame.
function uncertainBirds(frame) {
  const doubts = app.server.doubts[frame];
  const names = Object.keys(doubts ?? {}).map((id) => app.server.objects.find((object) => object.id === Number(id))?.name);
  return doubts ? `, uncertain: ${names.filter(Boolean).join(", ")}` : "";
}

function draw() {
  axis.follow();
  const ratio = devicePixelRatio;
  Object.assign(canvas, { width: canvas.clientWidth * ratio, height: canvas.clientHeight * ratio });
  paper.setTransform(ratio, 0, 0, ratio, 0, 0);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  paper.fillStyle = colour("track");
  paper.fillRect(0, BAR[0], canvas.clientWidth, BAR[1]);
  for (const kind of ["propagated", "reviewed", "hand-made"]) {
    paper.fillStyle = colour(kind);
    for (const [first, last, origin] of app.server.origins) {
      if (origin !== kind || last < axis.first || first > axis.last) continue;
      const [left, right] = [axis.xOf(first - 0.5), axis.xOf(last + 0.5)];
      const width = Math.max(right - left, kind === "propagated" ? 1 : 3);
      const up = kind === "propagated" ? 0 : 4;
      paper.fillRect((left + right - width) / 2, BAR[0] - up, width, BAR[1] + 2 * up);
    }
  }
  paper.fillStyle = colour("doubt");
  for (const frame of Object.keys(app.server.doubts).map(Number)) {
    if (frame < axis.first || frame > axis.last) continue;
    paper.fillRect(axis.xOf(frame) - 1, BAR[0] + BAR[1] + 5, 2.5, 6);
  }
  ticks(colour("dim"));
  paper.fillStyle = colour("now");
  paper.fillRect(axis.xOf(app.frame) - 1, 2, 2, canvas.clientHeight - 4);
  paper.beginPath();
  paper.arc(axis.xOf(app.frame), 6, 5, 0, 7);
  paper.fill();
}

function ticks(colour) {
  paper.fillStyle = colour;
  paper.font = "10px system-ui, sans-serif";
  for (const { frame, x } of axis.ticks(90)) {
    paper.fillRect(x, BAR[0] + BAR[1], 1, 4);
    paper.fillText(String(frame), Math.min(x + 3, canvas.clientWidth - 36), canvas.clientHeight - 3);
  }
}

listen(draw);
