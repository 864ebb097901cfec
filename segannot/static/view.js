// The picture with outlines: zoom, pan, what is being drawn.

import { app, busy, listen, objects, set } from "./state.js";
import * as pictures from "./pictures.js";

const canvas = document.getElementById("view");
const paper = canvas.getContext("2d", { alpha: false });
const FILL = 90;
const FILL_OTHERS = 60;
const LEAST_ZOOM = 0.5;
const MOST_ZOOM = 40; // screen px a frame px

const view = { scale: 0, x: 0, y: 0, fitted: true }; // screen = frame * scale + (x, y), CSS px
let shown = { frame: -1, bitmap: null, mask: null };
let overlay = null; // canvas of the mask's box
let overlayKey = "";
let previews = () => [];
let wanted = "";

export function showPreviews(source) {
  previews = source;
}

export function shownFrame() {
  return shown.frame;
}

export function toFrame(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left - view.x) / view.scale, (event.clientY - box.top - view.y) / view.scale];
}

export function labelAt([x, y]) {
  const mask = shown.mask;
  if (!mask) return 0;
  const column = Math.floor(x) - mask.x;
  const row = Math.floor(y) - mask.y;
  return column >= 0 && row >= 0 && column < mask.width && row < mask.height ? mask.labels[row * mask.width + column] : 0;
}

export function scale() {
  return view.scale;
}

export function fit() {
  const { width, height } = app.server.video;
  view.scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
  view.x = (canvas.clientWidth - width * view.scale) / 2;
  view.y = (canvas.clientHeight - height * view.scale) / 2;
  view.fitted = true;
  set({});
}

export function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const least = LEAST_ZOOM * Math.min(canvas.clientWidth / app.server.video.width, 1);
  const now = Math.min(MOST_ZOOM, Math.max(least, view.scale * factor));
  view.x = x - ((x - view.x) * now) / view.scale;
  view.y = y - ((y - view.y) * now) / view.scale;
  view.scale = now;
  view.fitted = false;
  set({});
}

export function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  view.fitted = false;
  set({});
}

// Fetch what is missing, draw what is there.
async function update() {
  if (!app.server) return;
  if (view.scale === 0 || view.fitted) {
    const before = view.scale;
    const { width, height } = app.server.video;
    view.scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
    view.x = (canvas.clientWidth - width * view.scale) / 2;
    view.y = (canvas.clientHeight - height * view.scale) / 2;
    if (!before) set({});
  }
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
  const ratio = devicePixelRatio;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  paper.setTransform(1, 0, 0, 1, 0, 0);
  paper.fillStyle = getComputedStyle(canvas).backgroundColor;
  paper.fillRect(0, 0, width, height);
  if (!shown.bitmap) return;
  paper.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
  paper.imageSmoothingEnabled = view.scale * ratio < 3;
  paper.imageSmoothingQuality = "high";
  const { width: frameWidth, height: frameHeight } = app.server.video;
  paper.drawImage(shown.bitmap, 0, 0, frameWidth, frameHeight);
  if (app.outlines && shown.mask?.width) drawMask();
  for (const preview of previews(app.frame)) drawPreview(preview);
}

function drawMask() {
  const hidden = objects().filter((each) => each.hidden).map((each) => each.id);
  const key = [shown.frame, app.server.version, app.server.task?.done, app.selected, hidden].join();
  if (key !== overlayKey || overlay?.mask !== shown.mask) {
    overlay = { mask: shown.mask, canvas: painted(shown.mask, new Set(hidden)) };
    overlayKey = key;
  }
  paper.drawImage(overlay.canvas, shown.mask.x, shown.mask.y);
}

function painted(mask, hidden) {
  const { width, height, labels } = mask;
  const colours = new Uint32Array(256);
  const borders = new Uint32Array(256);
  for (const each of objects()) {
    if (hidden.has(each.id)) continue;
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(each.colour.slice(k, k + 2), 16));
    const rgb = (blue << 16) | (green << 8) | red;
    colours[each.id] = (((each.id === app.selected ? FILL : FILL_OTHERS) << 24) | rgb) >>> 0;
    borders[each.id] = ((255 << 24) | rgb) >>> 0;
  }
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      const label = labels[k];
      if (!label) continue;
      const inner = x > 0 && x < width - 1 && y > 0 && y < height - 1 && labels[k - 1] === label &&
        labels[k + 1] === label && labels[k - width] === label && labels[k + width] === label;
      pixels[k] = inner ? colours[label] : borders[label];
    }
  }
  const made = new OffscreenCanvas(width, height);
  made.getContext("2d").putImageData(image, 0, 0);
  return made;
}

// {kind, points, radius, colour, negative}: what is being drawn, or waits for the server
function drawPreview({ kind, points, radius, colour, negative, cursor }) {
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

canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - box.left, event.clientY - box.top);
  },
  { passive: false },
);
new ResizeObserver(() => set({})).observe(canvas);
listen(update);
