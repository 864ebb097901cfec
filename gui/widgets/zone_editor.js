// The zone editor: an SVG over a picture of the camera, in px of the frame. Nothing is saved until Save is pressed.
//   V select   P polygon   R rectangle   C circle   L scale line   G ground points
//   drawing by keyboard: arrow keys move the cross (Shift: 10 px, Alt: 1 px), Enter sets a point, F finishes
//   selecting: Tab or N next point, arrows move it (or the zone), I inserts a point, Delete removes point or zone
//   Ctrl+Z undo, Ctrl+Y redo, + - zoom, 0 whole picture, Esc leave off, Ctrl+S save

const SVG = "http://www.w3.org/2000/svg";
const TOOLS = {
  select: ["V", "Select", "Click a zone and drag its points. Drag a small point to add a corner. Delete removes."],
  polygon: ["P", "Polygon", "Click the corners; click the first one again, double-click or press F to finish."],
  rectangle: ["R", "Rectangle", "Drag from corner to corner, or set two corners with Enter."],
  circle: ["C", "Circle", "Drag from the centre to the rim, or set both with Enter."],
  line: ["L", "Scale line", "Set two ends of something whose length you know."],
  ground: ["G", "Ground points", "Set four points whose ground coordinates you know."],
};
const NEEDED = { rectangle: 2, circle: 2, line: 2, ground: 4 };
const REACH_PX = 9; // on the screen

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

class Editor {
  constructor(root) {
    Object.assign(this, { root, tool: "select", zone: null, vertex: null, draft: [], loaded: null, dirty: false, kept: new Map() });
    this.bar = element("div", "bar", { role: "toolbar", "aria-label": "Tools" });
    this.stage = element("div", "stage");
    this.svg = shape("svg", { tabindex: 0, role: "application", "aria-label": "Zones over the picture" });
    this.image = shape("image", { x: 0, y: 0 });
    this.overlay = shape("g", {});
    this.svg.append(this.image, this.overlay);
    this.stage.append(this.svg);
    this.panel = element("div", "panel");
    this.foot = element("div", "foot");
    const body = element("div", "body");
    body.append(this.stage, this.panel);
    root.replaceChildren(this.bar, body, this.foot);
    this.svg.addEventListener("pointerdown", (event) => this.down(event));
    this.svg.addEventListener("pointermove", (event) => this.move(event));
    this.svg.addEventListener("pointerup", (event) => this.up(event));
    this.svg.addEventListener("dblclick", () => this.finish());
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    root.addEventListener("keydown", (event) => this.key(event));
  }

  update(data, send) {
    this.send = send;
    if (this.picture !== data.picture_id) {
      this.picture = data.picture_id;
      this.image.setAttribute("href", data.picture);
    }
    const known = this.loaded === data.loaded;
    if (!known) this.take(data);
    this.draw(!known); // a rerun of the page leaves alone what is being typed
  }

  // Another camera or version comes. What was not saved stays: on the screen if somebody else saved this camera's zones,
  // and in memory until the camera is chosen again.
  take(data) {
    const before = this.loaded?.slice(0, this.loaded.lastIndexOf(":")), here = data.loaded.slice(0, data.loaded.lastIndexOf(":"));
    if (this.dirty && before !== here) this.kept.set(before, { doc: this.doc, history: this.history, base: this.base });
    const unsaved = before === here ? this.dirty && data.loaded !== data.saved && this : this.kept.get(here);
    this.kept.delete(here);
    const chosen = before === here ? this.doc.zones[this.zone]?.id : undefined;
    this.load(data, unsaved || { doc: structuredClone(data.content), base: data.version }, chosen);
    if (unsaved) this.changed();
  }

  load(data, { doc, base, history = new History(doc) }, chosen) {
    Object.assign(this, { doc, base, history, loaded: data.loaded, newest: data, size: data.size, vertex: null, draft: [], dirty: false });
    this.zone = chosen === undefined ? null : doc.zones.findIndex((zone) => zone.id === chosen);
    this.cross = [this.size[0] / 2, this.size[1] / 2];
    this.view = [0, 0, this.size[0], this.size[1]];
    this.image.setAttribute("width", this.size[0]);
    this.image.setAttribute("height", this.size[1]);
  }

  loadNewest() {
    this.load(this.newest, { doc: structuredClone(this.newest.content), base: this.newest.version });
    this.send.setStateValue("dirty", "");
    this.draw();
  }

  draw(panel = true) {
    const [x, y, w, h] = this.view;
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
    this.unit = w / (this.svg.clientWidth || w); // px of the frame a px of the screen
    const parts = this.doc.zones.flatMap((zone, k) => this.zoneParts(zone, k));
    this.overlay.replaceChildren(...parts, ...this.scaleParts(), ...this.draftParts());
    this.drawBar();
    if (panel) drawPanel(this);
    this.drawFoot();
  }

