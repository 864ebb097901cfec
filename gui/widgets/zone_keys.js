// Keyboard, zoom and pan of the zone editor.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const MOST_ZOOM = 16;

Object.assign(Editor.prototype, {
  key(event) {
    const ctrl = event.ctrlKey || event.metaKey, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onStage = event.target === this.svg;
    if (ctrl && (key === "z" || key === "y" || key === "s")) {
      if (key === "s") this.save(false);
      else this.step(key === "y" || event.shiftKey ? "redo" : "undo");
    } else if (ctrl) return;
    else if (key === "Escape") this.use("select");
    else if (!onStage) return; // buttons and fields keep their keys
    else if (key in ARROWS) this.arrow(ARROWS[key], event);
    else if (key === "Enter" && this.tool !== "select") this.draws(() => {});
    else if (key === "f" && this.tool === "polygon") this.finish();
    else if (key === "Backspace" && this.draft.length) {
      this.draft.pop();
      this.draw();
    } else if (key === "Delete" || key === "Backspace") this.remove();
    else if (key === "n") this.next();
    else if (key === "i") this.insert();
    else if (key === "+" || key === "-" || key === "0") this.zoom({ "+": 1.5, "-": 1 / 1.5, 0: 0 }[key], this.cross);
    else {
      const tool = Object.keys(TOOLS).find((name) => TOOLS[name][0].toLowerCase() === key);
      if (!tool) return;
      this.use(tool);
    }
    event.preventDefault();
    event.stopPropagation();
  },

  arrow([dx, dy], event) {
    const step = event.altKey ? 1 : (event.shiftKey ? 10 : 2) * Math.max(1, this.unit);
    const zone = this.doc.zones[this.zone];
    if (this.tool !== "select" || !zone) {
      this.cross = clamped([this.cross[0] + dx * step * 5, this.cross[1] + dy * step * 5], this.size);
      return this.draw();
    }
    if (this.vertex === null) zone.shape = moved(zone.shape, dx * step, dy * step, this.size);
    else zone.shape[this.vertex] = clamped([zone.shape[this.vertex][0] + dx * step, zone.shape[this.vertex][1] + dy * step], this.size);
    this.commit();
  },

  next() {
    const zone = this.doc.zones[this.zone];
    if (!zone) return this.doc.zones.length && this.select(0, null);
    if (this.vertex === null) return this.select(this.zone, 0);
    if (this.vertex + 1 < zone.shape.length) return this.select(this.zone, this.vertex + 1);
    this.select((this.zone + 1) % this.doc.zones.length, null);
  },

  insert() {
    const zone = this.doc.zones[this.zone];
    if (!zone || this.vertex === null) return;
    const a = zone.shape[this.vertex], b = zone.shape[(this.vertex + 1) % zone.shape.length];
    zone.shape.splice(this.vertex + 1, 0, [round((a[0] + b[0]) / 2), round((a[1] + b[1]) / 2)]);
    this.vertex += 1;
    this.commit();
  },

  remove() {
    const zone = this.doc.zones[this.zone];
    if (!zone) return;
    if (this.vertex === null || zone.shape.length === 3) return this.removeZone();
    zone.shape.splice(this.vertex, 1);
    this.vertex = null;
    this.commit();
  },

  wheel(event) {
    if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
    event.preventDefault();
    this.zoom(event.deltaY < 0 || event.deltaX < 0 ? 1.25 : 0.8, this.place(event));
  },

  zoom(factor, around = this.cross) {
    const [width, height] = this.size;
    const w = factor === 0 ? width : Math.min(width, Math.max(width / MOST_ZOOM, this.view[2] / factor));
    const h = (w * height) / width, share = w / this.view[2];
    const x = around[0] - (around[0] - this.view[0]) * share, y = around[1] - (around[1] - this.view[1]) * share;
    this.view = [Math.min(Math.max(0, x), width - w), Math.min(Math.max(0, y), height - h), w, h];
    this.draw();
  },

  pan(event) {
    const [x, y] = this.drag.pan, [, , w, h] = this.view;
    this.view[0] = Math.min(Math.max(0, this.view[0] - (event.clientX - x) * this.unit), this.size[0] - w);
    this.view[1] = Math.min(Math.max(0, this.view[1] - (event.clientY - y) * this.unit), this.size[1] - h);
    this.drag.pan = [event.clientX, event.clientY];
    this.svg.setAttribute("viewBox", this.view.join(" "));
  },
});

export default function (component) {
  const { parentElement, data, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".zones");
  const editor = (root.editor ??= new Editor(root));
  editor.update(data, { setStateValue, setTriggerValue });
}
