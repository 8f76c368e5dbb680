// Tokens: what they were made with, expiry, idle time, allowlist, rotation.
import assert from "node:assert/strict";
import test from "node:test";
import { client, refused, root, sleep } from "./client.mjs";

const nothing = { fullAccess: false, read: [], write: [] };

test("a token keeps what it was made with", async () => {
  const expiresAt = Date.UTC(2099, 11, 31, 23, 59, 59);
  const permissions = { fullAccess: false, read: ["robots", "arm*"], write: ["robots"] };
  const value = await root.createToken("full-of-rules", {
    permissions,
    expiresAt,
    ttl: 3600,
    ipAllowlist: ["127.0.0.0/8"],
  });
  assert.ok(value.startsWith("full-of-rules-"));
  const token = await root.getToken("full-of-rules");
  assert.deepEqual(token.permissions, permissions);
  assert.deepEqual(
    [token.expiresAt, token.ttl, token.ipAllowlist, token.isExpired, token.lastAccess, token.isProvisioned],
    [expiresAt, 3600, ["127.0.0.0/8"], false, undefined, false],
  );
  assert.ok(Math.abs(token.createdAt - Date.now()) < 60_000);
  assert.ok((await root.getTokenList()).some(({ name, ttl }) => name === "full-of-rules" && ttl === 3600));
});

test("a client that has heard no version yet makes tokens, too", async () => {
  const value = await client(process.argv[3]).createToken("early", { fullAccess: true });
  const me = await client(value).me();
  assert.deepEqual([me.name, me.permissions], ["early", { fullAccess: true, read: [], write: [] }]);
  await root.deleteToken("early");
  await refused(client(value).me(), 401, "Invalid token");
  await refused(root.getToken("early"), 404, "Token 'early' doesn't exist");
});

test("an expired token", async () => {
  const expiresAt = Date.now() + 3000;
  const value = await root.createToken("brief", { permissions: nothing, expiresAt });
  assert.equal((await client(value).me()).isExpired, false);
  await sleep((expiresAt - Date.now()) / 1000 + 0.1);
  await refused(client(value).me(), 401, "Token has expired");
  assert.equal((await root.getToken("brief")).isExpired, true);
  await refused(root.rotateToken("brief"), 422, "Can't rotate expired token 'brief'");
});

test("an idle token, and an address that is not allowed", async () => {
  const sleepy = await root.createToken("sleepy", { permissions: nothing, ttl: 1 });
  const elsewhere = await root.createToken("elsewhere", { permissions: nothing, ipAllowlist: ["10.0.0.0/8"] });
  await refused(client(elsewhere).me(), 401, "Token is not allowed for client IP 127.0.0.1");
  await sleep(2.5);
  await refused(client(sleepy).me(), 401, "Token has expired");
});

test("rotation", async () => {
  const old = await root.createToken("turning", { ...nothing, read: ["robots"] });
  const value = await root.rotateToken("turning");
  await refused(client(old).me(), 401, "Invalid token");
  assert.deepEqual((await client(value).me()).permissions, { ...nothing, read: ["robots"] });
});

test("no token at all", async () => {
  await refused(client("").me(), 401, "No bearer token in request header");
  await refused(client(undefined).me(), 401, "Invalid token"); // the SDK sends the word `undefined`
});

test("narrow tokens administer nothing", async () => {
  const narrow = client(await root.createToken("narrow", { ...nothing, read: ["*"], write: ["*"] }));
  for (const call of [
    () => narrow.createBucket("mine"),
    () => narrow.getTokenList(),
    () => narrow.createToken("more", { fullAccess: true }),
    () => narrow.deleteToken("init-token"),
    () => narrow.rotateToken("narrow"),
    () => narrow.getReplicationList(),
    () => narrow.getLifecycleList(),
  ]) {
    await refused(call(), 403, "Token 'narrow' doesn't have full access");
  }
});

test("rules that make no sense", async () => {
  await refused(root.createToken("bad", { permissions: nothing, ttl: 0 }), 422, "Token TTL must be greater than zero");
  await refused(
    root.createToken("bad", { permissions: nothing, expiresAt: Date.now() - 60_000 }),
    422,
    "Token expiration date must not be in the past",
  );
});
