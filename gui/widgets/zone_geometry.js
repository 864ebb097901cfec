// Shapes in px of the frame: what the zone editor needs to draw, check and change polygons. No DOM here.

const CIRCLE_CORNERS = 32;
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"];

function clamped([x, y], [width, height]) {
  return [round(Math.min(Math.max(x, 0), width)), round(Math.min(Math.max(y, 0), height))];
}

function round(value) {
  return Math.round(value * 10) / 10;
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function rectangleOf(a, b) {
  return [[a[0], a[1]], [b[0], a[1]], [b[0], b[1]], [a[0], b[1]]];
}

function circleOf(centre, rim, size) {
  const radius = distance(centre, rim);
  return Array.from({ length: CIRCLE_CORNERS }, (_, k) => {
    const angle = (2 * Math.PI * k) / CIRCLE_CORNERS;
    return clamped([centre[0] + radius * Math.cos(angle), centre[1] + radius * Math.sin(angle)], size);
  });
}

function moved(shape, dx, dy, [width, height]) {
  // the whole shape stops at the frame's sides
  const xs = shape.map((p) => p[0]), ys = shape.map((p) => p[1]);
  const x = Math.min(Math.max(dx, -Math.min(...xs)), width - Math.max(...xs));
  const y = Math.min(Math.max(dy, -Math.min(...ys)), height - Math.max(...ys));
  return shape.map((p) => [round(p[0] + x), round(p[1] + y)]);
}

function side(a, b, c) {
  return Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));
}

function crossing(shape) {
  // the first place where two sides that are not neighbours cross; null for a sound polygon
  const n = shape.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      if (i === 0 && j === n - 1) continue;
      const [a, b, c, d] = [shape[i], shape[(i + 1) % n], shape[j], shape[(j + 1) % n]];
      if (side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0) return crossPoint(a, b, c, d);
    }
  }
  return null;
}

function crossPoint(a, b, c, d) {
  const r = [b[0] - a[0], b[1] - a[1]], s = [d[0] - c[0], d[1] - c[1]];
  const t = ((c[0] - a[0]) * s[1] - (c[1] - a[1]) * s[0]) / (r[0] * s[1] - r[1] * s[0]);
  return [round(a[0] + t * r[0]), round(a[1] + t * r[1])];
}

function centreOf(shape) {
  const sum = shape.reduce((total, p) => [total[0] + p[0], total[1] + p[1]], [0, 0]);
  return [sum[0] / shape.length, sum[1] / shape.length];
}

function freeName(zones, kind) {
  const base = { hidden: "nest box", entry: "entry", border: "border" }[kind] ?? "zone";
  for (let k = 1; ; k++) {
    const name = `${base} ${k}`;
    if (!zones.some((zone) => zone.name === name)) return name;
  }
}

function newZone(zones, shape) {
  const id = Math.max(0, ...zones.map((zone) => zone.id)) + 1;
  return {
    id, name: freeName(zones, "open"), kind: "open", group: "", colour: COLOURS[(id - 1) % COLOURS.length],
    shape, in_share: 0.7, out_share: 0.5, min_stay_s: 0.5,
  };
}

// Snapshots of a small document: undo and redo.
class History {
  constructor(content) {
    this.past = [];
    this.future = [];
    this.now = JSON.stringify(content);
  }

  push(content) {
    const text = JSON.stringify(content);
    if (text === this.now) return false;
    this.past.push(this.now);
    this.future = [];
    this.now = text;
    return true;
  }

  step(from, to) {
    if (!from.length) return null;
    to.push(this.now);
    this.now = from.pop();
    return JSON.parse(this.now);
  }

  undo() {
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }
}
