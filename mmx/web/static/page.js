"use strict";
const part = (id) => document.getElementById(id);
const fields = ["query", "where", "min_score", "top"];
let picture = null, explains = false, asked = 0, shown = null;

const say = (text, fault = false) => {
  part("said").textContent = text;
  part("said").classList.toggle("fault", fault);
};

const answerOf = async (response) => {
  const found = await response.json().catch(() => ({}));
  if (response.ok) return found;
  const detail = Array.isArray(found.detail) ? found.detail.map((one) => one.msg).join("; ") : found.detail;
  throw new Error(found.error || detail || `the server answered ${response.status}`);
};

const wish = () => {
  const words = new URLSearchParams();
  for (const name of fields) if (part(name).value.trim()) words.set(name, part(name).value.trim());
  if (part("collapse").checked) words.set("collapse", "true");
  return words;
};

const send = (file) => {
  if (part("sent-picture").src) URL.revokeObjectURL(part("sent-picture").src);
  picture = file;
  part("sent").hidden = !file;
  if (file) part("sent-picture").src = URL.createObjectURL(file);
  part("file").value = "";
};

const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

const draw = (hit) => {
  const item = element("li"), button = element("button", "hit"), image = element("img");
  button.type = "button";
  image.src = `/api/pictures/${hit.key}?size=480`;
  image.alt = hit.caption || hit.id;
  image.loading = "lazy";
  const line = element("span", "line");
  line.append(element("b", "", String(hit.rank)), element("span", "faint", hit.score.toFixed(3)));
  const like = hit.duplicates ? ` (and ${hit.duplicates} like it)` : "";
  button.append(image, line, element("span", "name", (hit.caption || hit.id) + like));
  button.title = hit.id;
  button.addEventListener("click", () => closer(hit));
  item.append(button);
  return item;
};

const search = async (remember = true) => {
  const words = wish(), number = ++asked;
  if (!words.get("query") && !picture) { say("Say what to look for, or drop a picture."); return; }
  document.body.classList.add("waiting");
  say("Looking …");
  try {
    const body = picture ? {method: "POST", body: picture, headers: {"Content-Type": picture.type || "image/*"}} : {};
    const began = performance.now();
    const found = await answerOf(await fetch(`/api/search?${words}`, body));
    if (number !== asked) return;
    part("hits").replaceChildren(...found.hits.map(draw));
    const among = `${found.hits.length} of ${found.size.toLocaleString()} ${found.finds}`;
    say(found.hits.length ? `${among}, in ${Math.round(performance.now() - began)} ms` : "Nothing was found.");
    document.title = words.get("query") ? `${words.get("query")} – mmx search` : "mmx search";
    if (remember && !picture) history.pushState(null, "", `?${words}`);
  } catch (error) {
    if (number === asked) { part("hits").replaceChildren(); say(error.message, true); }
  } finally {
    if (number === asked) document.body.classList.remove("waiting");
  }
};

const closer = (hit) => {
  shown = hit;
  part("closer-picture").src = `/api/pictures/${hit.key}?size=1600`;
  part("closer-picture").alt = hit.caption || hit.id;
  part("closer-name").textContent = [hit.caption, hit.id, hit.source].filter(Boolean).join("  ·  ");
  part("why").hidden = !explains || Boolean(picture) || !part("query").value.trim();
  part("evidence").hidden = true;
  part("evidence").removeAttribute("src");
  part("closer").showModal();
};

part("why").addEventListener("click", () => {
  part("evidence").src = `/api/evidence/${shown.key}?query=${encodeURIComponent(part("query").value.trim())}`;
  part("evidence").hidden = false;
  part("evidence").scrollIntoView();
});

part("like").addEventListener("click", async () => {
  const response = await fetch(`/api/pictures/${shown.key}?size=1600`);
  send(await response.blob());
  part("query").value = "";
  part("closer").close();
  search();
});

part("ask").addEventListener("submit", (event) => { event.preventDefault(); search(); });
part("unsend").addEventListener("click", () => { send(null); search(); });
part("file").addEventListener("change", (event) => {
  if (event.target.files[0]) { send(event.target.files[0]); search(); }
});
part("refresh").addEventListener("click", async () => {
  say("Looking for new photos …");
  try {
    show(await answerOf(await fetch("/api/refresh", {method: "POST"})));
    say("The index is up to date.");
  } catch (error) { say(error.message, true); }
});

for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const file = [...event.dataTransfer.files].find((one) => one.type.startsWith("image/"));
  if (file) { send(file); search(); } else say("That is no picture.", true);
});

const show = (about) => {
  explains = about.explains;
  part("refresh").hidden = !about.folder;
  part("about").textContent =
    `${about.pictures.toLocaleString()} pictures of ${about.searched.join(", ")}, by ${about.matcher}`;
};

const restore = () => {
  const words = new URLSearchParams(location.search);
  for (const name of fields) if (words.has(name) || name !== "top") part(name).value = words.get(name) || "";
  part("collapse").checked = words.get("collapse") === "true";
  if (words.has("where") || words.has("min_score")) part("more").open = true;
  if (words.get("query")) search(false);
};

window.addEventListener("popstate", restore);
fetch("/api/about").then(answerOf).then(show).then(restore).catch((error) => say(error.message, true));
