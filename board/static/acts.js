// Free work on the chosen bird: what an act would change is said first; Enter or the button does it.

import * as api from "./api.js";
import { app, byId, clock, colourOf, element, goTo, listen, nameOf, say, set } from "./state.js";
import { rowsAt, seenAt } from "./tracks.js";
import { begin } from "./drawing.js";

let auditing = null; // {frame, track}
let asked = 0; // what was asked last counts

function scope() {
  const chosen = byId("scope").value;
  return chosen === "frame" ? Number(byId("scope-frame").value) : chosen;
}

export function row() {
  return rowsAt(app.frame).find((each) => each.track === app.selected) ?? null;
}

// Ask the server what an act would do; the bar then shows it.
export async function ask(request) {
  const given = { to: scope(), ...request };
  const mine = ++asked;
  try {
    const told = await api.preview(given);
    if (mine === asked) set({ asking: { request: given, told } });
  } catch (error) {
    if (mine !== asked) return;
    say(error.message, true);
    set({ asking: null });
  }
}

export function confirm() {
  if (!app.asking || app.asking.told.problem) return;
  api.decide({ ...app.asking.request, why: byId("act-why").value }, app.asking.told);
  byId("act-why").value = "";
  set({ asking: null, other: null, drawing: null });
}

// What was asked last no longer counts, whether the server has answered or not.
export function withdraw() {
  asked++;
  set({ asking: null });
}

export function cancel() {
  withdraw();
  set({ picking: null, drawing: null });
}

function needBird() {
  if (app.selected === null) say("Choose a bird first: click it, or press Tab");
  return app.selected !== null;
}

export const acts = {
  name(identity) {
    if (needBird()) ask({ kind: "name", track: app.selected, frame: app.frame, identity, exchange: byId("exchange").checked });
  },
  swap() {
    if (!needBird()) return;
    const swap = (other) => ask({ kind: "swap", track: app.selected, other, frame: app.frame });
    if (app.other !== null) swap(app.other);
    else set({ picking: { what: "Click the bird to swap with", take: (found) => set({ other: found.track }) || swap(found.track) } });
  },
  merge() {
    if (!needBird()) return;
    const merge = (found) => ask({ kind: "merge", track: app.selected, other: found.track, frame: found.frame, to: "end" });
    set({ picking: { what: "Click the track that is the same bird", take: merge } });
  },
  split: () => needBird() && ask({ kind: "split", track: app.selected, frame: app.frame }),
  unlink: () => needBird() && ask({ kind: "unlink", track: app.selected, frame: app.frame }),
  lost: () => needBird() && ask({ kind: "lost", track: app.selected, frame: app.frame }),
  not_a_bird: () => needBird() && ask({ kind: "not_a_bird", track: app.selected, frame: app.frame }),
  draw: begin,
  async link() {
    if (!needBird()) return;
    try {
      const { candidates } = await api.json(`gaps/${app.selected}/${app.frame}`);
      byId("candidates").replaceChildren(...candidates.map((each) => candidate(each)));
      byId("candidates").hidden = false;
      if (!candidates.length) say("No unnamed track begins after this bird was last seen");
    } catch (error) {
      say(error.message, true);
    }
  },
  reviewed() {
    const to = scope();
    ask({ kind: "reviewed", frame: app.frame, to: typeof to === "number" ? to : Math.min(app.frame + Math.round(60 * app.server.video.fps), app.server.video.frames) });
  },
  rename() {
    const chosen = row();
    const name = byId("new-name").value.trim();
    if (chosen && chosen.identity >= 0 && name) ask({ kind: "rename", identity: nameOf(chosen), new: name });
    else say("Choose a named bird and write its new name");
  },
};

function candidate({ track, frame, gap_s, apart_px }) {
  const button = element("button", { type: "button", textContent: `track ${track}: frame ${frame}, after ${gap_s} s, ${apart_px} px away` });
  button.addEventListener("click", () => {
    goTo(frame);
    ask({ kind: "link", track: app.selected, other: track, frame });
  });
  return element("li", {}, button);
}

export function cycle(by) {
  const tracks = seenAt(app.frame).map((each) => each.track);
  if (!tracks.length) return;
  const at = tracks.indexOf(app.selected);
  set({ selected: tracks[(at + by + tracks.length) % tracks.length], other: null });
}

// audit: random moments, right or wrong

export async function auditNext() {
  try {
    const seed = Math.floor(Math.random() * 1e6);
    const { moment } = await api.json(`audit?seed=${seed}`);
    if (!moment) return say("There is no named bird to look at");
    auditing = moment;
    goTo(moment.frame);
    set({ selected: moment.track, playing: 0 });
  } catch (error) {
    say(error.message, true);
  }
}

export async function verdict(given) {
  if (!auditing) return;
  const request = { kind: "audit", ...auditing, verdict: given };
  try {
    const told = await api.preview(request);
    api.decide(request, told);
    auditNext();
  } catch (error) {
    say(error.message, true);
  }
}

export function isAuditing() {
  return auditing !== null && byId("audit").hidden === false;
}

function draw() {
  const chosen = row();
  byId("chosen-bird").textContent = app.selected === null ? "No bird chosen" : chosen ? nameOf(chosen) : `track ${app.selected}, not in this frame`;
  byId("chosen-colour").style.background = chosen ? colourOf(chosen.identity) : "transparent";
  byId("chosen-facts").textContent = chosen ? `${["seen", "interpolated", "lost"][chosen.state]}${chosen.p === chosen.p ? `, ${Math.round(100 * chosen.p)} % sure` : ""}` : "";
  byId("palette").replaceChildren(...app.server.birds.map(({ name, colour, code }) => {
    const button = element("button", { type: "button", title: code < 9 ? `Key ${code + 1}` : name }, element("i"), element("span", { textContent: name }));
    button.firstChild.style.background = colour;
    button.addEventListener("click", () => acts.name(name));
    return button;
  }));
  byId("scope-frame").hidden = byId("scope").value !== "frame";
  const { asking } = app;
  byId("asking").hidden = !asking;
  if (asking) {
    byId("asking-words").textContent = asking.told.problem || asking.told.words.join("; ");
    byId("asking-words").className = asking.told.problem ? "bad" : "";
    byId("do-it").disabled = Boolean(asking.told.problem);
  }
  const { share, low, high, decided, method } = app.server.audit;
  const percent = (value) => `${(100 * value).toFixed(1)} %`;
  byId("audit-result").textContent = decided
    ? `${decided} ${decided === 1 ? "moment" : "moments"}, ${percent(share)} wrong (${percent(low)} to ${percent(high)}; ${method}).`
    : "No moment was audited yet.";
  const here = auditing && auditing.frame === app.frame;
  byId("audit-question").textContent = here && chosen ? `Is this ${nameOf(chosen)}? Frame ${app.frame}, ${clock(app.frame)}` : "";
  byId("verdicts").hidden = !auditing;
}

for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => acts[button.dataset.act]());
byId("do-it").addEventListener("click", confirm);
byId("leave-it").addEventListener("click", cancel);
byId("scope").addEventListener("change", () => set({}));
byId("new-name").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.value.trim()) acts.name(event.target.value.trim());
});
byId("audit-next").addEventListener("click", auditNext);
for (const button of document.querySelectorAll("[data-verdict]")) button.addEventListener("click", () => verdict(button.dataset.verdict));
listen(draw);
