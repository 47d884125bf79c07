// A peer of the federation in JavaScript, written from docs/protocol.md and protos/ alone.
// Section numbers are that page's. Small and asking only: it does not answer queries.
import {
  createHash, createHmac, createPublicKey, randomBytes, sign, timingSafeEqual, verify, X509Certificate,
} from "node:crypto";
import { fileURLToPath } from "node:url";
import { createSecureContext } from "node:tls";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";

// ---------------------------------------------------------------- messages

const root = new protobuf.Root();
root.resolvePath = (_, target) => fileURLToPath(new URL(`../../protos/${target}`, import.meta.url));
root.loadSync(["node", "exchange", "reason"].map((name) => `creditexchange/v1/${name}.proto`), { keepCase: true });
// What section 6 needs of google.rpc, field for field.
protobuf.parse(`syntax = "proto3"; package google.rpc;
  message Packed { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Packed details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message Delay { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Delay retry_delay = 1; }`, root, { keepCase: true });
root.resolveAll();

const typeOf = (name) => root.lookupType(name.includes(".") ? name : `creditexchange.v1.${name}`);
export const enumOf = (name) => root.lookupEnum(`creditexchange.v1.${name}`);

export function encode(name, value) {
  const type = typeOf(name);
  return Buffer.from(type.encode(type.fromObject(value)).finish());
}

export function decode(name, bytes) {
  const type = typeOf(name);
  return type.toObject(type.decode(bytes), { longs: Number, bytes: Buffer, defaults: true });
}

// Section 2: unknown fields are refused in NodeCard (and by an answerer in RecordQueryBody).
export function refuseUnknownFields(type, bytes) {
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = type.fieldsById[tag >>> 3];
    if (!field) throw new Error(`unknown field ${tag >>> 3} in ${type.name}`);
    if (field.resolvedType instanceof protobuf.Type) refuseUnknownFields(field.resolvedType, reader.bytes());
    else reader.skipType(tag & 7);
  }
}

// "PURPOSE_CREDIT_TRANSFER" <-> "credit-transfer"; a number that is unspecified or not listed is "unknown".
export const wordOf = (prefix, name) => name ? name.slice(prefix.length).toLowerCase().replaceAll("_", "-") : "unknown";
export function numberOf(enumName, prefix, word) {
  const number = enumOf(enumName).values[prefix + word.toUpperCase().replaceAll("-", "_")];
  if (number === undefined) throw new Error(`${word} is not listed in ${enumName}`);
  return number;
}

const timestamp = (ms) => ({ seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 });
export const milliseconds = (time) => time.seconds * 1000 + Math.floor(time.nanos / 1e6);

// A reply that is not accepted; `outcome` as in section 6, "Outcomes at the asking side".
export class NotAccepted extends Error {
  constructor(outcome, text) {
    super(`${outcome}: ${text}`);
    this.outcome = outcome;
  }
}

function demand(condition, outcome, text) {
  if (!condition) throw new NotAccepted(outcome, text);
}

// ---------------------------------------------------------------- section 2: envelope

export const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const equal = (a, b) => a.length === b.length && timingSafeEqual(a, b);

export function pae(type, payload) {
  const length = Buffer.byteLength(type);
  return Buffer.concat([Buffer.from(`DSSEv1 ${length} ${type} ${payload.length} `), payload]);
}

export const payloadType = (name) => `application/vnd.creditexchange.${name}.v1+protobuf`;
export const signedDigest = (message) => sha256(pae(message.payload_type, message.payload));
export const spkiOf = (publicKey) => publicKey.export({ type: "spki", format: "der" });
export const keyId = (spki) => `sha256:${sha256(spki).toString("hex")}`;

export function signMessage(name, payload, privateKey) {
  const type = payloadType(name);
  const key_id = keyId(spkiOf(createPublicKey(privateKey)));
  const signature = sign(null, pae(type, payload), privateKey);
  return { payload, payload_type: type, signatures: [{ key_id, signature }] };
}

// Padded base64 of which only the canonical form is taken; Buffer.from alone passes over what it does not know.
export function fromBase64(text) {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) throw new Error("not base64");
  return bytes;
}

function isLive(key, now) {
  const [start, end] = [key.start_time, key.end_time];
  return (!start || milliseconds(start) <= now) && (!end || now < milliseconds(end));
}

