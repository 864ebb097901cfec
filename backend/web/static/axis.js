// A horizontal axis of frames on a canvas: the wheel zooms it, a click or a drag goes to a frame.

import { app, byId, clock, element, goTo, lastFrame, set } from "./page.js";

const MIN_FRAMES = 40; // shown when zoomed in fully

export class Axis {
  // ``left`` CSS px stay free for labels; ``describe(frame)`` adds text to the tooltip; where ``scrolls(event)`` is true,
  // the wheel scrolls the page.
  constructor(canvas, { left = 0, describe = () => "", scrolls = () => false } = {}) {
    Object.assign(this, { canvas, left, first: 0, last: 0, frames: 0, dragging: false });
    canvas.addEventListener("wheel", (event) => scrolls(event) || this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (!app.server) return;
      this.dragging = true;
      canvas.setPointerCapture(event.pointerId);
      set({ playing: 0 });
      goTo(this.frameAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!app.server) return;
      const frame = this.frameAt(event);
      if (this.dragging) goTo(frame);
      const tip = byId("tip");
      tip.replaceChildren(element("span", { textContent: `${frame} (${clock(frame)})${describe(frame)}` }));
      tip.style.left = `${Math.min(Math.max(event.clientX - 50, 8), innerWidth - 240)}px`;
      tip.style.top = `${canvas.getBoundingClientRect().top - 28}px`;
      tip.hidden = false;
    });
    canvas.addEventListener("pointerup", () => (this.dragging = false));
    canvas.addEventListener("pointerleave", () => (byId("tip").hidden = true));
    new ResizeObserver(() => set({})).observe(canvas.parentElement);
  }

  get width() {
    return Math.max(1, this.canvas.clientWidth - this.left);
  }

  // CSS px of a frame's centre
  xOf(frame) {
    return this.left + ((frame + 0.5 - this.first) / (this.last - this.first + 1)) * this.width;
  }

  frameAt(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left - this.left;
    const frame = Math.floor(this.first + (x / this.width) * (this.last - this.first + 1));
    return Math.min(Math.max(0, frame), lastFrame());
  }

  // Show the whole of a new video, and always the current frame.
  follow() {
    if (this.frames !== lastFrame() + 1) Object.assign(this, { first: 0, last: lastFrame(), frames: lastFrame() + 1 });
    if (app.frame < this.first || app.frame > this.last) this.move(app.frame - (this.last - this.first) / 2, this.last - this.first);
  }

  move(first, span) {
    const frames = Math.round(Math.min(Math.max(span, Math.min(MIN_FRAMES, lastFrame())), lastFrame()));
    this.first = Math.min(Math.max(0, Math.round(first)), lastFrame() - frames);
    this.last = this.first + frames;
  }

  // Zoom around the pointer, or scroll sideways.
  wheel(event) {
    event.preventDefault();
    const span = this.last - this.first;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.move(this.first + ((event.deltaX || event.deltaY) / this.width) * span, span);
    } else {
      const frames = Math.round(span * Math.exp(event.deltaY * 0.002));
      const share = (this.frameAt(event) - this.first) / Math.max(1, span);
      this.move(this.frameAt(event) - share * frames, frames);
    }
    set({});
  }

  // [{frame, x}] of round numbers at least ``spacing`` CSS px from each other
  ticks(spacing) {
    const least = ((this.last - this.first) * spacing) / this.width;
    const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= least);
    const ticks = [];
    for (let frame = Math.ceil(this.first / step) * step; frame <= this.last; frame += step) {
      ticks.push({ frame, x: this.xOf(frame) });
    }
    return ticks;
  }
}
