// A line of frames: which part of the video it shows, a wheel that zooms it, a press or a pull that goes there.

import { app, byId, clock, element, goTo, lastFrame, set } from "./page.js";

const LEAST_FRAMES = 40;

export class Axis {
  // ``left`` CSS px stay free for labels; ``more(frame)`` adds words to the tip; ``scrolls(event)`` leaves a wheel to the page.
  constructor(canvas, { left = 0, more = () => "", scrolls = () => false } = {}) {
    Object.assign(this, { canvas, left, first: 0, last: 0, frames: 0, pulling: false });
    canvas.addEventListener("wheel", (event) => scrolls(event) || this.turn(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      if (!app.server) return;
      this.pulling = true;
      canvas.setPointerCapture(event.pointerId);
      set({ playing: 0 });
      goTo(this.frameAt(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!app.server) return;
      const frame = this.frameAt(event);
      if (this.pulling) goTo(frame);
      const tip = byId("tip");
      tip.replaceChildren(element("span", { textContent: `${frame} (${clock(frame)})${more(frame)}` }));
      tip.style.left = `${Math.min(Math.max(event.clientX - 50, 8), innerWidth - 240)}px`;
      tip.style.top = `${canvas.getBoundingClientRect().top - 28}px`;
      tip.hidden = false;
    });
    canvas.addEventListener("pointerup", () => (this.pulling = false));
    canvas.addEventListener("pointerleave", () => (byId("tip").hidden = true));
    new ResizeObserver(() => set({})).observe(canvas.parentElement);
  }

  get wide() {
    return Math.max(1, this.canvas.clientWidth - this.left);
  }

  place(frame) {
    return this.left + ((frame + 0.5 - this.first) / (this.last - this.first + 1)) * this.wide;
  }

  frameAt(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left - this.left;
    const frame = Math.floor(this.first + (x / this.wide) * (this.last - this.first + 1));
    return Math.min(Math.max(0, frame), lastFrame());
  }

  // Show the whole of a video that is new, and what is looked at in any case.
  follow() {
    if (this.frames !== lastFrame() + 1) Object.assign(this, { first: 0, last: lastFrame(), frames: lastFrame() + 1 });
    if (app.frame < this.first || app.frame > this.last) this.move(app.frame - (this.last - this.first) / 2, this.last - this.first);
  }

  move(first, span) {
    const frames = Math.round(Math.min(Math.max(span, Math.min(LEAST_FRAMES, lastFrame())), lastFrame()));
    this.first = Math.min(Math.max(0, Math.round(first)), lastFrame() - frames);
    this.last = this.first + frames;
  }

  turn(event) {
    event.preventDefault();
    const span = this.last - this.first;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.move(this.first + ((event.deltaX || event.deltaY) / this.wide) * span, span);
    } else {
      const frames = Math.round(span * Math.exp(event.deltaY * 0.002));
      const share = (this.frameAt(event) - this.first) / Math.max(1, span);
      this.move(this.frameAt(event) - share * frames, frames);
    }
    set({});
  }

  // [{frame, x}] of round numbers at least ``apart`` px from each other
  numbers(apart) {
    const wanted = ((this.last - this.first) * apart) / this.wide;
    const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= wanted);
    const found = [];
    for (let frame = Math.ceil(this.first / step) * step; frame <= this.last; frame += step) {
      found.push({ frame, x: this.place(frame) });
    }
    return found;
  }
}
