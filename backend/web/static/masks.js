// Label maps painted in colours: each object in its colour, its border opaque.

// Return a canvas of ``mask`` {width, height, labels}; ``colourOf(label)`` gives {colour: "#rrggbb", alpha: 0 to 255} or null.
export function painted({ width, height, labels }, colourOf) {
  const colours = new Uint32Array(256);
  const borders = new Uint32Array(256);
  for (const label of new Set(labels)) {
    const paint = label ? colourOf(label) : null;
    if (!paint) continue;
    const [red, green, blue] = [1, 3, 5].map((k) => parseInt(paint.colour.slice(k, k + 2), 16));
    const rgb = (blue << 16) | (green << 8) | red;
    colours[label] = ((paint.alpha << 24) | rgb) >>> 0;
    borders[label] = ((255 << 24) | rgb) >>> 0;
  }
  const image = new ImageData(Math.max(1, width), Math.max(1, height));
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      const label = labels[k];
      if (!label) continue;
      const inner = x > 0 && x < width - 1 && y > 0 && y < height - 1 && labels[k - 1] === label &&
        labels[k + 1] === label && labels[k - width] === label && labels[k + width] === label;
      pixels[k] = inner ? colours[label] : borders[label];
    }
  }
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// The label under a point of the frame; 0 where there is none.
export function labelIn(mask, [x, y]) {
  const [column, row] = [Math.floor(x) - mask.x, Math.floor(y) - mask.y];
  return column >= 0 && row >= 0 && column < mask.width && row < mask.height ? mask.labels[row * mask.width + column] : 0;
}

// {x, y, width, height, labels} from the server's answer: four uint32, then the labels of that box
export function parsed(data) {
  const [x, y, width, height] = new Uint32Array(data, 0, 4);
  return { x, y, width, height, labels: new Uint8Array(data, 16) };
}
