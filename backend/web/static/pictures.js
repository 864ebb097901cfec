// Pictures that the page holds, up to a number of bytes.

import { app, lastFrame } from "./page.js";
import * as server from "./server.js";

const MOST_BYTES = 300e6;
const AHEAD = 8; // frames fetched before they are shown
const PLAYED_WIDTH = 960;
export const QUICK = 0; // stands for a width: the small picture of a video's proxy

const bitmaps = new Map(); // "where frame width" -> {promise, bitmap, bytes}
let held = 0;
let waiting = 0;

// Widths come in steps, so that zooming a little fetches nothing. A picture that stands still is as sharp as the screen
// can show it; one that plays is small.
export function usefulWidth(scale, video = app.server.video) {
  if (app.playing && video.quick) return QUICK;
  const full = video.width;
  const wanted = full * scale * devicePixelRatio;
  if (app.playing) return Math.min(full, PLAYED_WIDTH, Math.ceil(wanted / 320) * 320);
  return wanted > 0.75 * full ? full : Math.min(full, Math.ceil(wanted / 320) * 320);
}

// ``where`` is the path of another video than the page's own.
export function bitmap(frame, width, where = "") {
  const key = `${where} ${frame} ${width}`;
  const kept = bitmaps.get(key);
  if (kept) {
    bitmaps.delete(key);
    bitmaps.set(key, kept);
    return kept.promise;
  }
  const entry = { bytes: 0, bitmap: null };
  waiting += 1;
  entry.promise = server
    .bitmap(`${where}frames/${frame}?${width === QUICK ? "quick=1" : `width=${width}`}`)
    .then((made) => {
      entry.bytes = 4 * made.width * made.height;
      entry.bitmap = made;
      held += entry.bytes;
      shrink();
      return made;
    })
    .finally(() => (waiting -= 1));
  entry.promise.catch(() => bitmaps.delete(key));
  bitmaps.set(key, entry);
  return entry.promise;
}

// The best picture of a frame that is here already.
export function here(frame, width, where = "") {
  const exact = bitmaps.get(`${where} ${frame} ${width}`)?.bitmap;
  if (exact) return exact;
  for (const [key, entry] of bitmaps) if (entry.bitmap && key.startsWith(`${where} ${frame} `)) return entry.bitmap;
  return null;
}

export function prefetch(frame, width, step, where = "", last = lastFrame()) {
  for (let k = 1; k <= AHEAD && waiting < AHEAD; k++) {
    const next = frame + k * step;
    if (next < 0 || next > last) return;
    bitmap(next, width, where).catch(() => null);
  }
}

function shrink() {
  for (const [key, entry] of bitmaps) {
    if (held <= MOST_BYTES) return;
    if (!entry.bitmap) continue;
    held -= entry.bytes;
    bitmaps.delete(key); // not closed: it may be on the screen; the browser frees it
  }
}
