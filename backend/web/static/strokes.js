// Strokes, boxes and polygons while they are drawn: which points are kept, and how they are painted.

const SPACING_PX = 1.5; // least distance between points of a stroke, on the screen
const CLOSE_PX = 10; // a click this near to a polygon's first corner closes it
const SAME_PX = 0.3; // of the frame: corners nearer than this are one

// Add a point to a stroke or set the other corner of a box; ``scale`` is screen px a frame px.
export function extend(stroke, point, scale) {
  const last = stroke.points.at(-1);
  if (stroke.kind === "box") stroke.points[1] = point;
  else if (Math.hypot(point[0] - last[0], point[1] - last[1]) * scale > SPACING_PX) stroke.points.push(point);
}

// Whether a click closes the polygon with these corners.
export function closes(points, point, scale) {
  return points.length > 2 && Math.hypot(point[0] - points[0][0], point[1] - points[0][1]) * scale < CLOSE_PX;
}

// Corners without those that repeat the one before.
export function withoutRepeats(points) {
  return points.filter((point, k) => !k || Math.hypot(point[0] - points[k - 1][0], point[1] - points[k - 1][1]) > SAME_PX);
}

export function rounded(points) {
  return points.map((point) => point.map((value) => Math.round(value * 100) / 100));
}

// Paint a stroke that is being drawn or waits for the server; in frame coordinates. ``cursor``: only the brush's circle.
export function paintStroke(paper, { kind, points, radius, colour, negative, cursor }, scale) {
  paper.lineCap = paper.lineJoin = "round";
  paper.strokeStyle = negative ? "#ff3b30" : colour;
  const thin = 1.5 / scale;
  paper.beginPath();
  if (kind === "box") {
    const [a, b] = [points[0], points.at(-1)];
    paper.lineWidth = 2 * thin;
    paper.strokeRect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
    return;
  }
  if (cursor) {
    paper.lineWidth = thin;
    paper.arc(points[0][0], points[0][1], radius, 0, 7);
    paper.stroke();
    return;
  }
  points.forEach(([x, y], k) => (k ? paper.lineTo(x, y) : paper.moveTo(x, y)));
  if (kind === "polygon") {
    paper.lineWidth = 2 * thin;
    paper.stroke();
    for (const [x, y] of points) paper.strokeRect(x - 2 * thin, y - 2 * thin, 4 * thin, 4 * thin);
    return;
  }
  if (points.length === 1) paper.lineTo(points[0][0] + 0.01, points[0][1]);
  const filled = kind === "brush" || kind === "eraser";
  paper.globalAlpha = filled ? 0.55 : 0.95;
  if (!filled) {
    paper.lineWidth = 2 * radius + 2 * thin;
    paper.strokeStyle = "#000000a0";
    paper.stroke();
    paper.strokeStyle = negative ? "#ff3b30" : "#ffffff";
  }
  if (kind === "eraser") paper.strokeStyle = "#ff3b30";
  paper.lineWidth = 2 * radius;
  paper.stroke();
  paper.globalAlpha = 1;
}
