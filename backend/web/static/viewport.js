// A video frame on a canvas: position, zoom by wheel, panning. screen = frame * scale + (x, y), CSS px.

import { set } from "./page.js";

const MAX_ZOOM = 40; // screen px a frame px

export class Viewport {
  // ``size`` gives the frame's {width, height} once it is known.
  constructor(canvas, size) {
    Object.assign(this, { canvas, size, scale: 0, x: 0, y: 0, fitted: true });
    this.paper = canvas.getContext("2d", { alpha: false });
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const box = canvas.getBoundingClientRect();
        const by = Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015));
        this.zoom(by, event.clientX - box.left, event.clientY - box.top);
      },
      { passive: false },
    );
    new ResizeObserver(() => set({})).observe(canvas);
  }

  fit() {
    this.fitted = true;
    set({});
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const least = 0.5 * Math.min(this.canvas.clientWidth / this.size().width, 1);
    const now = Math.min(MAX_ZOOM, Math.max(least, this.scale * factor));
    this.x = x - ((x - this.x) * now) / this.scale;
    this.y = y - ((y - this.y) * now) / this.scale;
    Object.assign(this, { scale: now, fitted: false });
    set({});
  }

  pan(dx, dy) {
    Object.assign(this, { x: this.x + dx, y: this.y + dy, fitted: false });
    set({});
  }

  toFrame(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left - this.x) / this.scale, (event.clientY - box.top - this.y) / this.scale];
  }

  // Fit the whole frame into the canvas, unless it was zoomed or panned.
  refit() {
    if (this.scale && !this.fitted) return;
    const { width, height } = this.size();
    const { clientWidth, clientHeight } = this.canvas;
    const known = this.scale;
    this.scale = Math.min(clientWidth / width, clientHeight / height);
    this.x = (clientWidth - width * this.scale) / 2;
    this.y = (clientHeight - height * this.scale) / 2;
    if (!known) set({}); // other parts of the page show the scale
  }

  // Draw a bitmap of the whole frame; what is drawn on ``paper`` afterwards is in frame coordinates.
  paint(bitmap) {
    const { canvas, paper } = this;
    const ratio = devicePixelRatio;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    paper.setTransform(1, 0, 0, 1, 0, 0);
    paper.fillStyle = getComputedStyle(canvas).backgroundColor;
    paper.fillRect(0, 0, width, height);
    if (!bitmap) return;
    paper.setTransform(this.scale * ratio, 0, 0, this.scale * ratio, this.x * ratio, this.y * ratio);
    paper.imageSmoothingEnabled = this.scale * ratio < 3;
    paper.imageSmoothingQuality = "high";
    const frame = this.size();
    paper.drawImage(bitmap, 0, 0, frame.width, frame.height);
  }
}
