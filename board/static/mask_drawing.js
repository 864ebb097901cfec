// Draw a bird's mask with brush, eraser and polygon, or its box. After each stroke the change is previewed; Enter applies
// it. Everything can be drawn by keyboard, too: arrows move the cursor, Space draws.

import { preview, withdraw } from "./change_preview.js";
import { app, byId, colourOf, listen, nameOf, say, set } from "./state.js";
import { LOST, selectedRow } from "./tracks.js";
import { scale, setDrawingTool } from "./view.js";
import { closes, extend, paintStroke, rounded, withoutRepeats } from "../shared/strokes.js";

const MIN_BOX = 2; // least width and height, px of the frame
const RADII = [1, 200]; // of brush and eraser, px of the frame
const KEYS = { p: "brush", e: "eraser", g: "polygon", b: "box" };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let tool = "brush";
let radius = 8;
let strokes = []; // finished: {kind, points, radius, positive}
let box = null; // instead of strokes
let current = null; // unfinished: {kind, points, negative} of a stroke, a polygon's corners so far, or one corner of a box
let cursor = null;

export function startDrawing() {
  const row = selectedRow();
  const name = row && row.identity >= 0 ? nameOf(row) : byId("new-name").value.trim();
  if (!name) return say("Select a named bird, or type a name, then draw the mask");
  const isVisible = row && row.state !== LOST;
  strokes = [];
  box = current = null;
  const { width, height } = app.server.video;
  cursor = isVisible ? [(row.box[0] + row.box[2]) / 2, (row.box[1] + row.box[3]) / 2] : [width / 2, height / 2];
  set({ drawing: { name, frame: app.frame, track: row?.label ? row.track : null }, playing: 0, preview: null });
}

function previewMask() {
  const { name, frame, track } = app.drawing;
  const bird = { kind: "draw", frame, identity: name, ...(track === null ? {} : { track }) };
  withdraw(); // a mask without the newest stroke must not be applied
  if (box) preview({ ...bird, box });
  else if (strokes.length) preview({ ...bird, strokes });
}

function finish() {
  const { kind, points, negative } = current;
  current = null;
  if (kind === "box") {
    const [[a, b], [c, d]] = rounded(points.length > 1 ? points : [points[0], points[0]]);
    if (Math.abs(a - c) < MIN_BOX || Math.abs(b - d) < MIN_BOX) return set({});
    strokes = [];
    box = [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
  } else {
    const corners = kind === "polygon" ? withoutRepeats(points) : points;
    if (kind === "polygon" && corners.length < 3) return set({});
    box = null;
    const erases = negative && kind === "brush";
    strokes = [...strokes, { kind: erases ? "eraser" : kind, points: rounded(corners), radius, positive: !negative }];
  }
  previewMask();
}

function undoStroke() {
  if (current) current = null;
  else if (box) box = null;
  else strokes = strokes.slice(0, -1);
  previewMask();
}

function corner(point, negative) {
  if (!current) current = { kind: "polygon", points: [point], negative };
  else if (closes(current.points, point, scale())) return finish();
  else current.points.push(point);
  set({});
}

function selectTool(name) {
  if (current?.kind === "polygon" && name !== "polygon") current = null;
  tool = name;
  set({});
}

function resize(by) {
  radius = Math.min(RADII[1], Math.max(RADII[0], Math.round(radius * by) + (by > 1 ? 1 : -1)));
  set({});
}

setDrawingTool({
  down(event, point) {
    const negative = event.button === 2 || event.shiftKey;
    if (tool === "polygon") corner(point, negative);
    else current = { kind: tool, points: [point], negative };
    set({});
  },
  move(event, point) {
    if (!event.movementX && !event.movementY) return; // the page was scrolled under a resting mouse
    cursor = point;
    if (current && tool !== "polygon" && event.buttons) extend(current, point, scale());
    set({});
  },
  up() {
    if (current && tool !== "polygon") finish();
  },
  paint(paper, zoom) {
    const bird = app.server.birds.find(({ name }) => name === app.drawing.name);
    const colour = colourOf(bird?.code ?? -1);
    for (const stroke of strokes) paintStroke(paper, { ...stroke, colour, negative: !stroke.positive }, zoom);
    if (box) paintStroke(paper, { kind: "box", points: [box.slice(0, 2), box.slice(2)], colour: "#ffffff" }, zoom);
    if (current) {
      const points = tool === "polygon" || current.points.length === 1 ? [...current.points, cursor] : current.points;
      paintStroke(paper, { ...current, points: tool === "brush" || tool === "eraser" ? current.points : points, radius, colour }, zoom);
    }
    const round = tool === "brush" || tool === "eraser";
    if (!current) paintStroke(paper, { kind: tool, points: [cursor], radius: round ? radius : 4 / zoom, colour: "#ffffff", cursor: true }, zoom);
  },
});

// Space draws at the cursor: a dab, a corner of a polygon, one corner of a box and then the other.
function drawAtCursor() {
  if (tool === "polygon") return corner([...cursor], false);
  if (tool !== "box" || !current) current = { kind: tool, points: [[...cursor]], negative: false };
  else current.points[1] = [...cursor];
  if (tool !== "box" || current.points.length > 1) finish();
  else set({});
}

// Whether a key was one of the drawing keys.
function handleKey(event) {
  const by = MOVES[event.key];
  const key = event.key.toLowerCase();
  if (by) {
    const step = event.shiftKey ? 10 : 1;
    const { width, height } = app.server.video;
    cursor = [Math.min(width, Math.max(0, cursor[0] + step * by[0])), Math.min(height, Math.max(0, cursor[1] + step * by[1]))];
    set({});
  } else if (KEYS[key]) selectTool(KEYS[key]);
  else if (key === "[" || key === "]") resize(key === "]" ? 1.25 : 0.8);
  else if (key === " ") drawAtCursor();
  else if (key === "backspace") undoStroke();
  else if (key === "enter" && current?.kind === "polygon" && current.points.length > 2) finish();
  else return false;
  return true;
}

// takes keys before those of the page
window.addEventListener("keydown", (event) => {
  const typing = event.target.tagName === "INPUT" && event.target.type !== "range";
  const onButton = event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key);
  if (!app.drawing || typing || onButton || event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
  if (event.target.tagName === "SELECT" || !handleKey(event)) return;
  event.preventDefault();
  event.stopPropagation();
}, true);

for (const button of document.querySelectorAll("[data-tool-name]")) button.addEventListener("click", () => selectTool(button.dataset.toolName));
byId("undo-stroke").addEventListener("click", undoStroke);
byId("brush-size").addEventListener("input", (event) => {
  radius = Number(event.target.value);
  set({});
});

listen(() => {
  if (app.drawing && app.drawing.frame !== app.frame) set({ drawing: null, preview: null });
  byId("drawing").hidden = !app.drawing;
  if (!app.drawing) return;
  byId("drawing-who").textContent = `Drawing ${app.drawing.name}`;
  byId("brush-size").value = radius;
  byId("brush-size").disabled = tool !== "brush" && tool !== "eraser";
  byId("undo-stroke").disabled = !strokes.length && !box && !current;
  for (const button of document.querySelectorAll("[data-tool-name]")) button.setAttribute("aria-pressed", String(button.dataset.toolName === tool));
});
