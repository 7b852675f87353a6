// Runs once the page is there. `element` holds it. One picture is asked about at a time; `list` holds all of a drop.
const page = element.querySelector(".page");
const chosen = element.querySelector(".drop input");
const shown = element.querySelector(".shown");
const work = element.querySelector(".work");
const said = work.querySelector("[role=status]");
const steps = element.querySelector(".list");
const narrow = matchMedia("(max-width: 760px)");
const still = matchMedia("(prefers-reduced-motion: reduce)");
const REFUSED = {
  401: "The login has ended; reload the page and log in again.",
  403: "The server refuses requests from this page; open it under the server's own address.",
  408: "The picture arrived too slowly; try again, or send a smaller one.",
  413: "The picture is too large for the server; choose a smaller one.",
  429: "Too many pictures are waiting; try again in a moment.",
  500: "The server failed on this picture; try again, and tell whoever runs the server if it fails again.",
  504: "The answer took too long; try again.",
};
let list = [];
let at = 0; // number of the picture that is shown
let turn = null; // AbortController of the work in progress; work with another one is out of date
let strength = 75;
let grid = false;
let plain = false; // without outline and saliency

function sentence(status) {
  if (status in REFUSED) return REFUSED[status];
  return status >= 500
    ? `The server, or what stands before it, does not answer (status ${status}); try again.`
    : `The server refused the picture (status ${status}); reload the page and try again.`;
}

async function ask(asked, signal) {
  const component = window.gradio_config.components.find((one) => one.type === "html");
  const body = JSON.stringify({ data: asked, component_id: component.id, fn_name: "answer", session_hash: "page" });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("gradio_api/component_server/", { method: "POST", body, headers, signal });
  if (!answer.ok) throw new Error(sentence(answer.status));
  const html = await answer.json().catch(() => null);
  if (typeof html !== "string") throw new Error("The answer cannot be read; try again.");
  return html;
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ name: file.name, data: reader.result.split(",")[1] ?? "" });
    reader.onerror = () => reject(new Error(`${file.name} cannot be read; choose it again.`));
    reader.readAsDataURL(file);
  });
}

async function predict(one, signal) {
  if (!one.file) return ask({ sample: one.sample }, signal);
  if (one.file.size > Number(page.dataset.maxBytes)) {
    throw new Error(`${one.name} is too large; choose a smaller picture.`);
  }
  return ask(await read(one.file), signal);
}

// A body may take as long as an answer; what takes longer than both was lost on the way.
function within(signal) {
  return AbortSignal.any([signal, AbortSignal.timeout((2 * Number(page.dataset.seconds) + 5) * 1000)]);
}

async function run() {
  const mine = new AbortController();
  turn = mine;
  const begun = Date.now();
  const clock = setInterval(() => tick(begun), 250);
  const items = list;
  const next = () => items.findIndex((one) => one.state === "waiting");
  for (let number = next(); number >= 0; number = next()) {
    const one = items[number];
    one.state = "working";
    tell(number, begun);
    try {
      one.html = await predict(one, within(mine.signal));
      one.state = "done";
    } catch (error) {
      one.state = "failed";
      one.why = why(error);
    }
    if (turn !== mine) break; // another drop has replaced this list
    if (mine.signal.aborted) halt();
    if (number === at || mine.signal.aborted) show(at);
    else label();
  }
  clearInterval(clock);
  if (turn !== mine) return;
  turn = null;
  finish();
}

function finish() {
  const done = list.filter((one) => one.state === "done").length;
  work.classList.remove("busy");
  said.textContent = list.length > 1 ? `${done} of ${list.length} pictures answered.` : done ? "Answered." : "Not answered.";
}

function why(error) {
  if (error.name === "TimeoutError") return "No answer came in time; try again.";
  if (error instanceof TypeError) return "The server cannot be reached; check the connection and try again.";
  return error.message;
}

function halt() {
  for (const one of list.filter((any) => any.state !== "done")) {
    one.state = "failed";
    one.why = `Stopped; nothing was predicted for ${one.name}.`;
  }
}

function tell(number, begun) {
  const bar = work.querySelector("progress");
  work.hidden = false;
  work.classList.add("busy");
  if (list.length > 1) bar.value = number / list.length;
  else bar.removeAttribute("value");
  const which = list.length > 1 ? ` (${number + 1} of ${list.length})` : "";
  said.textContent = `Predicting ${list[number].name}${which} …`;
  tick(begun);
  label();
}

function tick(begun) {
  work.querySelector(".seconds").textContent = `${Math.floor((Date.now() - begun) / 1000)} s`;
}

// A new drop or sample takes the place of everything before it.
function begin(items) {
  turn?.abort();
  list = items.map((one) => ({ ...one, state: "waiting" }));
  show(0);
  run();
}

function show(number) {
  at = number;
  const one = list[at];
  if (one.state === "done") shown.innerHTML = one.html;
  else if (one.state === "failed") refuse(one.why, true);
  else shown.replaceChildren();
  for (const input of shown.querySelectorAll(".strength input")) input.value = strength;
  for (const input of shown.querySelectorAll(".true-grid input")) input.checked = grid;
  for (const input of shown.querySelectorAll(".plain input")) input.checked = plain;
  label();
  const behavior = still.matches ? "auto" : "smooth";
  if (narrow.matches) element.querySelector(".side").scrollIntoView({ block: "start", behavior });
}

