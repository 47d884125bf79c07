// Verifies credentials with other people's libraries: node verify.mjs JOB.json, one line of JSON a job.
// Knows nothing of the gateway: contexts, DID documents and status lists come in as documents.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as vc from '@digitalbazaar/vc';
import { DataIntegrityProof } from '@digitalbazaar/data-integrity';
import { cryptosuite as rdfc } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import * as jcs from '@digitalbazaar/eddsa-jcs-2022-cryptosuite';
import * as Ed25519Multikey from '@digitalbazaar/ed25519-multikey';
import { securityLoader } from '@digitalbazaar/security-document-loader';
import { checkStatus } from '@digitalbazaar/vc-bitstring-status-list';
import jsigs from 'jsonld-signatures';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const base = securityLoader();
for (const [url, document] of Object.entries(job.contexts)) base.addStatic(url, document);
const known = base.build();

async function documentLoader(url) {
  const [document] = url.split('#');
  if (document in job.documents) {
    const found = job.documents[document];
    const method = (found.verificationMethod ?? []).find(each => each.id === url);
    const shown = method ? { '@context': 'https://w3id.org/security/multikey/v1', ...method } : found;
    return { contextUrl: null, documentUrl: url, document: shown };
  }
  if (url.startsWith('did:key:')) {
    const [did, fragment] = url.split('#');
    const key = await Ed25519Multikey.from({
      '@context': 'https://w3id.org/security/multikey/v1', type: 'Multikey', id: `${did}#${fragment ?? did.slice(8)}`,
      controller: did, publicKeyMultibase: did.slice(8) });
    const multikey = await key.export({ publicKey: true, includeContext: true });
    const whole = { '@context': 'https://www.w3.org/ns/did/v1', id: did, verificationMethod: [multikey],
      assertionMethod: [multikey.id] };
    return { contextUrl: null, documentUrl: url, document: fragment ? multikey : whole };
  }
  return known(url);
}

function suitesFor(name) {
  const both = { 'eddsa-rdfc-2022': rdfc, 'eddsa-jcs-2022': jcs.cryptosuite ?? jcs.createVerifyCryptosuite() };
  return new DataIntegrityProof({ cryptosuite: both[name] });
}

for (const { name, credential, suite, status } of job.credentials) {
  const picked = { ...credential, proof: credential.proof.filter(each => each.cryptosuite === suite) };
  const asked = { credential: picked, suite: suitesFor(suite), documentLoader, now: new Date(job.now) };
  if (status) asked.checkStatus = options => checkStatus({ ...options, verifyMatchingIssuers: true,
    suite: suitesFor(suite), credential: options.credential });
  else if (picked.credentialStatus) asked.checkStatus = async () => ({ verified: true });
  const result = await vc.verifyCredential(asked);
  const errors = (result.error?.errors ?? [result.error]).filter(Boolean).map(each => each.message ?? String(each));
  console.log(JSON.stringify({ name, suite, verified: result.verified, errors,
    status: Object.fromEntries((result.statusResult?.results ?? []).map(each =>
      [each.credentialStatus.statusPurpose, each.status])) }));
}
