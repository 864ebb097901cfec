// One picture on the board: which frame of which video it shows, and how it gets it: a small copy first, then the frame itself.

import { app, set } from "./state.js";
import * as pictures from "../shared/pictures.js";
import { Viewport } from "../shared/viewport.js";

const REST_MS = 120; // so long after a jump the exact frame is asked for, if nobody has jumped on
const RETRY_MS = 1000;

export class Screen {
  // ``source()`` says {video, frame, where}: what to show now, the frame null for nothing; ``overlay(screen)`` draws on it.
  constructor(canvas, source, overlay) {
    Object.assign(this, { canvas, source, overlay, wanted: "", frame: null, bitmap: null, exact: false });
    this.view = new Viewport(canvas, () => this.source().video);
  }

  update() {
    const { video, frame, where } = this.source();
    this.view.settle();
    const width = pictures.usefulWidth(this.view.scale, video);
    const key = `${where} ${frame} ${width}`;
    if (key !== this.wanted) {
      this.wanted = key;
      if (frame === null) this.show(key, null, null, true);
      else this.load(key, frame, width, where, video);
    }
    this.draw();
  }

  async load(key, frame, width, where, video) {
    const early = pictures.here(frame, width, where);
    if (early) this.show(key, frame, early, false);
    try {
      if (!early && width !== pictures.QUICK && video.quick) {
        this.show(key, frame, await pictures.bitmap(frame, pictures.QUICK, where), false);
        await new Promise((go) => setTimeout(go, REST_MS));
        if (this.wanted !== key) return;
      }
      this.show(key, frame, await pictures.bitmap(frame, width, where), width !== pictures.QUICK);
      if (!app.playing && this.wanted === key) pictures.prefetch(frame, width, 1, where, video.frames - 1);
    } catch {
      if (this.wanted !== key) return;
      this.wanted = "";
      setTimeout(() => set({}), RETRY_MS);
    }
  }

  show(key, frame, bitmap, exact) {
    if (this.wanted !== key) return;
    Object.assign(this, { frame, bitmap, exact });
    this.draw();
  }

  // Whether the picture on the screen is of the frame that was asked for last.
  isHere() {
    return this.frame === this.source().frame;
  }

  draw() {
    this.canvas.dataset.shown = `${this.frame} ${this.exact ? "exact" : "quick"}`;
    this.canvas.dataset.scale = this.view.scale;
    this.view.paint(this.bitmap);
    if (this.bitmap) this.overlay(this);
  }
}
