// Shows the OpenAPI document of the service that this page came from. A token is kept for as long as the page is open, and nowhere else.
"use strict";

const DOCUMENT = "/schema/openapi.json";
const ask = document.getElementById("ask");
const field = document.getElementById("token");
const why = document.getElementById("why");
let token = "";

function headers() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function show() {
  const answer = await fetch(DOCUMENT, { headers: headers() });
  if (answer.ok) {
    ask.hidden = true;
    draw(await answer.json());
    return;
  }
  const problem = await answer.json();
  ask.hidden = false;
  why.textContent = answer.status === 401 && !token ? "" : problem.detail;
  field.focus();
}

function draw(spec) {
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#routes",
    deepLinking: true,
    validatorUrl: null,
    onComplete: () => token && ui.preauthorizeApiKey("bearer", token),
  });
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  token = field.value.trim();
  show();
});

show();
