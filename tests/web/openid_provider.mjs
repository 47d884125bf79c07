// A certified OpenID Connect provider. Arguments: port, client id, its redirect URI and secret, and as JSON
// the claims of each person by account id; a person can sign in under any id.
import Provider from "oidc-provider";

const [port, clientId, redirectUri, secret, told] = process.argv.slice(2);
const people = JSON.parse(told);
const claims = [...new Set(Object.values(people).flatMap(Object.keys))];
const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ["sub"], profile: claims },
  clients: [
    {
      client_id: clientId,
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
