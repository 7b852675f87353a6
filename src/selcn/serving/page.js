// Runs once the page is there. `element` holds it; `server.answer` asks this server.
const zone = element.querySelector(".drop");
const chosen = zone.querySelector("input");
const shown = element.querySelector(".shown");

function refuse(why) {
  const told = document.createElement("p");
  told.className = "wrong";
  told.setAttribute("role", "alert");
  told.textContent = why;
  shown.replaceChildren(told);
}

async function ask(asked) {
  shown.setAttribute("aria-busy", "true");
  try {
    shown.innerHTML = await server.answer(asked);
  } catch {
    refuse("The server does not answer; try again.");
  }
  shown.removeAttribute("aria-busy");
}

function take(file) {
  if (!file) return;
  if (file.size > Number(zone.dataset.maxBytes)) {
    refuse(`${file.name} is too large; choose a smaller picture.`);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => ask({ name: file.name, data: reader.result.split(",")[1] ?? "" });
  reader.onerror = () => refuse(`${file.name} cannot be read.`);
  reader.readAsDataURL(file);
}

chosen.addEventListener("change", () => {
  take(chosen.files[0]);
  chosen.value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  zone.addEventListener(kind, (event) => {
    event.preventDefault();
    zone.classList.toggle("over", kind === "dragenter" || kind === "dragover");
  });
}
zone.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
element.addEventListener("click", (event) => {
  const sample = event.target.closest("button[data-sample]");
  if (sample) ask({ sample: Number(sample.dataset.sample) });
});
element.addEventListener("input", (event) => {
  const strength = event.target.closest(".strength input");
  if (strength) strength.closest(".answer").style.setProperty("--strength", strength.value / 100);
});
