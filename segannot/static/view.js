// The picture with outlines: zoom, pan, what is being drawn.

import { app, busy, byId, listen, objects, set } from "./state.js";
import { labelIn, painted } from "../shared/masks.js";
import { Viewport } from "../shared/viewport.js";
import * as pictures from "./pictures.js";

const view = new Viewport(byId("view"), () => app.server.video);
const FILL = 60;
const FILL_CHOSEN = 90;

let shown = { frame: -1, bitmap: null, mask: null };
let overlay = null; // canvas of the mask's box
let overlayKey = "";
let previews = () => [];
let wanted = "";

export const fit = () => view.fit();
export const zoom = (factor) => view.zoom(factor);
export const pan = (dx, dy) => view.pan(dx, dy);
export const scale = () => view.scale;
export const toFrame = (event) => view.toFrame(event);
export const shownFrame = () => shown.frame;

export function showPreviews(source) {
  previews = source;
}

export function labelAt(point) {
  return shown.mask ? labelIn(shown.mask, point) : 0;
}

// Fetch what is missing, draw what is there.
function update() {
  view.settle();
  const frame = app.frame;
  const width = pictures.usefulWidth(view.scale);
  const key = `${frame} ${width} ${app.server.version} ${busy() ? app.server.task.done : ""}`;
  if (key !== wanted) {
    wanted = key;
    load(frame, width, key);
  }
  draw();
}

async function load(frame, width, key) {
  const early = pictures.here(frame, width);
  try {
    const [bitmap, mask] = await Promise.all([early ?? pictures.bitmap(frame, width), pictures.mask(frame)]);
    if (frame !== app.frame) return;
    shown = { frame, bitmap, mask };
    draw();
    if (early && early.width !== width) {
      const sharp = await pictures.bitmap(frame, width);
      if (shown.frame === frame) shown.bitmap = sharp;
      draw();
    }
  } catch {
    if (wanted === key) wanted = ""; // the next change or pulse tries again
  }
}

function draw() {
  view.paint(shown.bitmap);
  if (!shown.bitmap) return;
  if (app.outlines && shown.mask?.width) drawMask();
  for (const preview of previews(app.frame)) drawPreview(preview);
}

function drawMask() {
  const hidden = objects().filter((each) => each.hidden).map((each) => each.id);
  const key = [shown.frame, app.server.version, app.server.task?.done, app.selected, hidden].join();
  if (key !== overlayKey || overlay?.mask !== shown.mask) {
    overlay = { mask: shown.mask, canvas: painted(shown.mask, look) };
    overlayKey = key;
  }
  view.paper.drawImage(overlay.canvas, shown.mask.x, shown.mask.y);
}

function look(label) {
  const found = objects().find((each) => each.id === label && !each.hidden);
  return found && { colour: found.colour, alpha: found.id === app.selected ? FILL_CHOSEN : FILL };
}

// {kind, points, radius, colour, negative}: what is being drawn, or waits for the server
function drawPreview({ kind, points, radius, colour, negative, cursor }) {
  const { paper } = view;
  paper.lineCap = paper.lineJoin = "round";
  paper.strokeStyle = negative ? "#ff3b30" : colour;
  const thin = 1.5 / view.scale;
  paper.beginPath();
  if (kind === "box") {
    const [a, b] = [points[0], points.at(-1)];
    paper.lineWidth = 2 * thin;
    paper.strokeRect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
    return;
  }
  if (cursor) {
    paper.lineWidth = thin;
    paper.arc(points[0][0], points[0][1], radius, 0, 7);
    paper.stroke();
    return;
  }
  points.forEach(([x, y], k) => (k ? paper.lineTo(x, y) : paper.moveTo(x, y)));
  if (kind === "polygon") {
    paper.lineWidth = 2 * thin;
    paper.stroke();
    for (const [x, y] of points) paper.strokeRect(x - 2 * thin, y - 2 * thin, 4 * thin, 4 * thin);
    return;
  }
  if (points.length === 1) paper.lineTo(points[0][0] + 0.01, points[0][1]);
  const area = kind === "brush" || kind === "eraser";
  paper.globalAlpha = area ? 0.55 : 0.95;
  if (!area) {
    paper.lineWidth = 2 * radius + 2 * thin;
    paper.strokeStyle = "#000000a0";
    paper.stroke();
    paper.strokeStyle = negative ? "#ff3b30" : "#ffffff";
  }
  if (kind === "eraser") paper.strokeStyle = "#ff3b30";
  paper.lineWidth = 2 * radius;
  paper.stroke();
  paper.globalAlpha = 1;
}

listen(update);