function label() {
  const marks = { waiting: "waiting", working: "in progress", done: "", failed: "failed" };
  steps.hidden = list.length < 2;
  const buttons = list.map((one, number) => {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    button.type = "button";
    button.dataset.number = number;
    button.textContent = [one.name, marks[one.state]].filter(Boolean).join(", ");
    if (number === at) button.setAttribute("aria-current", "true");
    return item;
  });
  const focused = steps.contains(document.activeElement) ? document.activeElement.dataset.number : undefined;
  steps.querySelector("ol").replaceChildren(...buttons);
  if (focused !== undefined) steps.querySelector(`[data-number="${focused}"]`)?.focus();
  for (const button of steps.querySelectorAll("[data-step]")) {
    button.disabled = !list[at + Number(button.dataset.step)];
  }
}

function refuse(reason, again = false) {
  const told = document.createElement("p");
  told.className = "wrong";
  told.setAttribute("role", "alert");
  told.textContent = reason;
  shown.replaceChildren(told);
  if (!again) return;
  const button = shown.appendChild(document.createElement("button"));
  button.type = "button";
  button.className = "again";
  button.textContent = "Try again";
}

function take(files) {
  const items = [...files].map((file) => ({ name: file.name, file }));
  if (items.length) begin(items);
  else refuse("That was no file; drop a picture that is stored on this device.");
}

chosen.addEventListener("change", () => {
  if (chosen.files.length) take(chosen.files);
  chosen.value = ""; // so that the same file can be chosen again
});
// Anywhere on the page: a picture dropped beside the zone would else take the page's place.
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element.querySelector(".drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files));
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const figure = event.target.closest(".layered figure");
  if (figure && (button || event.target.closest(".stack"))) enlarge(figure);
  if (!button) return;
  if (button.dataset.sample) begin([{ name: button.textContent.trim(), sample: Number(button.dataset.sample) }]);
  else if (button.dataset.number) show(Number(button.dataset.number));
  else if (button.dataset.step) show(at + Number(button.dataset.step));
  else if (button.matches(".stop")) turn?.abort();
  else if (button.matches(".again")) retry();
  else if (button.dataset.zoom) magnify(scale * Number(button.dataset.zoom));
  else if (button.matches(".close")) zoom.close();
});

function retry() {
  list[at].state = "waiting";
  show(at);
  if (!turn) run();
}

element.addEventListener("input", (event) => {
  if (event.target.closest(".strength")) {
    strength = event.target.value;
    page.style.setProperty("--strength", strength / 100);
  }
  if (event.target.closest(".true-grid")) {
    grid = event.target.checked;
    page.classList.toggle("by-cell", grid);
  }
  if (event.target.closest(".plain")) {
    plain = event.target.checked;
    page.classList.toggle("plain-picture", plain);
    for (const input of page.querySelectorAll(".plain input")) input.checked = plain;
  }
});
const zoom = element.querySelector("dialog.zoom");
const pane = zoom.querySelector(".pane");
let scale = 1; // 1 shows the whole picture
let pinch = 0; // distance of two fingers

function enlarge(figure) {
  const stack = figure.querySelector(".stack");
  const copy = stack.cloneNode(true);
  const large = figure.closest(".layered").dataset.large;
  if (large) copy.querySelector("img").src = large;
  zoom.querySelector("h2").textContent = figure.querySelector("figcaption").innerText;
  pane.replaceChildren(copy);
  pane.dataset.aspect = stack.clientWidth / stack.clientHeight;
  zoom.showModal();
  pane.focus();
  scale = 1;
  magnify(1);
}

// What lies at x, y of the pane stays there.
function magnify(to, x = pane.clientWidth / 2, y = pane.clientHeight / 2) {
  const stack = pane.firstElementChild;
  const box = pane.getBoundingClientRect();
  const before = stack.getBoundingClientRect();
  scale = Math.min(8, Math.max(1, to));
  const whole = Math.min(pane.clientWidth, pane.clientHeight * Number(pane.dataset.aspect));
  stack.style.width = `${whole * scale}px`;
  const after = stack.getBoundingClientRect();
  const moved = (start, length, at) => after[start] - at + ((at - before[start]) * after[length]) / before[length];
  pane.scrollBy(moved("left", "width", box.left + x), moved("top", "height", box.top + y));
  for (const button of zoom.querySelectorAll("[data-zoom]")) button.disabled = button.dataset.zoom > 1 ? scale === 8 : scale === 1;
}

function magnifyAt(to, clientX, clientY) {
  const box = pane.getBoundingClientRect();
  magnify(to, clientX - box.left, clientY - box.top);
}

function spread([one, other]) {
  return Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
}

zoom.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 }[event.key];
  if (factor !== undefined) magnify(scale * factor);
});
pane.addEventListener("wheel", (event) => {
  event.preventDefault();
  magnifyAt(scale * Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
});
pane.addEventListener("dblclick", (event) => magnifyAt(scale > 1 ? 1 : 3, event.clientX, event.clientY));
pane.addEventListener("pointermove", (event) => {
  if (event.pointerType === "mouse" && event.buttons === 1) pane.scrollBy(-event.movementX, -event.movementY);
});
pane.addEventListener("dragstart", (event) => event.preventDefault());
for (const kind of ["touchstart", "touchmove"]) {
  pane.addEventListener(kind, (event) => {
    if (event.touches.length !== 2) return; // one finger moves it
    event.preventDefault();
    const [one, other] = event.touches;
    const now = spread(event.touches);
    if (kind === "touchmove") {
      magnifyAt((scale * now) / pinch, (one.clientX + other.clientX) / 2, (one.clientY + other.clientY) / 2);
    }
    pinch = now;
  }, { passive: false });
}
addEventListener("resize", () => zoom.open && magnify(scale));
// Paper shows all of it.
addEventListener("beforeprint", () => {
  for (const folded of shown.querySelectorAll("details")) folded.open = true;
});
