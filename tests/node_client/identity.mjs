// What a node needs to be somebody: message key, log key, certification authority, TLS leaf, card
// (docs/protocol.md, sections 1, 2 and 7). Node.js issues no X.509, so `openssl` does.
import { execFileSync } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { keyId, makeCard, makeVerifierKey, spkiOf } from "./peer.mjs";

const DAY_MS = 86_400_000;

function newKey(dir, file, type, options) {
  const { privateKey } = generateKeyPairSync(type, options);
  writeFileSync(join(dir, file), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  return privateKey;
}

// Section 1: TLS keys are ECDSA P-256.
function issueCertificates(dir, id, leafId) {
  const inDir = (...args) => execFileSync("openssl", args, { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
  newKey(dir, "tls-ca.key", "ec", { namedCurve: "P-256" });
  newKey(dir, "tls-leaf.key", "ec", { namedCurve: "P-256" });
  writeFileSync(join(dir, "openssl.cnf"), `
[req]
distinguished_name = name
prompt = no
[name]
CN = ${id}
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:${leafId}.node.creditexchange.alt
`);
  inDir("req", "-config", "openssl.cnf", "-x509", "-new", "-key", "tls-ca.key", "-subj", `/CN=${id} TLS CA`,
    "-extensions", "ca", "-days", "3650", "-sha256", "-out", "tls-ca.crt");
  inDir("req", "-config", "openssl.cnf", "-new", "-key", "tls-leaf.key", "-out", "tls-leaf.csr");
  inDir("x509", "-req", "-in", "tls-leaf.csr", "-CA", "tls-ca.crt", "-CAkey", "tls-ca.key", "-CAcreateserial",
    "-extfile", "openssl.cnf", "-extensions", "leaf", "-days", "90", "-sha256", "-out", "tls-leaf.crt");
}

export function makeIdentity(dir, id, { endpoint = "127.0.0.1:1", "leaf-id": leafId = id } = {}) {
  if (existsSync(join(dir, "card.json"))) throw new Error(`${dir} already holds an identity`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const messageKey = newKey(dir, "message.key", "ed25519");
  const logKey = newKey(dir, "log.key", "ed25519");
  issueCertificates(dir, id, leafId);
  const now = Math.floor(Date.now() / 1000);
  const origin = `audit.${id}.example/2026`;
  const nodeKey = (key, role) => {
    const spki = spkiOf(createPublicKey(key));
    return { key_id: keyId(spki), spki, role };
  };
  const { text, fingerprint } = makeCard({
    protocol_version: 1,
    oldest_version_accepted: 1,
    node_id: id,
    names: [{ language: "en", text: `${id} (JavaScript peer, synthetic)` }],
    serial: 1,
    issue_time: { seconds: now },
    expire_time: { seconds: now + (365 * DAY_MS) / 1000 },
    endpoints: [endpoint],
    keys: [nodeKey(messageKey, "KEY_ROLE_MESSAGE"), nodeKey(logKey, "KEY_ROLE_LOG")],
    tls_ca_certificates: [new X509Certificate(readFileSync(join(dir, "tls-ca.crt"))).raw],
    log: { origin, verifier_key: makeVerifierKey(origin, createPublicKey(logKey)) },
  }, messageKey);
  writeFileSync(join(dir, "card.json"), text);
  writeFileSync(join(dir, "id"), id);
  return { node_id: id, fingerprint };
}

export function loadIdentity(dir) {
  const read = (file) => readFileSync(join(dir, file));
  return {
    id: read("id").toString(),
    messageKey: createPrivateKey(read("message.key")),
    leaf: read("tls-leaf.crt"),
    leafKey: read("tls-leaf.key"),
  };
}

// Section 3: pair_sequence counts the queries to one answerer, without gaps.
export function nextSequence(dir, answerer) {
  const file = join(dir, `sequence-${answerer}`);
  const next = existsSync(file) ? Number(readFileSync(file, "utf8")) + 1 : 1;
  writeFileSync(file, String(next));
  return next;
}
