// The picture with outlines: zoom, pan, what is being drawn.

import { app, busy, byId, listen, objects, set } from "./state.js";
import { labelIn, painted } from "../shared/masks.js";
import { paintStroke } from "../shared/strokes.js";
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
  for (const preview of previews(app.frame)) paintStroke(view.paper, preview, view.scale);
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

listen(update);
