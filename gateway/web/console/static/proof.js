// Verifies an inclusion proof (RFC 9162, 2.1.3.2) and the checkpoint's Ed25519 signature in the browser,
// from the bytes that the page shows: nothing that the server says about them is believed.
"use strict";

const bytesOfHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const bytesOfBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function hashOf(prefix, ...parts) {
  const input = Uint8Array.from([prefix, ...parts.flatMap((part) => [...part])]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", input));
}

function marked(row, isRight) {
  row.classList.add(isRight ? "good" : "bad");
  row.querySelector(".mark-place").textContent = isRight ? "✓" : "✗";
  return isRight;
}

async function pathLeads(data, rows) {
  let hash = await hashOf(0, bytesOfBase64(data.leaf));
  let isRight = marked(rows[0], hexOf(hash) === rows[0].querySelector("code").textContent);
  for (const row of rows.slice(1, -1)) {
    const sibling = bytesOfHex(row.dataset.sibling);
    hash = row.dataset.left === "1" ? await hashOf(1, sibling, hash) : await hashOf(1, hash, sibling);
    isRight = marked(row, hexOf(hash) === row.querySelector("code").textContent) && isRight;
  }
  return marked(rows[rows.length - 1], hexOf(hash) === data.root) && isRight;
}

// The checkpoint's third line is the root in base64: so what is signed is tied to what was computed.
function textNamesRoot(data) {
  return hexOf(bytesOfBase64(data.text.split("\n")[2])) === data.root;
}

// True or false; null when this browser or this key cannot do it.
async function signatureHolds(data) {
  if (!data.key) return null;
  let key;
  try {
    key = await crypto.subtle.importKey("raw", bytesOfBase64(data.key), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  const text = new TextEncoder().encode(data.text);
  return crypto.subtle.verify("Ed25519", key, bytesOfBase64(data.signature), text);
}

async function verify() {
  const place = document.getElementById("proof-data");
  const verdict = document.getElementById("by-browser");
  if (!place || !verdict) return;
  const say = (kind, text) => {
    verdict.classList.replace("waiting", kind);
    verdict.querySelector("span").textContent = text;
  };
  if (!globalThis.crypto?.subtle) {
    say("unable", verdict.dataset.unable);
    return;
  }
  const rows = [...document.querySelectorAll(".path li")];
  const leads = (await pathLeads(place.dataset, rows)) && textNamesRoot(place.dataset);
  const signed = await signatureHolds(place.dataset);
  if (!leads || signed === false) say("bad", verdict.dataset.bad);
  else say("good", signed ? verdict.dataset.ok : verdict.dataset.okUnsigned);
}

verify();
