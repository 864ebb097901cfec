// Masks that the page holds, and masks and frames fetched ahead of the player.

import * as api from "./api.js";
import { lastFrame } from "./state.js";
import { prefetch as prefetchFrames } from "../shared/frame_cache.js";

const AHEAD = 6; // masks fetched before they are played
const MAX_MASKS = 60;
const masks = new Map(); // frame -> promise of {x, y, width, height, labels}

export function prefetch(frame, width, step) {
  prefetchFrames(frame, width, step);
  for (let k = 1; k <= AHEAD; k++) {
    const next = frame + k * step;
    if (next >= 0 && next <= lastFrame()) mask(next).catch(() => null);
  }
}

export function mask(frame) {
  if (!masks.has(frame)) {
    const promise = api.mask(frame);
    promise.catch(() => masks.delete(frame));
    masks.set(frame, promise);
    if (masks.size > MAX_MASKS) masks.delete(masks.keys().next().value);
  }
  return masks.get(frame);
}

export function forgetMasks() {
  masks.clear();
}
