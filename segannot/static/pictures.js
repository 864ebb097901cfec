// Pictures and masks that the page holds, up to a number of bytes.

import * as api from "./api.js";
import { app, lastFrame } from "./state.js";

const MOST_BYTES = 300e6;
const AHEAD = 6; // frames fetched before they are played

const bitmaps = new Map(); // "frame width" -> {bitmap, bytes} or {promise}
const masks = new Map(); // frame -> {promise} of {x, y, width, height, labels}
let held = 0;

// Widths come in steps, so that zooming a little fetches nothing.
export function usefulWidth(scale) {
  const full = app.server.video.width;
  const wanted = full * scale * devicePixelRatio;
  if (app.playing) return Math.min(full, 1280);
  return wanted > 0.75 * full ? full : Math.min(full, Math.ceil(wanted / 320) * 320);
}

export function bitmap(frame, width) {
  const key = `${frame} ${width}`;
  const kept = bitmaps.get(key);
  if (kept) {
    bitmaps.delete(key);
    bitmaps.set(key, kept);
    return kept.promise;
  }
  const entry = { bytes: 0 };
  entry.promise = api.picture(frame, width).then((made) => {
    entry.bytes = 4 * made.width * made.height;
    entry.bitmap = made;
    held += entry.bytes;
    shrink();
    return made;
  });
  entry.promise.catch(() => bitmaps.delete(key));
  bitmaps.set(key, entry);
  return entry.promise;
}

// The best picture of a frame that is here already.
export function here(frame, width) {
  const exact = bitmaps.get(`${frame} ${width}`)?.bitmap;
  if (exact) return exact;
  for (const [key, entry] of bitmaps) if (entry.bitmap && key.startsWith(`${frame} `)) return entry.bitmap;
  return null;
}

export function prefetch(frame, width, step) {
  for (let k = 1; k <= AHEAD; k++) {
    const next = frame + k * step;
    if (next < 0 || next > lastFrame()) return;
    bitmap(next, width).catch(() => null);
    mask(next).catch(() => null);
  }
}

export function mask(frame) {
  if (!masks.has(frame)) {
    const promise = api.mask(frame);
    promise.catch(() => masks.delete(frame));
    masks.set(frame, promise);
    if (masks.size > 60) masks.delete(masks.keys().next().value);
  }
  return masks.get(frame);
}

export function forgetMasks() {
  masks.clear();
}

function shrink() {
  for (const [key, entry] of bitmaps) {
    if (held <= MOST_BYTES) return;
    if (!entry.bitmap) continue;
    held -= entry.bytes;
    bitmaps.delete(key); // not closed: it may be on the screen; the browser frees it
  }
}
