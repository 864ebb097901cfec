// Rows of the corrected tracks and masks of their birds, fetched in stretches of frames and kept while they are true.

import * as api from "./api.js";
import { app, colourOf, lastFrame, set } from "./state.js";
import { painted, parsed as parsedMask } from "../shared/masks.js";

const STRETCH = 200; // frames a request
const MOST_STRETCHES = 30;
const MOST_MASKS = 150;
export const DETECTED = 0;
export const INTERPOLATED = 1;
export const LOST = 2;

let stretches = new Map(); // first frame -> {promise, rows: Map frame -> rows}
let version = -1;
const masks = new Map(); // frame -> {promise, mask}
let lanes = null;
let lanesVersion = -1;

api.on("state", (state) => {
  if (state.version === version) return;
  const old = stretches;
  version = state.version;
  stretches = new Map();
  const here = Math.floor(app.frame / STRETCH) * STRETCH;
  if (old.has(here)) stretch(here).stale = old.get(here).rows; // shown until the new ones are here: no flicker
  loadLanes();
});

function stretch(first) {
  if (!stretches.has(first)) {
    const entry = { rows: null, stale: null };
    const last = Math.min(first + STRETCH - 1, lastFrame());
    entry.promise = api.bytes(`rows/${first}/${last}`).then((data) => {
      entry.rows = parsed(data);
      set({});
      return entry.rows;
    });
    entry.promise.catch(() => stretches.delete(first));
    stretches.set(first, entry);
    if (stretches.size > MOST_STRETCHES) stretches.delete(stretches.keys().next().value);
  }
  return stretches.get(first);
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

// Rows of a frame that are here already; they are fetched if not.
export function rowsAt(frame) {
  const entry = stretch(Math.floor(frame / STRETCH) * STRETCH);
  return (entry.rows ?? entry.stale)?.get(frame) ?? [];
}

export async function rowsOf(frame) {
  return (await stretch(Math.floor(frame / STRETCH) * STRETCH).promise).get(frame) ?? [];
}

export function seenAt(frame) {
  return rowsAt(frame).filter((row) => row.state !== LOST);
}

// {x, y, width, height, labels} of a frame if it is here, with the labels of its rows; an older one until then
export function maskAt(frame) {
  const drawn = app.server.drawn[frame] ?? ""; // another number when what people drew is another
  if (masks.get(frame)?.drawn !== drawn) {
    const entry = { mask: masks.get(frame)?.mask ?? null, drawn };
    entry.promise = api.bytes(`masks/${frame}${drawn && `?drawn=${drawn}`}`).then((data) => {
      entry.mask = { ...parsedMask(data), painted: new Map() };
      set({});
      return entry.mask;
    });
    entry.promise.catch(() => masks.delete(frame));
    masks.set(frame, entry);
    if (masks.size > MOST_MASKS) masks.delete(masks.keys().next().value);
  }
  return masks.get(frame).mask;
}

const FILL = 70;
const FILL_CHOSEN = 130;

// The mask as a picture in the colours of its birds.
export function maskPicture(mask, rows) {
  const chosen = app.selected;
  const key = `${chosen} ${rows.map((row) => `${row.label}:${row.identity}:${row.track === chosen}`).join()}`;
  if (mask.painted.has(key)) return mask.painted.get(key);
  const byLabel = new Map(rows.map((row) => [row.label, row]));
  const made = painted(mask, (label) => {
    const row = byLabel.get(label);
    return row && { colour: colourOf(row.identity), alpha: row.track === chosen ? FILL_CHOSEN : FILL };
  });
  mask.painted.clear();
  mask.painted.set(key, made);
  return made;
}

async function loadLanes() {
  if (lanesVersion === version) return;
  const wanted = version;
  try {
    const data = await api.bytes("lanes");
    const n = new Uint32Array(data, 4, 1)[0];
    lanes = { n, cells: new Int32Array(data, 8, 5 * n) };
    lanesVersion = wanted;
    set({});
  } catch {
    // the next change asks again
  }
}

// Stretches of one state as {n, cells}: track, identity, state, first, last of each in a row; null until they are here.
export function allLanes() {
  return lanes;
}
