// Around every page's video frame: connection, unsaved changes, links to the app, and the player.

import { app, byId, clock, element, goTo, lastFrame, listen, say, set } from "./page.js";
import { discardFirst, on, pending } from "./server.js";

const CONNECTION = {
  connected: "Connected", lost: "Connection lost, trying again…", "signed-out": "Signed out: reload to sign in",
};

on("connection", (now) => {
  byId("connection").className = now;
  byId("connection-words").textContent = CONNECTION[now];
});
on("refused", (message) => say(message, true));

const DISCARD_AFTER = 5; // failures of one change before the page offers to discard it
const QUESTION = "The server failed to save this change several times; the reason is in its log. Discard this change, so that the later ones can be saved?";
let failing = null;
const discard = element("button", { type: "button", id: "discard", textContent: "Discard this change", title: QUESTION, hidden: true });
discard.addEventListener("click", () => confirm(QUESTION) && discardFirst());
byId("saved").after(discard);

on("failing", (now) => {
  if (now && now.message !== failing?.message) say(`Not saved: ${now.message}`, true);
  failing = now;
  discard.hidden = !now || now.times < DISCARD_AFTER;
  drawQueue();
});
on("queue", drawQueue);

function drawQueue() {
  const waiting = pending().length;
  const saved = byId("saved");
  saved.textContent = !waiting ? "All saved" : failing ? `${waiting} not saved` : `Saving ${waiting}…`;
  saved.title = (waiting && failing?.message) || "";
  saved.className = waiting ? "waits" : "";
  set({});
}

// Fill in the header, and return the frame to open: from the address, from this tab's last visit, else ``frame``.
export function openPage(server, title, frame = 0) {
  document.title = `${server.video.name} - ${title}`;
  byId("video").textContent = server.video.name;
  byId("last").textContent = `of ${lastFrame()}`;
  byId("frame").max = lastFrame();
  byId("home").href = server.app;
  byId("guide").href = server.app + byId("guide").dataset.section;
  byId("home").hidden = byId("guide").hidden = !server.app;
  const key = `${title} frame ${server.of}`;
  const kept = Number(new URLSearchParams(location.search).get("frame") ?? sessionStorage.getItem(key) ?? frame);
  listen(() => {
    try {
      sessionStorage.setItem(key, app.frame);
    } catch {
      // no storage: next time the page opens at its default frame
    }
  });
  return Number.isFinite(kept) ? kept : 0;
}

// The player skips no frame: it goes on at the video's speed, or as fast as the frames arrive.
export function player({ view, readAhead }) {
  let due = 0;
  const tick = (now) => {
    if (app.playing && app.server) {
      const end = app.playing > 0 ? lastFrame() : 0;
      if (app.frame === end) set({ playing: 0 });
      else if (now >= due && view.shownFrame() === app.frame) {
        due = Math.max(due + 1000 / (app.server.video.fps * app.speed), now - 100);
        goTo(app.frame + app.playing);
      }
      readAhead(app.playing);
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  listen(() => {
    if (document.activeElement !== byId("frame")) byId("frame").value = app.frame;
    byId("time").textContent = clock(app.frame);
    byId("play").textContent = app.playing > 0 ? "Pause" : "Play";
    byId("zoom").textContent = `${Math.round(view.scale() * 100)} %`;
  });
  byId("frame").addEventListener("change", (event) => {
    set({ playing: 0 });
    goTo(Number(event.target.value) || 0);
    byId("view").focus();
  });
  byId("play").addEventListener("click", () => set({ playing: app.playing > 0 ? 0 : 1 }));
  byId("fit").addEventListener("click", view.fit);
}