  zoneParts(zone, k) {
    const chosen = k === this.zone, u = this.unit;
    const colour = crossing(zone.shape) ? "#d32f2f" : zone.colour || COLOURS[k % COLOURS.length];
    const parts = [
      shape("polygon", {
        points: zone.shape.map((p) => p.join(",")).join(" "), fill: colour, "fill-opacity": chosen ? 0.32 : 0.18, stroke: colour,
        "stroke-width": (chosen ? 3 : 2) * u, "data-zone": k, class: "area", "stroke-dasharray": zone.kind === "hidden" ? `${8 * u} ${5 * u}` : "none",
      }),
    ];
    const [x, y] = this.labelPlace(zone);
    const text = shape("text", { x, y, "font-size": 14 * u, "stroke-width": 3 * u, class: "name" });
    text.textContent = zone.name;
    parts.push(text);
    if (!chosen || this.tool !== "select") return parts;
    zone.shape.forEach((p, v) => {
      const next = zone.shape[(v + 1) % zone.shape.length];
      const half = [(p[0] + next[0]) / 2, (p[1] + next[1]) / 2];
      parts.push(shape("circle", { cx: half[0], cy: half[1], r: 3.5 * u, class: "half", "data-zone": k, "data-after": v }));
    });
    zone.shape.forEach((p, v) => {
      const here = v === this.vertex;
      parts.push(shape("circle", { cx: p[0], cy: p[1], r: (here ? 8 : 5.5) * u, "stroke-width": 2 * u, class: here ? "point here" : "point", "data-zone": k, "data-vertex": v }));
    });
    return parts;
  }

  labelPlace(zone) {
    const [x, y] = centreOf(zone.shape), half = Math.min(this.size[0] / 2, zone.name.length * 4.2 * this.unit);
    return [Math.min(Math.max(x, half), this.size[0] - half), Math.min(Math.max(y, 10 * this.unit), this.size[1] - 10 * this.unit)];
  }

  scaleParts() {
    const { scale } = this.doc, u = this.unit;
    const points = scale?.line ?? scale?.points ?? [];
    const parts = points.map((p) => shape("circle", { cx: p[0], cy: p[1], r: 4 * u, class: "scale" }));
    if (points.length) parts.push(shape("polygon", { points: points.map((p) => p.join(",")).join(" "), class: "scaleline", "stroke-width": 2 * u, "stroke-dasharray": `${4 * u} ${4 * u}` }));
    points.forEach((p, k) => {
      const text = shape("text", { x: p[0], y: p[1] - 8 * u, "font-size": 12 * u, "stroke-width": 3 * u, class: "name" });
      text.textContent = scale.line ? (k ? "" : `${scale.length_m} m`) : `${k + 1}`;
      parts.push(text);
    });
    return parts;
  }

  draftParts() {
    if (this.tool === "select") return [];
    const u = this.unit, points = [...this.draft, this.cross];
    let outline = points;
    if (this.tool === "rectangle" && this.draft.length) outline = rectangleOf(this.draft[0], this.cross);
    if (this.tool === "circle" && this.draft.length) outline = circleOf(this.draft[0], this.cross, this.size);
    const closed = ["rectangle", "circle"].includes(this.tool) ? "polygon" : "polyline";
    const parts = [shape(closed, { points: outline.map((p) => p.join(",")).join(" "), class: "draft", "stroke-width": 2 * u })];
    for (const p of this.draft) parts.push(shape("circle", { cx: p[0], cy: p[1], r: 5 * u, class: "point", "stroke-width": 2 * u }));
    const [x, y] = this.cross;
    for (const [dx, dy] of [[12, 0], [0, 12]]) parts.push(shape("line", { x1: x - dx * u, y1: y - dy * u, x2: x + dx * u, y2: y + dy * u, class: "cross", "stroke-width": 1.5 * u }));
    return parts;
  }

  drawBar() {
    const kept = this.bar.getRootNode().activeElement?.dataset?.tool;
    this.bar.replaceChildren(
      ...Object.entries(TOOLS).map(([name, [key, label]]) => {
        const button = element("button", "tool", { type: "button", "aria-pressed": String(name === this.tool), "data-tool": name, title: `${label} (${key})` }, label);
        button.addEventListener("click", () => this.use(name));
        return button;
      }),
      element("span", "grow"),
      this.command("Undo", "Ctrl+Z", this.history.past.length > 0, () => this.step("undo")),
      this.command("Redo", "Ctrl+Y", this.history.future.length > 0, () => this.step("redo")),
      this.command("Whole image", "0", this.view[2] < this.size[0], () => this.zoom(0)),
    );
    if (kept) this.bar.querySelector(`[data-tool="${kept}"]`)?.focus();
  }

  command(label, key, enabled, act, className = "tool") {
    const button = element("button", className, { type: "button", title: `${label} (${key})`, "data-tool": label }, label);
    button.disabled = !enabled;
    button.addEventListener("click", act);
    return button;
  }