// Verifies first, over the received bytes; the caller parses what is returned.
export function openMessage(message, name, keys, now = Date.now()) {
  const outcome = "ANSWER_NOT_SIGNED";
  demand(message, "ANSWER_MALFORMED", "no message");
  demand(message.payload_type === payloadType(name), "ANSWER_MALFORMED", `payload type ${message.payload_type}`);
  const ids = message.signatures.map((signature) => signature.key_id);
  demand(ids.length >= 1 && ids.length <= 4 && new Set(ids).size === ids.length, "ANSWER_MALFORMED", "signatures");
  const signed = pae(message.payload_type, message.payload);
  let verified = 0;
  for (const { key_id, signature } of message.signatures) {
    const key = keys.find((candidate) => candidate.key_id === key_id);
    if (key?.role !== enumOf("KeyRole").values.KEY_ROLE_MESSAGE || !isLive(key, now)) continue; // not a known key
    const publicKey = createPublicKey({ key: key.spki, format: "der", type: "spki" });
    demand(publicKey.asymmetricKeyType === "ed25519", outcome, "not an Ed25519 key");
    demand(verify(null, signed, publicKey, signature), outcome, "signature does not verify");
    verified += 1;
  }
  demand(verified > 0, outcome, "no known key");
  return message.payload;
}

// ---------------------------------------------------------------- section 4: commitments

export function commitment(opening) {
  const text = Buffer.from(`credit-exchange/item/v1\n${opening.item_type}\0`);
  return createHmac("sha256", opening.key).update(text).update(opening.item).digest();
}

const newOpening = (item_type, item) => ({ item_type, key: randomBytes(32), item });
export const leafHash = (leaf) => sha256(Buffer.from([0]), leaf);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);

export function merkleRoot(leaves) {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leafHash(leaves[0]);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)));
}

// GB 11643 check character: ISO 7064 MOD 11-2 over the first 17 digits.
function checkCharacter(digits) {
  const sum = [...digits].reduce((total, digit, place) => total + Number(digit) * (2 ** (17 - place) % 11), 0);
  return "10X98765432"[sum % 11];
}

const plain = (written) => written.normalize("NFKC").trim().toUpperCase();

function isDate(year, month, day) {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

export function normaliseResidentId(written) {
  let text = plain(written);
  if (/^[0-9]{15}$/.test(text)) {
    const digits = `${text.slice(0, 6)}19${text.slice(6)}`;
    text = digits + checkCharacter(digits);
  }
  if (!/^[0-9]{17}[0-9X]$/.test(text)) throw new Error("not a resident identity number");
  if (text[17] !== checkCharacter(text.slice(0, 17))) throw new Error("wrong check character");
  const [, year, month, day] = /^.{6}(.{4})(..)(..)/.exec(text).map(Number);
  if (!isDate(year, month, day)) throw new Error("no such day");
  return text;
}

const NORMALISED = {
  "resident-id": normaliseResidentId,
  passport: (written) => matching(/^[A-Z0-9]{5,12}$/, plain(written)),
  "student-number": (written) => matching(/^[A-Z0-9-]{4,32}$/, plain(written)),
};

function matching(pattern, text) {
  if (!pattern.test(text)) throw new Error("malformed identifier");
  return text;
}

export function subjectToken(secret, identifier, type = "resident-id") {
  return createHmac("sha256", secret).update(`${type}\0`).update(NORMALISED[type](identifier)).digest();
}

// ---------------------------------------------------------------- section 7: card

export function makeCard(card, messageKey) {
  const message = signMessage("node-card", encode("NodeCard", card), messageKey);
  const signatures = message.signatures.map((s) => ({ keyid: s.key_id, sig: s.signature.toString("base64") }));
  const envelope = { payload: message.payload.toString("base64"), payloadType: message.payload_type, signatures };
  return { text: `${JSON.stringify(envelope, null, 2)}\n`, fingerprint: signedDigest(message).toString("hex") };
}

export function openCard(text, now = Date.now()) {
  const envelope = JSON.parse(text);
  const message = {
    payload: fromBase64(envelope.payload),
    payload_type: envelope.payloadType,
    signatures: envelope.signatures.map((s) => ({ key_id: s.keyid, signature: fromBase64(s.sig) })),
  };
  // The card lists the key that signed it itself, so its bytes are read before they are verified; nothing of
  // them is used before that.
  const card = decode("NodeCard", message.payload);
  openMessage(message, "node-card", card.keys, now);
  refuseUnknownFields(typeOf("NodeCard"), message.payload);
  if (!(card.oldest_version_accepted === 1 && card.protocol_version >= 1)) throw new Error("card: version");
  if (card.serial < 1) throw new Error("card: serial");
  if (!/^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])$/.test(card.node_id)) throw new Error("card: node id");
  if (card.endpoints.length < 1 || card.endpoints.length > 8) throw new Error("card: endpoints");
  const ids = new Set(card.keys.map((key) => keyId(key.spki)));
  const named = card.keys.every((key) => key.key_id === keyId(key.spki));
  if (card.keys.length > 16 || ids.size !== card.keys.length || !named) throw new Error("card: keys");
  if (card.tls_ca_certificates.length < 1 || card.tls_ca_certificates.length > 2) throw new Error("card: CAs");
  if (!card.issue_time || !card.expire_time || milliseconds(card.expire_time) <= now) throw new Error("card: expired");
  const { origin, publicKey } = parseVerifierKey(card.log?.verifier_key ?? "");
  const logKey = card.keys.find((key) => key.key_id === keyId(spkiOf(publicKey)));
  const isLogKey = logKey?.role === enumOf("KeyRole").values.KEY_ROLE_LOG;
  if (origin !== card.log.origin || !isLogKey) throw new Error("card: log");
  return { card, fingerprint: signedDigest(message).toString("hex") };
}

