// Corrections of the selected bird: names, swaps, splits, links, masks. Each is previewed before it is applied.

import * as api from "./api.js";
import { apply, preview, scope } from "./change_preview.js";
import { startDrawing } from "./mask_drawing.js";
import { app, byId, colourOf, element, goTo, listen, nameOf, say, set } from "./state.js";
import { selectedRow, visibleAt } from "./tracks.js";

const NUMBER_KEYS = 9;
const REVIEWED_S = 60; // marked as reviewed at once where no end frame is given
const STATES = ["detected", "interpolated", "lost"]; // by `State` of the tracks

function hasBird() {
  if (app.selected === null) say("Select a bird first: click it, or press Tab");
  return app.selected !== null;
}

function ofSelected(kind, more = {}) {
  if (hasBird()) preview({ kind, track: app.selected, frame: app.frame, ...more });
}

export const corrections = {
  name: (identity) => ofSelected("name", { identity, exchange: byId("exchange").checked }),
  swap() {
    if (!hasBird()) return;
    const swap = (other) => ofSelected("swap", { other });
    if (app.other !== null) swap(app.other);
    else set({ picking: { hint: "Click the bird to swap with", take: (row) => set({ other: row.track }) || swap(row.track) } });
  },
  merge() {
    if (!hasBird()) return;
    const merge = (row) => preview({ kind: "merge", track: app.selected, other: row.track, frame: row.frame, to: "end" });
    set({ picking: { hint: "Click the track that is the same bird", take: merge } });
  },
  split: () => ofSelected("split"),
  unlink: () => ofSelected("unlink"),
  lost: () => ofSelected("lost"),
  not_a_bird: () => ofSelected("not_a_bird"),
  draw: startDrawing,
  async link() {
    if (!hasBird()) return;
    try {
      const { candidates } = await api.json(`gaps/${app.selected}/${app.frame}`);
      byId("candidates").replaceChildren(...candidates.map((track) => candidate(track)));
      byId("candidates").hidden = false;
      if (!candidates.length) say("No unassigned track begins after this bird was last seen");
    } catch (error) {
      say(error.message, true);
    }
  },
  reviewed() {
    const { fps, frames } = app.server.video;
    const end = scope();
    preview({ kind: "reviewed", frame: app.frame, to: typeof end === "number" ? end : Math.min(app.frame + Math.round(REVIEWED_S * fps), frames) });
  },
  rename() {
    const row = selectedRow();
    const name = byId("new-name").value.trim();
    if (row && row.identity >= 0 && name) preview({ kind: "rename", identity: nameOf(row), new: name });
    else say("Select a named bird and type its new name");
  },
};

// A track that the selected bird may have come back as.
function candidate({ track, frame, gap_s, apart_px }) {
  const button = element("button", { type: "button", textContent: `track ${track} from frame ${frame}: ${gap_s} s later, ${apart_px} px away` });
  button.addEventListener("click", () => {
    goTo(frame);
    preview({ kind: "link", track: app.selected, other: track, frame });
  });
  return element("li", {}, button);
}

// Select the next bird in the frame, or the previous one.
export function cycle(step) {
  const tracks = visibleAt(app.frame).map(({ track }) => track);
  if (!tracks.length) return;
  const index = tracks.indexOf(app.selected);
  set({ selected: tracks[(index + step + tracks.length) % tracks.length], other: null });
}

// The key numbers stand on the buttons: names are in the order of the tracks, not of the alphabet.
function paletteButton({ name, colour }, index) {
  const hasKey = index < NUMBER_KEYS;
  const key = element("kbd", { textContent: hasKey ? String(index + 1) : "", hidden: !hasKey });
  const button = element("button", { type: "button", title: name }, element("i"), element("span", { textContent: name }), key);
  button.firstChild.style.background = colour;
  button.addEventListener("click", () => corrections.name(name));
  return button;
}

// The name of the palette's button with this number key.
export function nameByKey(number) {
  const bird = app.server.birds[number - 1];
  if (bird) corrections.name(bird.name);
}

listen(() => {
  const row = selectedRow();
  byId("chosen-bird").textContent = app.selected === null ? "No bird selected" : row ? nameOf(row) : `track ${app.selected}, not in this frame`;
  byId("chosen-colour").style.background = row ? colourOf(row.identity) : "transparent";
  const certainty = row && !Number.isNaN(row.p) ? `, ${Math.round(100 * row.p)} % certain` : "";
  byId("chosen-facts").textContent = row ? `${STATES[row.state]}${certainty}` : "";
  byId("palette").replaceChildren(...app.server.birds.map(paletteButton));
  byId("scope-frame").hidden = byId("scope").value !== "frame";
});

for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => corrections[button.dataset.act]());
byId("scope").addEventListener("change", () => set({}));
byId("new-name").addEventListener("keydown", (event) => {
  const name = event.target.value.trim();
  if (event.key !== "Enter" || !name) return;
  const { request } = app.preview ?? {};
  if (request?.kind === "name" && request.identity === name && request.track === app.selected && request.frame === app.frame) apply(); // a second Enter
  else corrections.name(name);
});
