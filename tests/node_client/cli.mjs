// The JavaScript peer on the command line; each command prints one JSON object.
//   make-identity DIR --id hunan [--endpoint HOST:PORT] [--leaf-id OTHER]
//   echo --dir DIR --peer-card CARD
//   query --dir DIR --peer-card CARD --federation-secret FILE --epoch E --learner ID --purpose P --kinds all
//         [--sequence N] [--legal-basis statutory-duty] [--retry] [--fault NAME]
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadIdentity, makeIdentity, nextSequence } from "./identity.mjs";
import * as peer from "./peer.mjs";

const option = { type: "string" };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    id: option, endpoint: option, "leaf-id": option, dir: option, "peer-card": option, "federation-secret": option,
    epoch: option,
    learner: option, purpose: option, kinds: option, sequence: option, "legal-basis": option, fault: option,
    retry: { type: "boolean" },
  },
});

const shift = (time, seconds) => { time.seconds += seconds; };

// Deliberately wrong messages: what is changed, and where. `header` and `body` are changed before signing,
// `bytes` is the serialised body, `sent` is changed after signing; `again` composes a second message that is sent
// once the first was answered.
const FAULTS = {
  replay: { again: (asked) => asked },
  conflict: { again: (asked, compose) => compose({ body: newBody(), exchangeId: asked.header.exchange_id }) },
  sender: { header: (header) => { header.sender = "hainan"; } },
  audience: { header: (header) => { header.audience = "elsewhere"; } },
  method: { header: (header) => { header.method = peer.ECHO; } },
  version: { header: (header) => { header.protocol_version = 9; } },
  skew: { header: (header) => { shift(header.issue_time, 600); shift(header.expire_time, 600); } },
  expired: { header: (header) => { shift(header.issue_time, -600); shift(header.expire_time, -600); } },
  window: { header: (header) => { shift(header.expire_time, 600); } },
  "message-id": { header: (header) => { header.message_id = randomBytes(15); } },
  "unknown-purpose": { body: (body) => { body.purpose = 99; } },
  "no-purpose": { body: (body) => { body.purpose = 0; } },
  "unknown-kind": { body: (body) => { body.kinds.push(99); } },
  "unknown-epoch": { body: (body) => { body.federation_epoch = "1999"; } },
  "two-subjects": { body: (body) => { body.subject_count = 2; } },
  "wrong-root": { body: (body) => { body.subjects_root = randomBytes(32); } },
  "wrong-opening": { sent: (request) => { request.openings[0].item = randomBytes(32); } },
  "flip-signature": { sent: (request) => { request.message.signatures[0].signature[0] ^= 1; } },
  "flip-payload": { sent: (request) => { request.message.payload[9] ^= 1; } },
  "unknown-field": { bytes: (bytes) => Buffer.concat([bytes, Buffer.from([0xf8, 0x07, 0x01])]) }, // field 127
  "payload-type": { sign: "echo-query" },
  "no-deadline": { deadlineMs: null },
};

// Section 4: 32 bytes, handed from node to node as one line of base64.
function secretFrom(file) {
  const secret = peer.fromBase64(readFileSync(file, "utf8").trim());
  if (secret.length !== 32) throw new Error("a federation secret has 32 bytes");
  return secret;
}

function newBody(change) {
  const kinds = values.kinds === "all"
    ? Object.keys(peer.enumOf("RecordKind").values).slice(1).map((name) => peer.wordOf("RECORD_KIND_", name))
    : values.kinds.split(",");
  return peer.makeBody({
    token: peer.subjectToken(secretFrom(values["federation-secret"]), values.learner),
    epoch: values.epoch, purpose: values.purpose, kinds, legalBasis: values["legal-basis"] ?? "statutory-duty", change,
  });
}

// Section 6: DEADLINE_EXCEEDED and UNAVAILABLE that hold no details of ours.
const WITHOUT_DETAILS = { 4: "NO_ANSWER", 14: "UNREACHABLE" };

// Opens whatever came back; every result has an `outcome`.
function report({ response, error }, asked) {
  try {
    if (response) return { outcome: "OK", ...describe(peer.openAnswer(response, asked)) };
    const refusal = peer.readRefusal(error, asked);
    if (!refusal) return { outcome: WITHOUT_DETAILS[error.code] ?? "BAD_STATUS", text: error.details };
    const { reason, receipt, ...rest } = refusal;
    return { outcome: reason, ...rest, receipt_verified: receipt !== undefined, leaf_index: receipt?.leaf_index };
  } catch (fault) {
    if (!(fault instanceof peer.NotAccepted)) throw fault;
    return { outcome: fault.outcome, text: fault.message, refused: error?.details };
  }
}

function describe({ records, body, receipt, checkpoint }) {
  return {
    records: records.length,
    record_ids: records.map((record) => record.record_id),
    titles: records.map((record) => record.titles[0]?.text ?? ""),
    body_digest: peer.sha256(body).toString("hex"),
    receipt_verified: true, // openAnswer throws RECEIPT_INVALID otherwise
    leaf_index: receipt.leaf_index,
    log_size: checkpoint.size,
  };
}

async function query() {
  const fault = values.fault === undefined ? {} : FAULTS[values.fault];
  if (!fault) throw new Error(`--fault: one of ${Object.keys(FAULTS).join(", ")}`);
  const identity = loadIdentity(values.dir);
  const { card } = peer.openCard(readFileSync(values["peer-card"], "utf8"));
  const sequence = () => (values.sequence ? Number(values.sequence) : nextSequence(values.dir, card.node_id));
  const compose = ({ body, exchangeId, change }) =>
    peer.composeQuery({ identity, card, body, exchangeId, change, sequence: sequence() });
  const body = newBody(fault.body);
  body.bytes = fault.bytes?.(body.bytes) ?? body.bytes;
  const asked = compose({ body, change: fault.header });
  if (fault.sign) {
    asked.request.message = peer.signMessage(fault.sign, asked.request.message.payload, identity.messageKey);
    asked.digest = peer.signedDigest(asked.request.message);
  }
  fault.sent?.(asked.request);
  const client = peer.connect(identity, card);
  try {
    const first = report(await peer.send(client, asked, fault), asked);
    // Section 3, "A retry": new message, same exchange_id, same body bytes.
    const retry = { again: () => compose({ body, exchangeId: asked.header.exchange_id }) };
    const second = (values.retry ? retry : fault).again?.(asked, compose);
    if (!second) return first;
    return { ...report(await peer.send(client, second), second), first };
  } finally {
    client.close();
  }
}

async function echo() {
  const identity = loadIdentity(values.dir);
  const { card } = peer.openCard(readFileSync(values["peer-card"], "utf8"));
  const content = randomBytes(16);
  const asked = peer.composeEcho({ identity, card, content });
  const client = peer.connect(identity, card);
  try {
    const { response, error } = await peer.send(client, asked);
    if (error) return report({ error }, asked);
    const answer = peer.openEcho(response, asked);
    const purposes = peer.enumOf("Purpose").valuesById;
    return {
      outcome: "OK",
      same_content: answer.content.equals(content),
      accepted_card_serial: answer.accepted_card_serial,
      federation_epochs: answer.federation_epochs,
      grants: answer.grants.map((grant) => peer.wordOf("PURPOSE_", purposes[grant.purpose])),
    };
  } finally {
    client.close();
  }
}

const commands = {
  "make-identity": () => makeIdentity(positionals[1], values.id, values),
  query,
  echo,
};
const command = commands[positionals[0]];
if (!command) throw new Error(`one of ${Object.keys(commands).join(", ")}`);
console.log(JSON.stringify(await command()));
