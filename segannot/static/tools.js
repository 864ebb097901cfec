// What the pointer does on the picture: strokes, boxes, polygons, moving the view.

import * as api from "./api.js";
import { app, busy, byId, objects, say, selected, set } from "./state.js";
import { labelAt, pan, scale, shownFrame, showPreviews, toFrame } from "./view.js";
import { closes, extend, rounded, withoutDoubles } from "../shared/strokes.js";

const canvas = byId("view");
const SCRIBBLE_PX = 2.5; // half the width of a scribble on the screen

let stroke = null; // {kind, points, negative} while the button is down
let polygon = null; // corners so far
let moving = null;
let cursor = null;
export const held = { space: false, moved: false };

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

function previews(frame) {
  const found = api.pending().filter((act) => act.path === "draw" && act.body.frame === frame).map(({ body }) => ({
    kind: body.kind, points: body.points, radius: body.radius, negative: !body.positive,
    colour: objects().find((each) => each.id === body.object)?.colour ?? "#ffffff",
  }));
  if (stroke) found.push({ ...stroke, radius: radius(stroke.kind), colour: colour() });
  if (polygon) found.push({ kind: "polygon", points: [...polygon.points, ...(cursor ? [cursor] : [])],
    colour: colour(), negative: polygon.negative });
  if (cursor && !stroke && (app.tool === "brush" || app.tool === "eraser")) {
    found.push({ kind: app.tool, points: [cursor], radius: app.radius, colour: "#ffffff", cursor: true });
  }
  return found;
}
showPreviews(previews);

function ready() {
  if (!app.server || shownFrame() !== app.frame) return false;
  if (busy()) return refuse("Outlines are being carried on. Stop that first, or wait for its end.");
  const chosen = selected();
  if (!chosen) return refuse("Add a bird first (key A), or choose one on the right.");
  if (chosen.locked) return refuse(`${chosen.name} is locked. Unlock it on the right to change it.`);
  if (chosen.hidden) return refuse(`${chosen.name} is hidden. Show it on the right to change it.`);
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
    moving = [event.clientX, event.clientY];
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
  if (moving) {
    pan(event.clientX - moving[0], event.clientY - moving[1]);
    moving = [event.clientX, event.clientY];
    return;
  }
  cursor = toFrame(event);
  if (stroke) {
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      extend(stroke, toFrame(each), scale());
    }
  }
  if (stroke || polygon || app.tool === "brush" || app.tool === "eraser") set({});
});

canvas.addEventListener("pointerup", () => {
  moving = null;
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
  const clean = withoutDoubles(points);
  if (clean.length > 2) send("polygon", clean, negative);
  set({});
}
