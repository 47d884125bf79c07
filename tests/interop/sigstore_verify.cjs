// Checks a proof file with the verifier that npm itself uses for provenance (@sigstore/verify, its
// transparency-log internals): node sigstore_verify.cjs PROOF_FILE ENTRY LOG_VKEY
const { createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint.js");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle.js");

const [proofFile, leafFile, vkey] = process.argv.slice(2);
const text = readFileSync(proofFile, "utf-8");
const split = text.indexOf("\n\n");
const [header, index, ...hashes] = text.slice(0, split).split("\n");
if (header !== "c2sp.org/tlog-proof@v1" || !index.startsWith("index ")) throw new Error("no proof file");

const [name, keyId] = vkey.split("+", 2);
const key = Buffer.from(vkey.slice(name.length + keyId.length + 2), "base64");
const log = {
  baseURL: name,
  logID: Buffer.from(keyId, "hex"),
  publicKey: createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: key.subarray(1).toString("base64url") },
    format: "jwk",
  }),
};
const entry = {
  canonicalizedBody: readFileSync(leafFile),
  inclusionProof: {
    logIndex: index.slice("index ".length),
    hashes: hashes.map((line) => Buffer.from(line, "base64")),
    checkpoint: { envelope: text.slice(split + 2) },
  },
};
try {
  const head = verifyCheckpoint(entry, [log]);
  verifyMerkleInclusion(entry, head);
  console.log(`included ${head.logSize}`);
} catch (error) {
  if (error.name !== "VerificationError") throw error;
  console.log(`rejected: ${error.message}`);
  process.exit(1);
}
