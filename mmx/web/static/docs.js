"use strict";
const made = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (name) element.className = name;
  return element;
};

const described = (path, method, call) => {
  const section = made("section"), head = made("h2");
  head.append(made("code", `${method.toUpperCase()} ${path}`));
  section.append(head, made("p", call.description || call.summary));
  const list = made("ul");
  for (const one of call.parameters || []) {
    const item = made("li"), schema = one.schema || {};
    item.append(made("code", one.name), ` ${schema.type || ""}${one.required ? ", needed" : ""}`);
    if (schema.default !== undefined && schema.default !== "") item.append(`, ${schema.default} by default`);
    item.append(made("span", one.description ? `. ${one.description}` : ""));
    list.append(item);
  }
  if (call.requestBody) list.append(made("li", `body: ${Object.keys(call.requestBody.content).join(", ")}`));
  if (list.children.length) section.append(list);
  return section;
};

fetch("/openapi.json").then((response) => response.json()).then((document_) => {
  const calls = Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, call]) => described(path, method, call)));
  document.getElementById("calls").replaceChildren(...calls);
});
