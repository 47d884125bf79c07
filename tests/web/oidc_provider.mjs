// A certified OpenID Connect provider with two people. Arguments: port, redirect URI, client secret.
import Provider from "oidc-provider";

const [port, redirectUri, secret] = process.argv.slice(2);
const groups = { alice: ["gateway-operators", "staff"], bob: ["staff"] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  claims: { openid: ["sub"], profile: ["name", "groups"] },
  clients: [
    {
      client_id: "console",
      client_secret: secret,
      redirect_uris: [redirectUri],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  cookies: { keys: ["only for this test"] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, name: `${id} of the test`, groups: groups[id] ?? [] }),
  }),
  pkce: { required: () => true },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
