// Calls Echo over HTTP/2 with a chosen TLS version: no gRPC library lets one choose an old one.
import { readFileSync } from "node:fs";
import http2 from "node:http2";

const [address, name, folder, version] = process.argv.slice(2);
const read = (file) => readFileSync(`${folder}/${file}`);
const client = http2.connect(`https://${address}`, {
  ca: read("ca"), cert: read("cert"), key: read("key"),
  servername: name, minVersion: version, maxVersion: version,
});
client.on("error", (error) => { console.log(`handshake refused: ${error.code ?? error.message}`); process.exit(0); });
const call = client.request({
  ":method": "POST", ":path": "/creditexchange.v1.RecordExchangeService/Echo",
  "content-type": "application/grpc", te: "trailers", "grpc-timeout": "10S",
});
const show = (headers) => {
  if (headers["grpc-status"] === undefined) return;
  const details = Buffer.from(String(headers["grpc-status-details-bin"] ?? ""), "base64").toString("latin1");
  console.log(`grpc-status ${headers["grpc-status"]} ${details.replace(/[^A-Z_a-z ]/g, ".")}`);
};
call.on("response", show);
call.on("trailers", show);
call.on("error", (error) => console.log(`handshake refused: ${error.code ?? error.message}`));
call.on("close", () => client.close());
call.resume();
call.end(Buffer.from([0, 0, 0, 0, 5, ...Buffer.from("hello")]));
