// Load that nobody here wrote: k6 sends record queries over gRPC and mutual TLS. Settings come from one file.
// Queries are signed beforehand, each is sent once: the WebCrypto of k6 1.1 knows Ed25519 by name only.
import { check } from "k6";
import exec from "k6/execution";
import grpc from "k6/net/grpc";
import { SharedArray } from "k6/data";

const settings = JSON.parse(open(__ENV.SETTINGS));
const queries = new SharedArray("queries", () => JSON.parse(open(__ENV.QUERIES)));

export const options = {
  hosts: { [settings.name]: settings.address },
  scenarios: {
    load: { executor: "shared-iterations", vus: settings.clients, iterations: settings.exchanges, maxDuration: "80s" },
  },
  summaryTrendStats: ["med", "p(95)", "p(99)"],
  thresholds: { checks: ["rate==1"] },
};

const client = new grpc.Client();
client.load([settings.protos], "creditexchange/v1/exchange.proto");

export default function () {
  if (exec.vu.iterationInScenario === 0) {
    client.connect(`${settings.name}:${settings.address.split(":")[1]}`, {
      tls: { cacerts: settings.cas, cert: settings.leaf, key: settings.key },
      timeout: "10s",
    });
  }
  const query = queries[exec.scenario.iterationInTest];
  const response = client.invoke(settings.method, query, { timeout: "20s" });
  check(response, {
    "answered with records": (r) => r && r.status === grpc.StatusOK && r.message.openings.length === settings.records,
  });
}

export function handleSummary(data) {
  return { [settings.summary]: JSON.stringify(data.metrics) };
}
