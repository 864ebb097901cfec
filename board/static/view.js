// The main view: the frame with masks, boxes, names, trails and zones; zoom, pan, selection by click.

import { app, byId, colourOf, listen, nameOf, set } from "./state.js";
import { labelIn } from "../shared/masks.js";
import { Screen } from "./screen.js";
import { INTERPOLATED, maskAt, paintedMask, rowsAt, visibleAt } from "./tracks.js";

const canvas = byId("view");
const screen = new Screen(canvas, () => ({ video: app.server.video, frame: app.frame, path: "" }), overlay);
const { view } = screen;
const TRAIL = 50; // frames

let drag = null; // {moved}: px that the pointer has moved while its button is down
let tool = null; // {down, move, up, paint}: takes the pointer while a mask is drawn

export const fit = () => view.fit();
export const zoom = (factor) => view.zoom(factor);
export const pan = (dx, dy) => view.pan(dx, dy);
export const scale = () => view.scale;
export const shownFrame = () => screen.frame;

export function setDrawingTool(drawing) {
  tool = drawing;
}

// The row of the bird under a point: by mask where there is one, else by the smallest box.
export function birdAt([x, y]) {
  const rows = visibleAt(app.frame);
  const mask = maskAt(app.frame);
  if (mask) {
    const label = labelIn(mask, [x, y]);
    const row = label && rows.find((candidate) => candidate.label === label);
    if (row) return row;
  }
  const area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
  const inside = rows.filter(({ box }) => box[0] <= x && x <= box[2] && box[1] <= y && y <= box[3]);
  return inside.sort((a, b) => area(a) - area(b))[0] ?? null;
}

function overlay({ frame, exact }) {
  const { paper } = view;
  byId("proxy").hidden = exact || Boolean(app.playing) || !app.server.video.quick;
  drawOverlay(paper, frame, 1 / view.scale);
  if (app.drawing) tool.paint(paper, view.scale);
}

// Draw the layers that are switched on, in frame coordinates; ``px`` is the size of a screen px in them.
export function drawOverlay(paper, frame, px, loop = false) {
  const rows = rowsAt(frame);
  const located = rows.filter((row) => !Number.isNaN(row.box[0]));
  if (app.show.zones && !loop) for (const zone of app.server.zones) drawZone(paper, zone, px);
  const mask = app.show.masks && (!app.playing || loop) ? maskAt(frame) : null;
  if (mask?.width) paper.drawImage(paintedMask(mask, located), mask.x, mask.y);
  if (app.show.trails && !loop) for (const row of located) drawTrail(paper, row, frame, px);
  for (const row of located) drawBird(paper, row, px, loop, Boolean(mask?.width));
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
  label(paper, zone.name, zone.shape[0][0], zone.shape[0][1], "#ffffff", px);
}

function drawTrail(paper, row, frame, px) {
  paper.strokeStyle = colourOf(row.identity);
  paper.lineWidth = 1.5 * px;
  paper.beginPath();
  let begun = false;
  for (let k = frame - TRAIL; k <= frame; k++) {
    const past = k >= 0 && rowsAt(k).find(({ track }) => track === row.track);
    if (!past || Number.isNaN(past.box[0])) begun = false;
    else {
      const [x, y] = [(past.box[0] + past.box[2]) / 2, past.box[3]];
      if (begun) paper.lineTo(x, y);
      else paper.moveTo(x, y);
      begun = true;
    }
  }
  paper.stroke();
}

function drawBird(paper, row, px, loop, masked) {
  const [x1, y1, x2, y2] = row.box;
  const selected = row.track === app.selected;
  paper.strokeStyle = row.track === app.other ? "#ffffff" : colourOf(row.identity);
  paper.lineWidth = (selected ? 3.5 : 1.5) * px;
  if (row.state === INTERPOLATED) paper.setLineDash([4 * px, 4 * px]);
  if (selected || row.track === app.other || (app.show.boxes && !(loop && masked))) paper.strokeRect(x1, y1, x2 - x1, y2 - y1);
  paper.setLineDash([]);
  if (app.show.names || selected) label(paper, nameOf(row), x1, y1 - 4 * px, colourOf(row.identity), px);
}

function label(paper, text, x, y, colour, px) {
  paper.font = `600 ${12 * px}px system-ui, sans-serif`;
  paper.lineWidth = 3.5 * px;
  paper.strokeStyle = "#000000c0";
  paper.lineJoin = "round";
  paper.strokeText(text, x, y);
  paper.fillStyle = colour;
  paper.fillText(text, x, y);
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  if (app.drawing && event.button !== 1) tool.down(event, view.toFrame(event));
  else drag = { moved: 0 };
});
canvas.addEventListener("pointermove", (event) => {
  if (drag) {
    drag.moved += Math.abs(event.movementX) + Math.abs(event.movementY);
    if (drag.moved > 4) view.pan(event.movementX, event.movementY);
  } else if (app.drawing) tool.move(event, view.toFrame(event));
});
canvas.addEventListener("pointerup", (event) => {
  const done = drag;
  drag = null;
  if (!app.server) return;
  if (!done && app.drawing) tool.up();
  else if (done && done.moved <= 4 && !app.drawing) select(birdAt(view.toFrame(event)), event.shiftKey);
});
canvas.addEventListener("contextmenu", (event) => app.drawing && event.preventDefault());

function select(row, asSecond) {
  if (app.picking && row) {
    const { take } = app.picking;
    set({ picking: null });
    take(row);
  } else if (asSecond && row && app.selected !== null) set({ other: row.track });
  else set({ selected: row?.track ?? null, other: null, preview: null });
}

for (const input of document.querySelectorAll("#show input")) {
  input.addEventListener("change", () => set({ show: { ...app.show, [input.name]: input.checked } }));
}
listen(() => {
  screen.update();
  for (const input of document.querySelectorAll("#show input")) input.checked = app.show[input.name];
  canvas.dataset.tool = app.drawing ? "draw" : app.picking ? "pick" : "";
  byId("hint").textContent = app.picking?.hint ?? "";
  byId("hint").hidden = !app.picking;
});
