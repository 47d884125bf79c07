// Verifies credentials of a credit bank with npm's libraries: node verify-credential.mjs CONTEXTS FILE...
// CONTEXTS is a folder with the published JSON-LD contexts (gateway/exports/contexts). did:web and status
// lists are fetched over HTTPS; with did:key nothing is fetched. Exit status 1 when one does not verify.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as vc from '@digitalbazaar/vc';
import { DataIntegrityProof } from '@digitalbazaar/data-integrity';
import { cryptosuite as rdfc } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import { createVerifyCryptosuite as jcs } from '@digitalbazaar/eddsa-jcs-2022-cryptosuite';
import { securityLoader } from '@digitalbazaar/security-document-loader';
import { checkStatus } from '@digitalbazaar/vc-bitstring-status-list';

const [folder, ...files] = process.argv.slice(2);
const published = {
  'open-badges-3.0.3.json': 'https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json',
  'clr-2.0.1.json': 'https://purl.imsglobal.org/spec/clr/v2p0/context-2.0.1.json',
};
const loader = securityLoader();
for (const name of readdirSync(folder)) {
  if (name in published) loader.addStatic(published[name], JSON.parse(readFileSync(join(folder, name))));
}
const known = loader.build();
const own = JSON.parse(readFileSync(join(folder, 'credit-exchange-v1.json')));

async function documentLoader(url) {
  // The issuer's own terms: the published copy counts, whatever is served at the address.
  if (url === 'urn:credit-exchange:context:v1' || url.endsWith('/credentials/context/v1.json')) {
    return { contextUrl: null, documentUrl: url, document: own };
  }
  const [did, fragment] = url.split('#');
  if (did.startsWith('did:key:') || did.startsWith('did:web:')) {
    const document = did.startsWith('did:key:') ? ofKey(did) : await fetched(
      `https://${decodeURIComponent(did.slice('did:web:'.length))}/.well-known/did.json`);
    const method = document.verificationMethod.find(each => each.id === url);
    const context = 'https://w3id.org/security/multikey/v1';
    return { contextUrl: null, documentUrl: url, document: fragment ? { '@context': context, ...method } : document };
  }
  if (url.includes('/credentials/status/')) {
    return { contextUrl: null, documentUrl: url, document: await fetched(url) };
  }
  return known(url);
}

function ofKey(did) {
  const key = did.slice('did:key:'.length);
  const method = { id: `${did}#${key}`, type: 'Multikey', controller: did, publicKeyMultibase: key };
  return { '@context': 'https://www.w3.org/ns/did/v1', id: did, verificationMethod: [method], assertionMethod: [method.id] };
}

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

let failed = 0;
async function verify(credential) {
  for (const [name, cryptosuite] of [['eddsa-rdfc-2022', rdfc], ['eddsa-jcs-2022', jcs()]]) {
    const suite = new DataIntegrityProof({ cryptosuite });
    const one = { ...credential, proof: credential.proof.filter(each => each.cryptosuite === name) };
    const status = credential.credentialStatus ? { checkStatus: options => checkStatus({ ...options, suite }) } : {};
    const result = await vc.verifyCredential({ credential: one, suite, documentLoader, ...status });
    const bits = (result.statusResult?.results ?? []).filter(each => each.status)
      .map(each => each.credentialStatus.statusPurpose);
    const why = result.error?.errors?.[0]?.message ?? result.error?.message ?? '';
    console.log(`${result.verified ? 'verified' : 'NOT VERIFIED'} ${name} ${credential.name} ${bits.join(' ')}${why}`);
    if (!result.verified || bits.length) failed = 1;
  }
  const inner = credential.credentialSubject.verifiableCredential ?? [];
  for (const each of [inner].flat()) await verify(each);
}
for (const file of files) await verify(JSON.parse(readFileSync(file)));
process.exit(failed);
