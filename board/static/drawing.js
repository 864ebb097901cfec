// Drawing a bird in the frame: its mask by brush, eraser and polygon, or its box. After each stroke the server says what
// would change; Enter does it. Everything can be drawn with the keyboard, too: arrows move the cross, Space draws.

import { ask, row, withdraw } from "./acts.js";
import { app, byId, colourOf, listen, nameOf, say, set } from "./state.js";
import { LOST } from "./tracks.js";
import { drawWith, scale } from "./view.js";
import { closes, extend, paintStroke, rounded, withoutDoubles } from "../shared/strokes.js";

const LEAST_BOX = 2; // px of the frame
const SIZES = [1, 200]; // radius of brush and eraser, px of the frame
const KEYS = { p: "brush", e: "eraser", g: "polygon", b: "box" };
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let tool = "brush";
let radius = 8;
let strokes = []; // {kind, points, radius, positive} that are done
let box = null; // instead of strokes
let now = null; // {kind, points, negative} while the button is down, corners of a polygon so far, or one corner of a box
let cursor = null;

export function begin() {
  const chosen = row();
  const name = chosen && chosen.identity >= 0 ? nameOf(chosen) : byId("new-name").value.trim();
  if (!name) return say("Choose a named bird, or write a name, then draw it");
  const there = chosen && chosen.state !== LOST;
  strokes = [];
  box = now = null;
  const { width, height } = app.server.video;
  cursor = there ? [(chosen.box[0] + chosen.box[2]) / 2, (chosen.box[1] + chosen.box[3]) / 2] : [width / 2, height / 2];
  set({ drawing: { name, frame: app.frame, track: chosen?.label ? chosen.track : null }, playing: 0, asking: null });
}

function propose() {
  const { name, frame, track } = app.drawing;
  const bird = { kind: "draw", frame, identity: name, ...(track === null ? {} : { track }) };
  withdraw(); // nothing that lacks the newest stroke can be done
  if (box) ask({ ...bird, box });
  else if (strokes.length) ask({ ...bird, strokes });
}

function finish() {
  const { kind, points, negative } = now;
  now = null;
  if (kind === "box") {
    const [[a, b], [c, d]] = rounded(points.length > 1 ? points : [points[0], points[0]]);
    if (Math.abs(a - c) < LEAST_BOX || Math.abs(b - d) < LEAST_BOX) return set({});
    strokes = [];
    box = [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
  } else {
    const corners = kind === "polygon" ? withoutDoubles(points) : points;
    if (kind === "polygon" && corners.length < 3) return set({});
    box = null;
    const erases = negative && kind === "brush";
    strokes = [...strokes, { kind: erases ? "eraser" : kind, points: rounded(corners), radius, positive: !negative }];
  }
  propose();
}

function takeBack() {
  if (now) now = null;
  else if (box) box = null;
  else strokes = strokes.slice(0, -1);
  propose();
}

function corner(point, negative) {
  if (!now) now = { kind: "polygon", points: [point], negative };
  else if (closes(now.points, point, scale())) return finish();
  else now.points.push(point);
  set({});
}

function choose(name) {
  if (now?.kind === "polygon" && name !== "polygon") now = null;
  tool = name;
  set({});
}

function resize(by) {
  radius = Math.min(SIZES[1], Math.max(SIZES[0], Math.round(radius * by) + (by > 1 ? 1 : -1)));
  set({});
}

drawWith({
  down(event, point) {
    const negative = event.button === 2 || event.shiftKey;
    if (tool === "polygon") corner(point, negative);
    else now = { kind: tool, points: [point], negative };
    set({});
  },
  move(event, point) {
    if (!event.movementX && !event.movementY) return; // the page moved below a mouse at rest
    cursor = point;
    if (now && tool !== "polygon" && event.buttons) extend(now, point, scale());
    set({});
  },
  up() {
    if (now && tool !== "polygon") finish();
  },
  paint(paper, zoom) {
    const chosen = app.server.birds.find((each) => each.name === app.drawing.name);
    const colour = colourOf(chosen?.code ?? -1);
    for (const stroke of strokes) paintStroke(paper, { ...stroke, colour, negative: !stroke.positive }, zoom);
    if (box) paintStroke(paper, { kind: "box", points: [box.slice(0, 2), box.slice(2)], colour: "#ffffff" }, zoom);
    if (now) {
      const points = tool === "polygon" || now.points.length === 1 ? [...now.points, cursor] : now.points;
      paintStroke(paper, { ...now, points: tool === "brush" || tool === "eraser" ? now.points : points, radius, colour }, zoom);
    }
    const round = tool === "brush" || tool === "eraser";
    if (!now) paintStroke(paper, { kind: tool, points: [cursor], radius: round ? radius : 4 / zoom, colour: "#ffffff", cursor: true }, zoom);
  },
});

// What Space does where the cross is: a dab, a corner of a polygon, one corner of a box and then the other.
function put() {
  if (tool === "polygon") return corner([...cursor], false);
  if (tool !== "box" || !now) now = { kind: tool, points: [[...cursor]], negative: false };
  else now.points[1] = [...cursor];
  if (tool !== "box" || now.points.length > 1) finish();
  else set({});
}

function pressed(event) {
  const by = MOVES[event.key];
  const key = event.key.toLowerCase();
  if (by) {
    const step = event.shiftKey ? 10 : 1;
    const { width, height } = app.server.video;
    cursor = [Math.min(width, Math.max(0, cursor[0] + step * by[0])), Math.min(height, Math.max(0, cursor[1] + step * by[1]))];
    set({});
  } else if (KEYS[key]) choose(KEYS[key]);
  else if (key === "[" || key === "]") resize(key === "]" ? 1.25 : 0.8);
  else if (key === " ") put();
  else if (key === "backspace") takeBack();
  else if (key === "enter" && now?.kind === "polygon" && now.points.length > 2) finish();
  else return false;
  return true;
}

// before the keys of the whole page
window.addEventListener("keydown", (event) => {
  const typing = event.target.tagName === "INPUT" && event.target.type !== "range";
  const onButton = event.target.tagName === "BUTTON" && [" ", "Enter"].includes(event.key);
  if (!app.drawing || typing || onButton || event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
  if (event.target.tagName === "SELECT" || !pressed(event)) return;
  event.preventDefault();
  event.stopPropagation();
}, true);

for (const button of document.querySelectorAll("[data-tool-name]")) button.addEventListener("click", () => choose(button.dataset.toolName));
byId("stroke-back").addEventListener("click", takeBack);
byId("brush-size").addEventListener("input", (event) => {
  radius = Number(event.target.value);
  set({});
});

listen(() => {
  if (app.drawing && app.drawing.frame !== app.frame) set({ drawing: null, asking: null });
  byId("drawing").hidden = !app.drawing;
  if (!app.drawing) return;
  byId("drawing-who").textContent = `Drawing ${app.drawing.name}`;
  byId("brush-size").value = radius;
  byId("brush-size").disabled = tool !== "brush" && tool !== "eraser";
  byId("stroke-back").disabled = !strokes.length && !box && !now;
  for (const button of document.querySelectorAll("[data-tool-name]")) button.setAttribute("aria-pressed", String(button.dataset.toolName === tool));
});
