// The tabs of the side panel: doubts; birds; audit and history.

import { byId, set } from "./state.js";

const TABS = ["doubts", "birds", "audit"];

export function showTab(name) {
  for (const tab of TABS) {
    byId(tab).hidden = tab !== name;
    byId(`tab-${tab}`).ariaSelected = String(tab === name);
  }
  set({});
}

for (const tab of TABS) byId(`tab-${tab}`).addEventListener("click", () => showTab(tab));
showTab("doubts");
