// The file picker's page side. Python lists one folder at a time and checks every path again;
// here are only drawing, keyboard and ticks.
//   arrow keys, Home, End: move     Enter, right: open folder or tick file     Backspace, left: folder above
//   Space: tick     letters: jump to a name     Ctrl+Enter: choose what is ticked

const ICONS = {
  folder: "M2 5h5l2 2h7v8H2z",
  file: "M4 2h7l4 4v11H4z M11 2v4h4",
};
const JUMP_PAUSE_MS = 700;

export default function (component) {
  const { parentElement, data, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".picker");
  const picker = (root.picker ??= { ticked: new Set(), filter: "", here: 0, typed: "", typedAt: 0, folder: "" });
  const wasInList = root.contains(root.getRootNode().activeElement) && picker.inList;
  if (picker.folder !== data.folder) {
    Object.assign(picker, { ticked: new Set(), filter: "", here: 0, folder: data.folder });
  }
  picker.open = (path) => setStateValue("folder", path);
  picker.choose = () => {
    setTriggerValue("chosen", [...picker.ticked]);
    picker.ticked.clear();
  };
  draw(root, data, picker);
  if (wasInList) root.querySelector(".list").focus();
}

function draw(root, data, picker) {
  const list = element("div", "list", { tabindex: "0", role: "listbox", "aria-label": "Files and folders" });
  list.setAttribute("aria-multiselectable", String(data.several));
  const foot = element("div", "foot");
  root.replaceChildren(bar(data, picker, () => fill(list, foot, data, picker)), list, foot);
  list.addEventListener("focus", () => (picker.inList = true));
  list.addEventListener("blur", () => (picker.inList = false));
  list.addEventListener("keydown", (event) => onKey(event, list, foot, data, picker));
  fill(list, foot, data, picker);
}

function bar(data, picker, refill) {
  const top = element("div", "bar");
  if (data.roots.length > 1) {
    const select = element("select", "", { "aria-label": "Allowed folders" });
    for (const path of data.roots) {
      const option = element("option", "", { value: path });
      option.textContent = path;
      option.selected = data.trail.length > 0 && data.trail[0].path === path;
      select.append(option);
    }
    select.addEventListener("change", () => picker.open(select.value));
    top.append(select);
  }
  const trail = element("nav", "trail", { "aria-label": "Folder" });
  data.trail.forEach((step, index) => {
    if (index > 0) trail.append(Object.assign(element("span"), { textContent: "/" }));
    const button = Object.assign(element("button"), { type: "button", textContent: step.name });
    if (index === data.trail.length - 1) button.setAttribute("aria-current", "page");
    else button.addEventListener("click", () => picker.open(step.path));
    trail.append(button);
  });
  const filter = element("input", "", { type: "search", placeholder: "Filter", "aria-label": "Filter by name" });
  filter.value = picker.filter;
  filter.addEventListener("input", () => {
    picker.filter = filter.value;
    picker.here = 0;
    refill();
  });
  top.append(trail, filter);
  return top;
}

function visible(data, picker) {
  const wanted = picker.filter.trim().toLowerCase();
  return data.entries.filter((entry) => entry.name.toLowerCase().includes(wanted));
}

function fill(list, foot, data, picker) {
  const entries = visible(data, picker);
  picker.here = Math.max(0, Math.min(picker.here, entries.length - 1));
  list.replaceChildren(...entries.map((entry, index) => row(entry, index, list, foot, data, picker)));
  if (entries.length === 0) {
    list.append(Object.assign(element("div", "empty"), { textContent: emptyText(data, picker) }));
  }
  list.children[picker.here]?.scrollIntoView({ block: "nearest" });
  fillFoot(list, foot, data, picker);
}

function emptyText(data, picker) {
  if (picker.filter) return `No match for “${picker.filter}”.`;
  return data.kind === "folder" ? "No folders here." : `No folders and no ${data.kind} files here.`;
}

function row(entry, index, list, foot, data, picker) {
  const line = element("div", "row", { role: "option" });
  const tickable = canTick(entry, data);
  line.classList.toggle("here", index === picker.here);
  line.classList.toggle("ticked", picker.ticked.has(entry.path));
  line.setAttribute("aria-selected", String(picker.ticked.has(entry.path)));
  const tick = element("span", tickable ? "tick" : "");
  const name = Object.assign(element("span", "name"), { textContent: entry.name, title: entry.name });
  const size = Object.assign(element("span", "size"), { textContent: entry.folder ? "" : bytes(entry.size) });
  const date = Object.assign(element("span", "date"), { textContent: day(entry.modified) });
  line.append(tick, icon(entry.folder ? "folder" : "file"), name, size, date);
  line.addEventListener("click", (event) => {
    picker.here = index;
    const onTick = event.target === tick;
    if (entry.folder && !(onTick && tickable)) picker.open(entry.path);
    else toggle(entry, data, picker);
    fill(list, foot, data, picker);
    list.focus();
  });
  return line;
}

function fillFoot(list, foot, data, picker) {
  const count = picker.ticked.size;
  const hint = element("span", "hint");
  hint.textContent = count
    ? `${count} selected`
    : "Arrow keys move, Enter opens, Space selects, Backspace goes up.";
  if (data.hidden) hint.textContent += ` ${data.hidden} more entries are not shown; choose a smaller folder.`;
  const button = Object.assign(element("button"), { type: "button", textContent: data.action, disabled: count === 0 });
  button.addEventListener("click", () => {
    picker.choose();
    fill(list, foot, data, picker);
  });
  foot.replaceChildren(hint, button);
}

function onKey(event, list, foot, data, picker) {
  const entries = visible(data, picker);
  const entry = entries[picker.here];
  const last = entries.length - 1;
  const moves = { ArrowDown: picker.here + 1, ArrowUp: picker.here - 1, Home: 0, End: last, PageDown: picker.here + 8, PageUp: picker.here - 8 };
  if (event.key in moves) picker.here = Math.max(0, Math.min(last, moves[event.key]));
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) picker.ticked.size && picker.choose();
  else if ((event.key === "Enter" || event.key === "ArrowRight") && entry?.folder) picker.open(entry.path);
  else if ((event.key === "Enter" || event.key === " ") && entry) toggle(entry, data, picker);
  else if (event.key === "Backspace" || event.key === "ArrowLeft") goUp(data, picker);
  else if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) jump(event, entries, picker);
  else return;
  event.preventDefault();
  fill(list, foot, data, picker);
}

function goUp(data, picker) {
  const above = data.trail[data.trail.length - 2];
  if (above) picker.open(above.path);
}

function jump(event, entries, picker) {
  picker.typed = event.timeStamp - picker.typedAt < JUMP_PAUSE_MS ? picker.typed + event.key : event.key;
  picker.typedAt = event.timeStamp;
  const found = entries.findIndex((entry) => entry.name.toLowerCase().startsWith(picker.typed.toLowerCase()));
  if (found >= 0) picker.here = found;
}

function canTick(entry, data) {
  return entry.folder === (data.kind === "folder");
}

function toggle(entry, data, picker) {
  if (!canTick(entry, data)) return;
  const had = picker.ticked.delete(entry.path);
  if (!data.several) picker.ticked.clear();
  if (!had) picker.ticked.add(entry.path);
}

function element(tag, className = "", attributes = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 18 18");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; size >= 1000 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit ? size.toFixed(1) : size} ${units[unit]}`;
}

function day(seconds) {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: "medium" });
}
