// Pictures and masks that the page holds.

import * as api from "./api.js";
import { lastFrame } from "./state.js";
import * as pictures from "../shared/pictures.js";

export { bitmap, here, usefulWidth } from "../shared/pictures.js";

const AHEAD = 6; // masks fetched before they are played
const MOST_MASKS = 60;
const masks = new Map(); // frame -> promise of {x, y, width, height, labels}

export function prefetch(frame, width, step) {
  pictures.prefetch(frame, width, step);
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
    if (masks.size > MOST_MASKS) masks.delete(masks.keys().next().value);
  }
  return masks.get(frame);
}

export function forgetMasks() {
  masks.clear();
}
