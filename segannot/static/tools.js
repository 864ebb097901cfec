// Pointer input on the frame: strokes, boxes, polygons, panning.

import * as api from "./api.js";
import { app, busy, byId, objects, say, selected, set } from "./state.js";
import { labelAt, pan, scale, shownFrame, showPreviews, toFrame } from "./view.js";
import { closes, extend, rounded, withoutRepeats } from "../shared/strokes.js";

const canvas = byId("view");
const SCRIBBLE_PX = 2.5; // half the width of a scribble on the screen

let stroke = null; // {kind, points, negative} while the button is down
let polygon = null; // corners so far
let dragging = null; // where the pointer was last while the view is panned
let cursor = null;
export const held = { space: false, moved: false }; // Space is down; the view was panned meanwhile

export function cancel() {
  stroke = polygon = null;
  set({});
}

function colour() {
  return selected()?.colour ?? "#ffffff";
}

function radius(kind) {
  return kind === "brush" || kind === "eraser" ? app.radius : Math.max(1, SCRIBBLE_PX / scale());
}

// Strokes being drawn or waiting for the server.
function previews(frame) {
  const strokes = api.pending().filter((change) => change.path === "draw" && change.body.frame === frame).map(({ body }) => ({
    kind: body.kind, points: body.points, radius: body.radius, negative: !body.positive,
    colour: objects().find((object) => object.id === body.object)?.colour ?? "#ffffff",
  }));
  if (stroke) strokes.push({ ...stroke, radius: radius(stroke.kind), colour: colour() });
  if (polygon) strokes.push({ kind: "polygon", points: [...polygon.points, ...(cursor ? [cursor] : [])],
    colour: colour(), negative: polygon.negative });
  if (cursor && !stroke && (app.tool === "brush" || app.tool === "eraser")) {
    strokes.push({ kind: app.tool, points: [cursor], radius: app.radius, colour: "#ffffff", cursor: true });
  }
  return strokes;
}
showPreviews(previews);

// Whether something can be drawn now; says why not.
function ready() {
  if (!app.server || shownFrame() !== app.frame) return false;
  if (busy()) return refuse("Propagation is running. Stop it first, or wait until it finishes.");
  const bird = selected();
  if (!bird) return refuse("Add a bird first (A), or select one on the right.");
  if (bird.locked) return refuse(`${bird.name} is locked. Unlock it on the right to edit it.`);
  if (bird.hidden) return refuse(`${bird.name} is hidden. Show it on the right to edit it.`);
  return true;
}

function refuse(text) {
  say(text);
  return false;
}

function send(kind, points, negative) {
  api.change("draw", {
    frame: app.frame, object: app.selected, kind, points: rounded(points),
    positive: !negative, radius: radius(kind),
  });
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  if (event.button === 1 || held.space || app.tool === "move") {
    dragging = [event.clientX, event.clientY];
    held.moved = true;
    return;
  }
  const point = toFrame(event);
  const negative = app.negative !== (event.button === 2 || event.shiftKey);
  if (event.altKey) {
    const label = labelAt(point);
    if (label) set({ selected: label });
    return;
  }
  if (app.playing) set({ playing: 0 });
  if (!ready()) return;
  if (app.tool === "polygon") corner(point, negative);
  else if (app.tool === "click") send("click", [point], negative);
  else stroke = { kind: app.tool === "brush" && negative ? "eraser" : app.tool, points: [point], negative };
  set({});
});

canvas.addEventListener("pointermove", (event) => {
  if (dragging) {
    pan(event.clientX - dragging[0], event.clientY - dragging[1]);
    dragging = [event.clientX, event.clientY];
    return;
  }
  cursor = toFrame(event);
  if (stroke) {
    for (const point of event.getCoalescedEvents?.() ?? [event]) extend(stroke, toFrame(point), scale());
  }
  if (stroke || polygon || app.tool === "brush" || app.tool === "eraser") set({});
});

canvas.addEventListener("pointerup", () => {
  dragging = null;
  if (!stroke) return;
  const { kind, points, negative } = stroke;
  stroke = null;
  if (kind !== "box") send(kind, points, kind !== "eraser" && negative);
  else if (points.length === 2 && Math.abs(points[0][0] - points[1][0]) * scale() > 4) send(kind, points, false);
  set({});
});

canvas.addEventListener("pointerleave", () => {
  cursor = null;
  set({});
});
canvas.addEventListener("contextmenu", (event) => event.preventDefault());
canvas.addEventListener("dblclick", closePolygon);

function corner(point, negative) {
  if (!polygon) {
    polygon = { points: [point], negative };
    return;
  }
  if (closes(polygon.points, point, scale())) closePolygon();
  else polygon.points.push(point);
}

export function closePolygon() {
  if (!polygon) return;
  const { points, negative } = polygon;
  polygon = null;
  const corners = withoutRepeats(points);
  if (corners.length > 2) send("polygon", corners, negative);
  set({});
}
