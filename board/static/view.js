// The picture with what is known of its birds: zoom, pan, choosing by click, drawing a box.

import { app, byId, colourOf, listen, nameOf, set } from "./state.js";
import { labelIn } from "../shared/masks.js";
import * as pictures from "../shared/pictures.js";
import { Viewport } from "../shared/viewport.js";
import { INTERPOLATED, maskAt, maskPicture, rowsAt, seenAt } from "./tracks.js";

const canvas = byId("view");
const view = new Viewport(canvas, () => app.server.video);
const TRAIL = 50; // frames

const REST_MS = 120; // so long after a jump the exact frame is asked for, if nobody has jumped on
let shown = { frame: -1, bitmap: null, exact: false };
let wanted = "";
let pull = null; // {x, y, moved, box}
let boxDrawn = () => null;

export const fit = () => view.fit();
export const zoom = (factor) => view.zoom(factor);
export const pan = (dx, dy) => view.pan(dx, dy);
export const scale = () => view.scale;
export const shownFrame = () => shown.frame;

export function onBox(act) {
  boxDrawn = act;
}

// The bird under a point: by mask where there is one, else the smallest box.
export function birdAt([x, y]) {
  const rows = seenAt(app.frame);
  const mask = maskAt(app.frame);
  if (mask) {
    const label = labelIn(mask, [x, y]);
    const found = label && rows.find((each) => each.detection === label - 1);
    if (found) return found;
  }
  const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
  const inside = rows.filter(({ box }) => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
  return inside.sort((a, b) => area(a) - area(b))[0] ?? null;
}

function update() {
  view.settle();
  const width = pictures.usefulWidth(view.scale);
  const key = `${app.frame} ${width}`;
  if (key !== wanted) {
    wanted = key;
    load(app.frame, width, key);
  }
  draw();
}

async function load(frame, width, key) {
  const early = pictures.here(frame, width);
  if (early) show(frame, early, false);
  try {
    if (!early && width !== pictures.QUICK && app.server.video.quick) {
      show(frame, await pictures.bitmap(frame, pictures.QUICK), false);
      await new Promise((go) => setTimeout(go, REST_MS));
      if (wanted !== key) return;
    }
    show(frame, await pictures.bitmap(frame, width), width !== pictures.QUICK);
    if (!app.playing && wanted === key) pictures.prefetch(frame, width, 1);
  } catch {
    if (wanted === key) wanted = ""; // the next change or pulse tries again
  }
}

function show(frame, bitmap, exact) {
  if (frame !== app.frame) return;
  shown = { frame, bitmap, exact };
  draw();
}

function draw() {
  canvas.dataset.shown = `${shown.frame} ${shown.exact ? "exact" : "quick"}`;
  byId("quick").hidden = shown.exact || Boolean(app.playing) || !app.server.video.quick;
  view.paint(shown.bitmap);
  if (!shown.bitmap) return;
  const { paper } = view;
  drawOverlay(paper, shown.frame, 1 / view.scale);
  if (pull?.box) {
    paper.strokeStyle = "#ffffff";
    paper.lineWidth = 2 / view.scale;
    paper.strokeRect(...asRect(pull.box));
  }
}

// What is switched on, in frame coordinates; ``px`` is the size of a screen px in them.
export function drawOverlay(paper, frame, px, loop = false) {
  const rows = rowsAt(frame);
  const seen = rows.filter((row) => row.box[0] === row.box[0]);
  if (app.show.zones && !loop) for (const zone of app.server.zones) drawZone(paper, zone, px);
  const mask = app.show.masks && (!app.playing || loop) ? maskAt(frame) : null;
  if (mask?.width) paper.drawImage(maskPicture(mask, seen), mask.x, mask.y);
  if (app.show.trails && !loop) for (const row of seen) drawTrail(paper, row, frame, px);
  for (const row of seen) drawBird(paper, row, px, loop, Boolean(mask?.width));
}

function drawZone(paper, zone, px) {
  paper.beginPath();
  zone.shape.forEach(([x, y], k) => (k ? paper.lineTo(x, y) : paper.moveTo(x, y)));
  paper.closePath();
  paper.setLineDash([6 * px, 4 * px]);
  paper.strokeStyle = "#ffffffb0";
  paper.lineWidth = 1.5 * px;
  paper.stroke();
  paper.setLineDash([]);
  words(paper, zone.name, zone.shape[0][0], zone.shape[0][1], "#ffffff", px);
}

function drawTrail(paper, row, frame, px) {
  paper.strokeStyle = colourOf(row.identity);
  paper.lineWidth = 1.5 * px;
  paper.beginPath();
  let begun = false;
  for (let k = frame - TRAIL; k <= frame; k++) {
    const there = k >= 0 && rowsAt(k).find((each) => each.track === row.track);
    if (!there || there.box[0] !== there.box[0]) begun = false;
    else {
      const [x, y] = [(there.box[0] + there.box[2]) / 2, there.box[3]];
      if (begun) paper.lineTo(x, y);
      else paper.moveTo(x, y);
      begun = true;
    }
  }
  paper.stroke();
}

function drawBird(paper, row, px, loop, masked) {
  const [x1, y1, x2, y2] = row.box;
  const chosen = row.track === app.selected;
  paper.strokeStyle = row.track === app.other ? "#ffffff" : colourOf(row.identity);
  paper.lineWidth = (chosen ? 3.5 : 1.5) * px;
  if (row.state === INTERPOLATED) paper.setLineDash([4 * px, 4 * px]);
  if (chosen || row.track === app.other || (app.show.boxes && !(loop && masked))) paper.strokeRect(x1, y1, x2 - x1, y2 - y1);
  paper.setLineDash([]);
  if (app.show.names || chosen) words(paper, nameOf(row), x1, y1 - 4 * px, colourOf(row.identity), px);
}

function words(paper, text, x, y, colour, px) {
  paper.font = `600 ${12 * px}px system-ui, sans-serif`;
  paper.lineWidth = 3.5 * px;
  paper.strokeStyle = "#000000c0";
  paper.lineJoin = "round";
  paper.strokeText(text, x, y);
  paper.fillStyle = colour;
  paper.fillText(text, x, y);
}

function asRect([a, b]) {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pull = { x: event.clientX, y: event.clientY, moved: 0, box: app.drawing ? [view.toFrame(event), view.toFrame(event)] : null };
});
canvas.addEventListener("pointermove", (event) => {
  if (!pull) return;
  pull.moved += Math.abs(event.movementX) + Math.abs(event.movementY);
  if (pull.box) pull.box[1] = view.toFrame(event);
  else if (pull.moved > 4) view.pan(event.movementX, event.movementY);
  set({});
});
canvas.addEventListener("pointerup", (event) => {
  const done = pull;
  pull = null;
  if (!app.server || !done) return;
  if (done.box) {
    const [x, y, width, height] = asRect(done.box);
    if (width > 2 && height > 2) boxDrawn([x, y, x + width, y + height]);
    set({ drawing: null });
  } else if (done.moved <= 4) choose(birdAt(view.toFrame(event)), event.shiftKey);
});

function choose(found, second) {
  if (app.picking && found) {
    const { take } = app.picking;
    set({ picking: null });
    take(found);
  } else if (second && found && app.selected !== null) set({ other: found.track });
  else set({ selected: found?.track ?? null, other: null, asking: null });
}

for (const input of document.querySelectorAll("#show input")) {
  input.addEventListener("change", () => set({ show: { ...app.show, [input.name]: input.checked } }));
}
listen(update);
listen(() => {
  for (const input of document.querySelectorAll("#show input")) input.checked = app.show[input.name];
  canvas.dataset.tool = app.drawing ? "draw" : app.picking ? "pick" : "";
  const hint = app.drawing ? `Draw a box around ${app.drawing}` : app.picking ? app.picking.what : "";
  byId("hint").textContent = hint;
  byId("hint").hidden = !hint;
});