// ---------------------------------------------------------------- section 5: receipt

const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410, before the 32 key bytes

export function makeVerifierKey(origin, publicKey) {
  const key = Buffer.concat([Buffer.from([1]), spkiOf(publicKey).subarray(-32)]);
  const id = sha256(`${origin}\n`, key).subarray(0, 4);
  return `${origin}+${id.toString("hex")}+${key.toString("base64")}`;
}

export function parseVerifierKey(text) {
  const [, origin, hex, base64] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  const key = fromBase64(base64 ?? "");
  if (key.length !== 33 || key[0] !== 1) throw new Error("not an Ed25519 verifier key");
  const id = sha256(`${origin}\n`, key).subarray(0, 4);
  if (id.toString("hex") !== hex) throw new Error("key id of the verifier key");
  const spki = Buffer.concat([ED25519_SPKI, key.subarray(1)]);
  return { origin, id, publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }) };
}

export function openCheckpoint(note, verifierKey) {
  const outcome = "RECEIPT_INVALID";
  const { origin, id, publicKey } = parseVerifierKey(verifierKey);
  const end = note.lastIndexOf("\n\n");
  demand(end > 0 && note.endsWith("\n"), outcome, "not a signed note");
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split("\n");
  const signed = lines.some((line) => {
    const [, name, base64] = /^— (\S+) (\S+)$/.exec(line) ?? [];
    const bytes = Buffer.from(base64 ?? "", "base64");
    if (name !== origin || !bytes.subarray(0, 4).equals(id)) return false; // a witness or an older key
    return verify(null, Buffer.from(text), publicKey, bytes.subarray(4));
  });
  demand(signed, outcome, "checkpoint is not signed by the card's log key");
  const [first, size, base64] = text.split("\n");
  const treeRoot = Buffer.from(base64 ?? "", "base64");
  demand(first === origin && /^(0|[1-9][0-9]*)$/.test(size) && treeRoot.length === 32, outcome, "checkpoint text");
  return { size: Number(size), root: treeRoot };
}

// RFC 9162 section 2.1.3.2.
export function rootOfProof(hash, index, size, proof) {
  demand(index < size, "RECEIPT_INVALID", "index beyond the tree");
  let fn = index;
  let sn = size - 1;
  let result = hash;
  for (const step of proof) {
    demand(sn > 0, "RECEIPT_INVALID", "proof too long");
    if (fn % 2 === 1 || fn === sn) {
      result = nodeHash(step, result);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
    } else {
      result = nodeHash(result, step);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  demand(sn === 0, "RECEIPT_INVALID", "proof too short");
  return result;
}

// RFC 8785 for what an audit leaf holds: ASCII strings and integers, one level deep.
export function canonical(members) {
  const entries = Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1));
  return Buffer.from(JSON.stringify(Object.fromEntries(entries)));
}

export function auditLeaf({ asked, receipt, body, outcome, count }) {
  return canonical({
    answer_digest: sha256(body).toString("hex"),
    answerer: asked.card.node_id,
    asker: asked.identity.id,
    count,
    exchange_id: asked.header.exchange_id.toString("hex"),
    kind: "exchange",
    logged_at: receipt.logged_at_ms,
    method: asked.method,
    outcome,
    peer_seq: asked.header.pair_sequence,
    purpose: wordOf("PURPOSE_", asked.purpose && enumOf("Purpose").valuesById[asked.purpose]),
    request_digest: asked.digest.toString("hex"),
    role: "answerer",
    v: 1,
  });
}

