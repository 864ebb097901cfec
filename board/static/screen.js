// One canvas that shows a frame of a video: first the frame of the proxy video, if there is one, then the full frame.

import { app, set } from "./state.js";
import * as frames from "../shared/frame_cache.js";
import { Viewport } from "../shared/viewport.js";

const REST_MS = 120; // after a jump the full frame is fetched once the view has rested this long
const RETRY_MS = 1000;

export class Screen {
  // ``source()`` gives {video, frame, path}: what to show now, frame null for nothing; ``overlay(screen)`` draws on top.
  constructor(canvas, source, overlay) {
    Object.assign(this, { canvas, source, overlay, requested: "", frame: null, bitmap: null, exact: false });
    this.view = new Viewport(canvas, () => this.source().video);
  }

  update() {
    const { video, frame, path } = this.source();
    this.view.refit();
    const width = frames.usefulWidth(this.view.scale, video);
    const key = `${path} ${frame} ${width}`;
    if (key !== this.requested) {
      this.requested = key;
      if (frame === null) this.show(key, null, null, true);
      else this.load(key, frame, width, path, video);
    }
    this.draw();
  }

  async load(key, frame, width, path, video) {
    const early = frames.cached(frame, width, path);
    if (early) this.show(key, frame, early, false);
    try {
      if (!early && width !== frames.PROXY && video.quick) {
        this.show(key, frame, await frames.bitmap(frame, frames.PROXY, path), false);
        await new Promise((go) => setTimeout(go, REST_MS));
        if (this.requested !== key) return;
      }
      this.show(key, frame, await frames.bitmap(frame, width, path), width !== frames.PROXY);
      if (!app.playing && this.requested === key) frames.prefetch(frame, width, 1, path, video.frames - 1);
    } catch {
      if (this.requested !== key) return;
      this.requested = "";
      setTimeout(() => set({}), RETRY_MS);
    }
  }

  show(key, frame, bitmap, exact) {
    if (this.requested !== key) return;
    Object.assign(this, { frame, bitmap, exact });
    this.draw();
  }

  // Whether the canvas shows the frame that was asked for last.
  isCurrent() {
    return this.frame === this.source().frame;
  }

  draw() {
    this.canvas.dataset.shown = `${this.frame} ${this.exact ? "exact" : "quick"}`;
    this.canvas.dataset.scale = this.view.scale;
    this.view.paint(this.bitmap);
    if (this.bitmap) this.overlay(this);
  }
}