  drawFoot() {
    const { version } = this.newest, stale = version !== this.base;
    const theirs = stale ? `; someone else saved version ${version}, so yours cannot be saved` : "";
    const words = `${this.size[0]} x ${this.size[1]} px · ${this.base ? `version ${this.base}` : "not saved yet"}${this.dirty ? ", changed" : ""}${theirs}`;
    this.foot.replaceChildren(
      element("span", "hint", {}, TOOLS[this.tool][2]), element("span", "soft", { role: "status" }, words),
      ...(stale ? [this.command(`Load version ${version}`, "discards your changes", true, () => this.loadNewest())] : []),
      this.command("Save", "Ctrl+S", this.dirty, () => this.save(false), "save"),
    );
  }

  use(tool) {
    Object.assign(this, { tool, draft: [] });
    this.draw();
    this.svg.focus();
  }

  select(zone, vertex) {
    Object.assign(this, { zone, vertex, tool: "select", draft: [] });
    this.draw();
  }

  commit() {
    if (this.history.push(this.doc)) this.changed();
    this.draw();
  }

  step(way) {
    const found = this.history[way]();
    if (found) {
      this.doc = found;
      this.vertex = null;
      this.changed();
    }
    this.draw();
  }

  changed() {
    if (!this.dirty) this.send.setStateValue("dirty", this.loaded);
    this.dirty = true;
  }

  save(repair) {
    if (this.dirty || repair) this.send.setTriggerValue("save", { zones: this.doc.zones, scale: this.doc.scale, base: this.base, repair });
  }

  removeZone() {
    this.doc.zones.splice(this.zone, 1);
    Object.assign(this, { zone: null, vertex: null });
    this.commit();
  }

  place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return clamped([point.x, point.y], this.size);
  }

  down(event) {
    if (event.button !== 0) return;
    this.svg.focus();
    this.svg.setPointerCapture(event.pointerId);
    this.cross = this.place(event);
    if (this.tool !== "select") return this.draws(() => (this.drag = { from: this.cross }));
    const { zone, vertex, after } = event.target.dataset;
    if (zone === undefined) {
      this.drag = { pan: [event.clientX, event.clientY] };
      return this.select(null, null);
    }
    const k = Number(zone);
    let at = vertex === undefined ? null : Number(vertex);
    if (after !== undefined) {
      at = Number(after) + 1;
      this.doc.zones[k].shape.splice(at, 0, this.cross);
    }
    this.drag = { from: this.cross, zone: k, vertex: at, shape: structuredClone(this.doc.zones[k].shape) };
    this.select(k, at);
  }

  draws(then) {
    if (this.tool === "polygon" && this.draft.length > 2 && distance(this.draft[0], this.cross) < REACH_PX * this.unit) return this.finish();
    this.add();
    then();
  }

  add() {
    const last = this.draft[this.draft.length - 1];
    if (last && distance(last, this.cross) < 0.5) return this.draw(); // the second click of a double one
    this.draft.push(this.cross);
    if (this.draft.length === NEEDED[this.tool]) this.finish();
    else this.draw();
  }

  move(event) {
    if (this.tool === "select" && !this.drag) return;
    const here = this.place(event);
    if (this.tool !== "select") {
      this.cross = here;
      return this.drawOverlay();
    }
    if (this.drag.pan) return this.pan(event);
    const { from, zone, vertex, shape: before } = this.drag;
    if (vertex === null) this.doc.zones[zone].shape = moved(before, here[0] - from[0], here[1] - from[1], this.size);
    else this.doc.zones[zone].shape[vertex] = here;
    this.drawOverlay();
  }

  drawOverlay() {
    this.overlay.replaceChildren(...this.doc.zones.flatMap((zone, k) => this.zoneParts(zone, k)), ...this.scaleParts(), ...this.draftParts());
  }

  up(event) {
    const drag = this.drag;
    this.drag = null;
    if (!drag || drag.pan) return;
    if (this.tool === "select") return this.commit();
    this.cross = this.place(event);
    if (NEEDED[this.tool] === 2 && this.draft.length === 1 && distance(drag.from, this.cross) > REACH_PX * this.unit) this.add();
  }

  finish() {
    const points = this.draft, tool = this.tool;
    this.draft = [];
    if (tool === "line" && points.length === 2) this.doc.scale = { kind: "length", unit: "m", line: points, length_m: 1 };
    else if (tool === "ground" && points.length === 4) this.doc.scale = { kind: "homography", unit: "m", image_to_ground: [], points, ground: [[0, 0], [1, 0], [1, 1], [0, 1]] };
    else if (tool === "polygon" ? points.length > 2 : points.length === 2) {
      const made = { polygon: () => points, rectangle: () => rectangleOf(...points), circle: () => circleOf(...points, this.size) }[tool]();
      this.doc.zones.push(newZone(this.doc.zones, made));
      Object.assign(this, { zone: this.doc.zones.length - 1, vertex: null, tool: "select" });
    }
    if (tool === "line" || tool === "ground") this.tool = "select";
    this.commit();
  }
}