// Takes a RecordAnswer or a Refusal.
export function verifyReceipt({ receipt, body }, asked, outcome, count) {
  const { log } = asked.card;
  demand(receipt, "RECEIPT_INVALID", "no receipt");
  demand(receipt.log_origin === log.origin, "RECEIPT_INVALID", "log origin");
  const checkpoint = openCheckpoint(receipt.checkpoint, log.verifier_key);
  const leaf = auditLeaf({ asked, receipt, body, outcome, count });
  const proved = rootOfProof(leafHash(leaf), receipt.leaf_index, checkpoint.size, receipt.inclusion_proof);
  demand(proved.equals(checkpoint.root), "RECEIPT_INVALID", "the rebuilt leaf does not lead to the checkpoint's root");
  return checkpoint;
}

// ---------------------------------------------------------------- sections 3 and 5: asking

export const SERVICE = "/creditexchange.v1.RecordExchangeService";
export const QUERY = `${SERVICE}/QueryRecords`;
export const ECHO = `${SERVICE}/Echo`;

export function makeHeader({ identity, card, method, sequence, exchangeId = randomBytes(16), now = Date.now() }) {
  return {
    protocol_version: 1,
    message_id: randomBytes(16),
    exchange_id: exchangeId,
    pair_sequence: sequence,
    sender: identity.id,
    audience: card.node_id,
    method,
    issue_time: timestamp(now),
    expire_time: timestamp(now + 60_000),
  };
}

// What the query says, without header: repeated unchanged by a retry.
export function makeBody({ token, epoch, purpose, kinds, legalBasis, change = () => {} }) {
  const openings = [newOpening("subject-token", token)];
  const body = {
    purpose: numberOf("Purpose", "PURPOSE_", purpose),
    kinds: kinds.map((kind) => numberOf("RecordKind", "RECORD_KIND_", kind)),
    subjects_root: merkleRoot(openings.map(commitment)),
    subject_count: 1,
    federation_epoch: epoch,
    legal_basis: numberOf("LegalBasis", "LEGAL_BASIS_", legalBasis),
  };
  change(body);
  return { bytes: encode("RecordQueryBody", body), purpose: body.purpose, openings };
}

// A signed query and all that its answer is checked against.
export function composeQuery({ identity, card, body, sequence, exchangeId, change = () => {} }) {
  const header = makeHeader({ identity, card, method: QUERY, sequence, exchangeId });
  change(header);
  const message = signMessage("record-query", encode("RecordQuery", { header, body: body.bytes }), identity.messageKey);
  return {
    identity, card, header, method: QUERY, purpose: body.purpose, digest: signedDigest(message), body: body.bytes,
    request: { message, openings: body.openings },
  };
}

export function composeEcho({ identity, card, content }) {
  const header = makeHeader({ identity, card, method: ECHO, sequence: 1 });
  const message = signMessage("echo-query", encode("EchoQuery", { header, content }), identity.messageKey);
  return { identity, card, header, method: ECHO, digest: signedDigest(message), request: { message } };
}

const TOLERATED_MS = 30_000;

// Section 3, what the asker checks of an answer.
function checkHeader(header, asked, now) {
  demand(header, "ANSWER_MALFORMED", "no header");
  demand(header.protocol_version === 1 && header.message_id.length === 16, "ANSWER_MALFORMED", "header");
  const bound = [
    ["sender", header.sender === asked.card.node_id],
    ["audience", header.audience === asked.identity.id],
    ["method", header.method === asked.method],
    ["exchange_id", equal(header.exchange_id, asked.header.exchange_id)],
    ["pair_sequence", header.pair_sequence === asked.header.pair_sequence],
    ["in_reply_to", equal(header.in_reply_to, asked.header.message_id)],
    ["request_digest", equal(header.request_digest, asked.digest)],
  ];
  for (const [member, holds] of bound) demand(holds, "ANSWER_NOT_BOUND", member);
  demand(header.issue_time && header.expire_time, "ANSWER_MALFORMED", "times");
  const [issued, expires] = [milliseconds(header.issue_time), milliseconds(header.expire_time)];
  demand(issued - now <= TOLERATED_MS && now - expires <= TOLERATED_MS, "ANSWER_STALE", "times");
  demand(expires - issued <= 120_000, "ANSWER_STALE", "window");
}

