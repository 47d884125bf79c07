// A certified OpenID Connect provider that knows real names. Arguments: port, redirect URI, client secret, resident id.
import Provider from "oidc-provider";

const [port, redirectUri, secret, residentId] = process.argv.slice(2);
const people = { lin: { name: "林思雨", resident_id: residentId }, guest: { name: "guest" } };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ["sub"], profile: ["name", "resident_id"] },
  clients: [
    {
      client_id: "portal",
      client_secret: secret,
      redirect_uris: [redirectUri],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  cookies: { keys: ["only for this test"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  pkce: { required: () => true },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
