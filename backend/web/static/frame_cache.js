// Decoded video frames that the page holds, up to a number of bytes.

import { app, lastFrame } from "./page.js";
import * as server from "./server.js";

const MAX_BYTES = 300e6;
const AHEAD = 8; // frames fetched before they are shown
const PLAYED_WIDTH = 960;
export const PROXY = 0; // in place of a width: the frame of the proxy video

const bitmaps = new Map(); // "path frame width" -> {promise, bitmap, bytes}
let held = 0;
let waiting = 0;

// Width to fetch for a scale. Widths come in steps, so that a little zoom fetches nothing. A still frame is as sharp as
// the screen can show it; while playing, frames are small.
export function usefulWidth(scale, video = app.server.video) {
  if (app.playing && video.quick) return PROXY;
  const full = video.width;
  const onScreen = full * scale * devicePixelRatio;
  if (app.playing) return Math.min(full, PLAYED_WIDTH, Math.ceil(onScreen / 320) * 320);
  return onScreen > 0.75 * full ? full : Math.min(full, Math.ceil(onScreen / 320) * 320);
}

// ``path`` is that of another video's API; empty for the page's own video.
export function bitmap(frame, width, path = "") {
  const key = `${path} ${frame} ${width}`;
  const entryInCache = bitmaps.get(key);
  if (entryInCache) {
    bitmaps.delete(key);
    bitmaps.set(key, entryInCache); // the newest now
    return entryInCache.promise;
  }
  const entry = { bytes: 0, bitmap: null };
  waiting += 1;
  entry.promise = server
    .bitmap(`${path}frames/${frame}?${width === PROXY ? "quick=1" : `width=${width}`}`)
    .then((bitmap) => {
      entry.bytes = 4 * bitmap.width * bitmap.height;
      entry.bitmap = bitmap;
      held += entry.bytes;
      evict();
      return bitmap;
    })
    .finally(() => (waiting -= 1));
  entry.promise.catch(() => bitmaps.delete(key));
  bitmaps.set(key, entry);
  return entry.promise;
}

// A bitmap of a frame that is in memory already, of this width if there is one; else null.
export function cached(frame, width, path = "") {
  const exact = bitmaps.get(`${path} ${frame} ${width}`)?.bitmap;
  if (exact) return exact;
  for (const [key, entry] of bitmaps) if (entry.bitmap && key.startsWith(`${path} ${frame} `)) return entry.bitmap;
  return null;
}

export function prefetch(frame, width, step, path = "", last = lastFrame()) {
  for (let k = 1; k <= AHEAD && waiting < AHEAD; k++) {
    const next = frame + k * step;
    if (next < 0 || next > last) return;
    bitmap(next, width, path).catch(() => null);
  }
}

function evict() {
  for (const [key, entry] of bitmaps) {
    if (held <= MAX_BYTES) return;
    if (!entry.bitmap) continue;
    held -= entry.bytes;
    bitmaps.delete(key); // not closed: it may be on the screen; the browser frees it
  }
}
