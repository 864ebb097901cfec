// Rows of the corrected tracks and masks of their birds, fetched in blocks of frames and cached per version of the log.

import * as api from "./api.js";
import { app, colourOf, lastFrame, set } from "./state.js";
import { painted, parsed as parsedMask } from "../shared/masks.js";

const BLOCK = 200; // frames per request
const MAX_BLOCKS = 30;
const MAX_MASKS = 150;
export const DETECTED = 0;
export const INTERPOLATED = 1;
export const LOST = 2;

let blocks = new Map(); // first frame -> {promise, rows: Map frame -> rows, stale: rows of the version before}
let version = -1;
const masks = new Map(); // frame -> {promise, mask}
let lanes = null;
let lanesVersion = -1;

api.on("state", (state) => {
  if (state.version === version) return;
  const old = blocks;
  version = state.version;
  blocks = new Map();
  const first = Math.floor(app.frame / BLOCK) * BLOCK;
  if (old.has(first)) block(first).stale = old.get(first).rows; // displayed until the new ones arrive: no flicker
  loadLanes();
});

function block(first) {
  if (!blocks.has(first)) {
    const entry = { rows: null, stale: null };
    const last = Math.min(first + BLOCK - 1, lastFrame());
    entry.promise = api.bytes(`rows/${first}/${last}`).then((data) => {
      entry.rows = parsed(data);
      set({});
      return entry.rows;
    });
    entry.promise.catch(() => blocks.delete(first));
    blocks.set(first, entry);
    if (blocks.size > MAX_BLOCKS) blocks.delete(blocks.keys().next().value);
  }
  return blocks.get(first);
}

function parsed(data) {
  const n = new Uint32Array(data, 4, 1)[0];
  const whole = (k) => new Int32Array(data, 8 + 4 * n * k, n);
  const float = (k) => new Float32Array(data, 8 + 4 * n * k, n);
  const [frame, track, identity, state, label] = [0, 1, 2, 3, 4].map(whole);
  const [p, x1, y1, x2, y2] = [5, 6, 7, 8, 9].map(float);
  const rows = new Map();
  for (let k = 0; k < n; k++) {
    if (!rows.has(frame[k])) rows.set(frame[k], []);
    rows.get(frame[k]).push({
      frame: frame[k], track: track[k], identity: identity[k], state: state[k], label: label[k], p: p[k],
      box: [x1[k], y1[k], x2[k], y2[k]],
    });
  }
  return rows;
}

// Rows of a frame that are in memory; they are fetched if they are not.
export function rowsAt(frame) {
  const entry = block(Math.floor(frame / BLOCK) * BLOCK);
  return (entry.rows ?? entry.stale)?.get(frame) ?? [];
}

export async function rowsOf(frame) {
  return (await block(Math.floor(frame / BLOCK) * BLOCK).promise).get(frame) ?? [];
}

export function visibleAt(frame) {
  return rowsAt(frame).filter((row) => row.state !== LOST);
}

// The row of the selected bird in the current frame, null if it has none.
export function selectedRow() {
  return rowsAt(app.frame).find((row) => row.track === app.selected) ?? null;
}

// {x, y, width, height, labels} of a frame with the labels of its rows; null or an older one until it arrives
export function maskAt(frame) {
  const drawn = app.server.drawn[frame] ?? ""; // changes with the masks that reviewers drew
  if (masks.get(frame)?.drawn !== drawn) {
    const entry = { mask: masks.get(frame)?.mask ?? null, drawn };
    entry.promise = api.bytes(`masks/${frame}${drawn && `?drawn=${drawn}`}`).then((data) => {
      entry.mask = { ...parsedMask(data), painted: new Map() };
      set({});
      return entry.mask;
    });
    entry.promise.catch(() => masks.delete(frame));
    masks.set(frame, entry);
    if (masks.size > MAX_MASKS) masks.delete(masks.keys().next().value);
  }
  return masks.get(frame).mask;
}

const FILL = 70; // opacity of masks, 0 to 255
const FILL_SELECTED = 130;

// A canvas with the mask in the colours of its birds.
export function paintedMask(mask, rows) {
  const { selected } = app;
  const key = `${selected} ${rows.map((row) => `${row.label}:${row.identity}:${row.track === selected}`).join()}`;
  if (mask.painted.has(key)) return mask.painted.get(key);
  const byLabel = new Map(rows.map((row) => [row.label, row]));
  const canvas = painted(mask, (label) => {
    const row = byLabel.get(label);
    return row && { colour: colourOf(row.identity), alpha: row.track === selected ? FILL_SELECTED : FILL };
  });
  mask.painted.clear();
  mask.painted.set(key, canvas);
  return canvas;
}

async function loadLanes() {
  if (lanesVersion === version) return;
  const requested = version;
  try {
    const data = await api.bytes("lanes");
    const n = new Uint32Array(data, 4, 1)[0];
    lanes = { n, cells: new Int32Array(data, 8, 5 * n) };
    lanesVersion = requested;
    set({});
  } catch {
    // the next change asks again
  }
}

// Runs of frames in one state as {n, cells}: track, identity, state, first, last of each; null until they arrive.
export function allLanes() {
  return lanes;
}
