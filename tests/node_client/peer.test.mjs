// Self-checks of the library: published vectors, and round trips against itself.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeIdentity, loadIdentity } from "./identity.mjs";
import * as peer from "./peer.mjs";

const hex = (bytes) => Buffer.from(bytes).toString("hex");

test("PAE: the vector of the DSSE specification, and lengths in bytes", () => {
  assert.equal(peer.pae("http://example.com/HelloWorld", Buffer.from("hello world")).toString(),
    "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  assert.equal(peer.pae("é", Buffer.from("分")).toString(), "DSSEv1 2 é 3 分");
});

// The reference inputs of RFC 6962 implementations, with their roots.
const LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
  .map((leaf) => Buffer.from(leaf, "hex"));

test("Merkle tree: known roots, and every inclusion proof", () => {
  assert.equal(hex(peer.merkleRoot([])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.equal(hex(peer.merkleRoot(LEAVES.slice(0, 1))),
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
  assert.equal(hex(peer.merkleRoot(LEAVES)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
  const path = (index, leaves) => { // RFC 6962 section 2.1.1, as written
    if (leaves.length <= 1) return [];
    let split = 1;
    while (split * 2 < leaves.length) split *= 2;
    const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
    if (index < split) return [...path(index, left), peer.merkleRoot(right)];
    return [...path(index - split, right), peer.merkleRoot(left)];
  };
  for (let size = 1; size <= LEAVES.length; size += 1) {
    const leaves = LEAVES.slice(0, size);
    leaves.forEach((leaf, index) => {
      const proof = path(index, leaves);
      assert.deepEqual(peer.rootOfProof(peer.leafHash(leaf), index, size, proof), peer.merkleRoot(leaves));
      assert.throws(() => peer.rootOfProof(peer.leafHash(leaf), index, size, [...proof, Buffer.alloc(32)]), /too long/);
    });
  }
});

test("resident-id: check character, 15 digits, full-width characters", () => {
  assert.equal(peer.normaliseResidentId(" 99003719930805309x "), "99003719930805309X");
  assert.equal(peer.normaliseResidentId("９９００３７１９９３０８０５３０９Ｘ"), "99003719930805309X");
  assert.equal(peer.normaliseResidentId("990037930805309"), "99003719930805309X");
  assert.throws(() => peer.normaliseResidentId("990037199308053091"), /check character/);
});

test("canonical JSON sorts its members", () => {
  assert.equal(peer.canonical({ v: 1, asker: "b", answerer: "a" }).toString(), '{"answerer":"a","asker":"b","v":1}');
});

test("checkpoint: signed by the log's key, refused when changed", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const verifierKey = peer.makeVerifierKey("audit.example/1", publicKey);
  const text = `audit.example/1\n3\n${Buffer.alloc(32, 7).toString("base64")}\n`;
  const { id } = peer.parseVerifierKey(verifierKey);
  const signature = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]).toString("base64");
  const note = `${text}\n— audit.example/1 ${signature}\n`;
  assert.equal(peer.openCheckpoint(note, verifierKey).size, 3);
  assert.equal(peer.openCheckpoint(`${note}— witness.example ${signature}\n`, verifierKey).size, 3);
  assert.throws(() => peer.openCheckpoint(note.replace("\n3\n", "\n4\n"), verifierKey), { outcome: "RECEIPT_INVALID" });
});

test("a card opens by its own key, and not when a byte or a field was added", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "peer-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const { fingerprint } = makeIdentity(join(dir, "hunan"), "hunan");
  const text = readFileSync(join(dir, "hunan", "card.json"), "utf8");
  const opened = peer.openCard(text);
  assert.equal(opened.fingerprint, fingerprint);
  assert.equal(opened.card.node_id, "hunan");
  const envelope = JSON.parse(text);
  const payload = Buffer.concat([Buffer.from(envelope.payload, "base64"), Buffer.from([0xf8, 0x07, 1])]); // field 127
  assert.throws(() => peer.openCard(JSON.stringify({ ...envelope, payload: payload.toString("base64") })),
    { outcome: "ANSWER_NOT_SIGNED" });
  const { messageKey } = loadIdentity(join(dir, "hunan"));
  const signed = peer.signMessage("node-card", payload, messageKey);
  const signatures = [{ keyid: signed.signatures[0].key_id, sig: signed.signatures[0].signature.toString("base64") }];
  assert.throws(() => peer.openCard(JSON.stringify({ ...envelope, payload: payload.toString("base64"), signatures })),
    /unknown field 127/);
});

test("a query's openings lead to its root, and a purpose that is not listed can be sent", (t) => {
  const token = peer.subjectToken(Buffer.alloc(32, 1), "990099199604121228");
  const body = peer.makeBody({
    token, epoch: "2026", purpose: "employment", kinds: ["degree"], legalBasis: "statutory-duty",
    change: (fields) => { fields.purpose = 99; },
  });
  const sent = peer.decode("RecordQueryBody", body.bytes);
  assert.equal(sent.purpose, 99);
  assert.deepEqual(sent.subjects_root, peer.merkleRoot(body.openings.map(peer.commitment)));
});

// An answerer whose log holds this one exchange; `lie` changes what it is about to sign or send.
function answerOf(asked, answerer, logKey, lie = {}) {
  const openings = [{
    item_type: "record", key: Buffer.alloc(32, 3),
    item: peer.encode("LearningRecord", { record_id: "R1", source_node: lie.source ?? "answerer" }),
  }];
  const body = peer.encode("RecordAnswerBody", {
    records_root: peer.merkleRoot(openings.map(peer.commitment)), record_counts: [lie.count ?? 1],
    query_body_digest: peer.sha256(asked.body),
  });
  const origin = "audit.answerer.example/1";
  const receipt = { log_origin: origin, leaf_index: 0, logged_at_ms: 1_700_000_000_000, inclusion_proof: [] };
  const leaf = peer.auditLeaf({ asked, receipt, body, outcome: lie.outcome ?? "OK", count: 1 });
  const text = `${receipt.log_origin}\n1\n${peer.leafHash(leaf).toString("base64")}\n`;
  const { id } = peer.parseVerifierKey(asked.card.log.verifier_key);
  const signature = Buffer.concat([id, sign(null, Buffer.from(text), logKey)]).toString("base64");
  receipt.checkpoint = `${text}\n— ${receipt.log_origin} ${signature}\n`;
  const header = {
    ...peer.makeHeader({ identity: answerer, card: { node_id: "hunan" }, method: peer.QUERY, sequence: 1, now: lie.now }),
    exchange_id: asked.header.exchange_id, in_reply_to: lie.inReplyTo ?? asked.header.message_id,
    request_digest: asked.digest,
  };
  const payload = peer.encode("RecordAnswer", { header, body, receipt: lie.receipt === null ? undefined : receipt });
  const message = peer.signMessage("record-answer", payload, lie.key ?? answerer.messageKey);
  const response = { message, openings: lie.openings ?? openings };
  return peer.decode("QueryRecordsResponse", peer.encode("QueryRecordsResponse", response));
}

test("an answer is believed only when everything about it holds", () => {
  const [messageKey, logKey, other] = [1, 2, 3].map(() => generateKeyPairSync("ed25519"));
  const spki = peer.spkiOf(messageKey.publicKey);
  const origin = "audit.answerer.example/1";
  const card = {
    node_id: "answerer", log: { origin, verifier_key: peer.makeVerifierKey(origin, logKey.publicKey) },
    keys: [{ key_id: peer.keyId(spki), spki, role: peer.enumOf("KeyRole").values.KEY_ROLE_MESSAGE }],
  };
  const answerer = { id: "answerer", messageKey: messageKey.privateKey };
  const body = peer.makeBody({
    token: Buffer.alloc(32), epoch: "2026", purpose: "employment", kinds: ["degree"], legalBasis: "statutory-duty",
  });
  const asked = peer.composeQuery({ identity: { id: "hunan", messageKey: other.privateKey }, card, body, sequence: 1 });
  const answer = (lie) => () => peer.openAnswer(answerOf(asked, answerer, logKey.privateKey, lie), asked);
  assert.equal(answer()().records[0].record_id, "R1");
  assert.throws(answer({ key: other.privateKey }), { outcome: "ANSWER_NOT_SIGNED" });
  assert.throws(answer({ inReplyTo: Buffer.alloc(16) }), { outcome: "ANSWER_NOT_BOUND" });
  assert.throws(answer({ now: Date.now() - 600_000 }), { outcome: "ANSWER_STALE" });
  assert.throws(answer({ now: Date.now() + 600_000 }), { outcome: "ANSWER_STALE" });
  assert.throws(answer({ openings: [] }), { outcome: "ANSWER_INCOMPLETE" });
  assert.throws(answer({ count: 2 }), { outcome: "ANSWER_INCOMPLETE" });
  assert.throws(answer({ source: "elsewhere" }), { outcome: "ANSWER_INCOMPLETE" });
  assert.throws(answer({ receipt: null }), { outcome: "RECEIPT_INVALID" });
  assert.throws(answer({ outcome: "SOURCE_UNAVAILABLE" }), { outcome: "RECEIPT_INVALID" });
});