// Signature, form, binding; `type` is the payload's message type.
function openReply(message, name, type, asked) {
  const now = Date.now();
  const reply = decode(type, openMessage(message, name, asked.card.keys, now));
  checkHeader(reply.header, asked, now);
  return reply;
}

export function openAnswer(response, asked) {
  const incomplete = "ANSWER_INCOMPLETE";
  const answer = openReply(response.message, "record-answer", "RecordAnswer", asked);
  const body = decode("RecordAnswerBody", answer.body);
  demand(equal(body.query_body_digest, sha256(asked.body)), "ANSWER_NOT_BOUND", "query_body_digest");
  demand(merkleRoot(response.openings.map(commitment)).equals(body.records_root), incomplete, "records_root");
  demand(response.openings.every((opening) => opening.item_type === "record"), incomplete, "item_type");
  demand(body.record_counts.length === 1 && body.record_counts[0] === response.openings.length, incomplete, "counts");
  const records = response.openings.map((opening) => decode("LearningRecord", opening.item));
  demand(records.every((record) => record.source_node === asked.card.node_id), incomplete, "source_node");
  const checkpoint = verifyReceipt(answer, asked, "OK", records.length);
  return { records, body: answer.body, receipt: answer.receipt, checkpoint };
}

export function openEcho(response, asked) {
  return openReply(response.message, "echo-answer", "EchoAnswer", asked);
}

// ---------------------------------------------------------------- section 6: refusals

// Undefined when the status carries no details of ours (BAD_STATUS).
export function readRefusal(error, asked) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!bytes) return undefined;
  const details = new Map(decode("google.rpc.Status", bytes).details
    .map((packed) => [packed.type_url.slice(packed.type_url.lastIndexOf("/") + 1), packed.value]));
  if (!details.has("google.rpc.ErrorInfo")) return undefined;
  const info = decode("google.rpc.ErrorInfo", details.get("google.rpc.ErrorInfo"));
  if (info.domain !== "creditexchange.v1") return undefined;
  const refusal = { reason: info.reason, metadata: info.metadata, status: grpc.status[error.code], signed: false };
  if (details.has("google.rpc.RetryInfo")) {
    const { retry_delay: delay } = decode("google.rpc.RetryInfo", details.get("google.rpc.RetryInfo"));
    refusal.retryAfterMs = milliseconds(delay);
  }
  if (details.has("creditexchange.v1.SignedMessage")) {
    const message = decode("SignedMessage", details.get("creditexchange.v1.SignedMessage"));
    Object.assign(refusal, openSignedRefusal(message, asked, info.reason));
  }
  return refusal;
}

function openSignedRefusal(message, asked, reason) {
  const { body, receipt } = openReply(message, "refusal", "Refusal", asked);
  const named = enumOf("Reason").valuesById[decode("RefusalBody", body).reason];
  demand(named === `REASON_${reason}`, "ANSWER_NOT_BOUND", "the signed reason is another");
  verifyReceipt({ receipt, body }, asked, reason, 0);
  return { signed: true, receipt };
}

// ---------------------------------------------------------------- section 1: transport

export function connect(identity, card) {
  const context = createSecureContext({
    ca: card.tls_ca_certificates.map((der) => new X509Certificate(der).toString()),
    cert: identity.leaf, key: identity.leafKey, minVersion: "TLSv1.3",
  });
  const name = `${card.node_id}.node.creditexchange.alt`;
  return new grpc.Client(card.endpoints[0], grpc.credentials.createFromSecureContext(context), {
    "grpc.ssl_target_name_override": name,
    "grpc.default_authority": name,
    "grpc.enable_retries": 0,
    "grpc.max_receive_message_length": 256 * 1024,
  });
}

const REQUEST = { [QUERY]: "QueryRecordsRequest", [ECHO]: "EchoRequest" };
const RESPONSE = { [QUERY]: "QueryRecordsResponse", [ECHO]: "EchoResponse" };

// Resolves with the response or with the gRPC error: {response} or {error}.
export function send(client, asked, { deadlineMs = 10_000 } = {}) {
  const options = deadlineMs === null ? {} : { deadline: Date.now() + deadlineMs };
  const write = (request) => encode(REQUEST[asked.method], request);
  const read = (bytes) => decode(RESPONSE[asked.method], bytes);
  return new Promise((resolve) => {
    const done = (error, response) => resolve(error ? { error } : { response });
    client.makeUnaryRequest(asked.method, write, read, asked.request, new grpc.Metadata(), options, done);
  });
}
