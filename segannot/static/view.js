// The frame with its outlines: zoom, pan, strokes being drawn.

import { app, busy, byId, listen, objects, set } from "./state.js";
import { labelIn, painted } from "../shared/masks.js";
import { paintStroke } from "../shared/strokes.js";
import { Viewport } from "../shared/viewport.js";
import { bitmap as frameBitmap, cached, usefulWidth } from "../shared/frame_cache.js";
import { mask as frameMask } from "./mask_cache.js";

const view = new Viewport(byId("view"), () => app.server.video);
const FILL = 60; // opacity of masks, 0 to 255
const FILL_SELECTED = 90;

let displayed = { frame: -1, bitmap: null, mask: null };
let overlay = null; // canvas of the mask's box
let overlayKey = "";
let previews = () => [];
let requested = ""; // frame, width and version on their way

export const fit = () => view.fit();
export const zoom = (factor) => view.zoom(factor);
export const pan = (dx, dy) => view.pan(dx, dy);
export const scale = () => view.scale;
export const toFrame = (event) => view.toFrame(event);
export const shownFrame = () => displayed.frame;

export function showPreviews(source) {
  previews = source;
}

export function labelAt(point) {
  return displayed.mask ? labelIn(displayed.mask, point) : 0;
}

// Fetch what is missing, draw what is there.
function update() {
  view.refit();
  const frame = app.frame;
  const width = usefulWidth(view.scale);
  const key = `${frame} ${width} ${app.server.version} ${busy() ? app.server.task.done : ""}`;
  if (key !== requested) {
    requested = key;
    load(frame, width, key);
  }
  draw();
}

async function load(frame, width, key) {
  const early = cached(frame, width);
  try {
    const [bitmap, mask] = await Promise.all([early ?? frameBitmap(frame, width), frameMask(frame)]);
    if (frame !== app.frame) return;
    displayed = { frame, bitmap, mask };
    draw();
    if (early && early.width !== width) {
      const sharp = await frameBitmap(frame, width);
      if (displayed.frame === frame) displayed.bitmap = sharp;
      draw();
    }
  } catch {
    if (requested === key) requested = ""; // the next change or pulse tries again
  }
}

function draw() {
  view.paint(displayed.bitmap);
  if (!displayed.bitmap) return;
  if (app.outlines && displayed.mask?.width) drawMask();
  for (const preview of previews(app.frame)) paintStroke(view.paper, preview, view.scale);
}

function drawMask() {
  const hidden = objects().filter((object) => object.hidden).map((object) => object.id);
  const key = [displayed.frame, app.server.version, app.server.task?.done, app.selected, hidden].join();
  if (key !== overlayKey || overlay?.mask !== displayed.mask) {
    overlay = { mask: displayed.mask, canvas: painted(displayed.mask, colourOf) };
    overlayKey = key;
  }
  view.paper.drawImage(overlay.canvas, displayed.mask.x, displayed.mask.y);
}

function colourOf(label) {
  const object = objects().find(({ id, hidden }) => id === label && !hidden);
  return object && { colour: object.colour, alpha: object.id === app.selected ? FILL_SELECTED : FILL };
}

listen(update);
