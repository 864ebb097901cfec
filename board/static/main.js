// Puts the parts together: connection, top line, player, history.

import * as api from "./api.js";
import { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "./state.js";
import { prefetch, usefulWidth } from "./pictures.js";
import { fit, scale, shownFrame } from "./view.js";
import "./cards.js";
import "./acts.js";
import "./lanes.js";
import "./keys.js";

const CONNECTION = {
  connected: "Connected", lost: "Connection lost, trying again…", "signed-out": "Signed out: reload to sign in",
};
const PLACE = `board-frame ${location.pathname}`;
const ACTS = {
  name: "named", swap: "swapped", unlink: "not told apart", merge: "merged", link: "linked", lost: "lost",
  not_a_bird: "no bird", draw: "drawn", keep: "answered", unsure: "unsure", audit: "audited", reviewed: "watched",
  rename: "renamed", undo: "undone",
};

api.on("connection", (now) => {
  byId("connection").className = now;
  byId("connection-words").textContent = CONNECTION[now];
});
api.on("refused", (message) => say(message, true));
api.on("queue", (queue) => {
  byId("saved").textContent = queue.length ? `Saving ${queue.length}…` : "All saved";
  byId("saved").className = queue.length ? "waits" : "";
  set({});
});
api.on("state", (server) => {
  const first = app.server === null;
  set({ server });
  if (first) begin(server);
});

function begin(server) {
  document.title = `${server.video.name} - Board`;
  byId("video").textContent = server.video.name;
  byId("last").textContent = `of ${lastFrame()}`;
  byId("frame").max = byId("scope-frame").max = lastFrame();
  if (server.back) byId("home").href = server.back;
  else byId("home").hidden = true;
  const kept = Number(new URLSearchParams(location.search).get("frame") ?? sessionStorage.getItem(PLACE) ?? 0);
  if (!server.doubts.open) goTo(Number.isFinite(kept) ? kept : 0);
}

listen(() => {
  const { server } = app;
  if (document.activeElement !== byId("frame")) byId("frame").value = app.frame;
  byId("time").textContent = clock(app.frame);
  byId("undo").disabled = !server.undo;
  byId("redo").disabled = !server.redo;
  byId("undo").title = server.undo ? `Undo: ${ACTS[server.undo.act] ?? server.undo.act} by ${server.undo.who} (Ctrl+Z)` : "Nothing to undo";
  byId("play").textContent = app.playing > 0 ? "Stop" : "Play";
  byId("backward").textContent = app.playing < 0 ? "Stop" : "Back";
  byId("speed").value = String(app.speed);
  byId("zoom").textContent = `${Math.round(scale() * 100)} %`;
  byId("share").textContent = `Watched ${(100 * server.reviewed).toFixed(1)} %`;
  byId("who").textContent = server.who || "no name given";
  history(server);
  try {
    sessionStorage.setItem(PLACE, app.frame);
  } catch {
    // no storage: the page begins at the first doubt next time
  }
});

let drawn = -1;
function history(server) {
  if (drawn === server.version) return;
  drawn = server.version;
  byId("history").replaceChildren(...[...server.recent].reverse().map((act) => {
    const words = `${ACTS[act.act] ?? act.act}${act.frame === null ? "" : `, frame ${act.frame}`}`;
    const line = element("button", { type: "button", textContent: words, title: act.why || act.when });
    if (act.frame !== null) line.addEventListener("click", () => goTo(act.frame));
    return element("li", {}, line, element("span", { textContent: act.who }));
  }));
  byId("problems").replaceChildren(...server.problems.map(({ act, why }) => element("li", { textContent: `${act}: ${why}` })));
  byId("problems-part").hidden = !server.problems.length;
  const pairs = server.agreement.pairs.map(({ people, doubts, kappa }) =>
    element("li", { textContent: `${people.join(" and ")}: ${doubts} doubts, kappa ${kappa === null ? "not defined" : kappa.toFixed(2)}` }));
  const differ = server.agreement.differ.map((doubt) => element("li", { textContent: `They differ on doubt ${doubt}` }));
  byId("agreement").replaceChildren(...pairs, ...differ);
  byId("agreement-part").hidden = !pairs.length;
}

// the player shows every frame, as fast as it should or the pictures come

let due = 0;
function tick(now) {
  if (app.playing && app.server) {
    const end = app.playing > 0 ? lastFrame() : 0;
    if (app.frame === end) set({ playing: 0 });
    else if (now >= due && shownFrame() === app.frame) {
      due = Math.max(due + 1000 / (app.server.video.fps * app.speed), now - 100);
      goTo(app.frame + app.playing);
    }
    prefetch(app.frame, usefulWidth(scale()), app.playing);
  }
  requestAnimationFrame(tick);
}
requestAnimationFrame(tick);

byId("frame").addEventListener("change", (event) => {
  set({ playing: 0 });
  goTo(Number(event.target.value) || 0);
  event.target.blur();
});
byId("play").addEventListener("click", () => set({ playing: app.playing > 0 ? 0 : 1 }));
byId("backward").addEventListener("click", () => set({ playing: app.playing < 0 ? 0 : -1 }));
byId("speed").addEventListener("change", (event) => set({ speed: Number(event.target.value) }));
byId("undo").addEventListener("click", () => api.turn("undo"));
byId("redo").addEventListener("click", () => api.turn("redo"));
byId("fit").addEventListener("click", fit);
api.start();
