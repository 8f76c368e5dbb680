// Links: one record, to whoever has the address.
import assert from "node:assert/strict";
import test from "node:test";
import { newBucket, refused, root, serverUrl, sleep, visit, write } from "./client.mjs";

/** Ask this server for a link's path, as somebody without a token. */
async function follow(link) {
  const { pathname, search } = new URL(link);
  const answer = await fetch(`${serverUrl}${pathname}${search}`);
  return [answer.status, answer.headers.get("x-reduct-error"), await answer.text(), answer.headers];
}

async function filled() {
  const bucket = await newBucket("links");
  for (const ts of [1, 2, 3]) await write(bucket, "arm/camera", ts, `picture${ts}`, { n: ts }, "image/png");
  await write(bucket, "log", 2, "line");
  return bucket;
}

test("a link", async () => {
  const bucket = await filled();
  const record = { entry: "arm/camera", timestamp: 2n };
  const link = await bucket.createQueryLink("arm/camera", undefined, undefined, undefined, record);
  assert.equal(new URL(link).pathname, "/api/v1/links/arm/camera_2.bin");
  const [status, , content, headers] = await follow(link);
  assert.deepEqual([status, content], [200, "picture2"]);
  assert.deepEqual(
    ["content-type", "x-reduct-time", "x-reduct-entry", "x-reduct-label-n"].map((name) => headers.get(name)),
    ["image/png", "2", "arm/camera", "2"],
  );
});

test("a link over several entries, with a condition, elsewhere", async () => {
  const bucket = await filled();
  const link = await bucket.createQueryLink(
    ["arm/camera", "log"],
    2n,
    3n,
    { when: { $limit: 1 } },
    { entry: "log", timestamp: 2n },
    undefined,
    "log.txt",
    "https://robots.example",
  );
  assert.ok(link.startsWith("https://robots.example/api/v1/links/log.txt?"), link);
  assert.deepEqual((await follow(link)).slice(0, 3), [200, null, "line"]);
});

test("a record that the query leaves out", async () => {
  const bucket = await filled();
  const link = await bucket.createQueryLink("log", 3n, undefined, {}, { entry: "log", timestamp: 2n });
  assert.deepEqual((await follow(link)).slice(0, 2), [404, "Record log/2 not found in query result"]);
});

test("a link that is over", async () => {
  const bucket = await filled();
  const past = new Date(Date.now() - 5000);
  const record = { entry: "log", timestamp: 2n };
  const link = await bucket.createQueryLink("log", undefined, undefined, {}, record, past);
  assert.deepEqual((await follow(link)).slice(0, 2), [422, "Query link has expired"]);
});

test("who may make one, and what ends it", async () => {
  const bucket = await filled();
  const record = { entry: "log", timestamp: 2n };
  const make = (visitor) => visitor.createQueryLink("log", undefined, undefined, {}, record);
  const name = bucket.getName();
  const writer = await root.createToken("link-writer", { write: [name] });
  await refused(
    make(await visit(writer, name)),
    403,
    `Token 'link-writer' doesn't have read access to bucket '${name}'`,
  );
  const links = {};
  const expiresAt = Date.now() + 5000;
  for (const token of ["rotated", "removed", "expired"]) {
    const rules = token === "expired" ? { expiresAt } : {};
    const value = await root.createToken(token, { permissions: { read: [name] }, ...rules });
    links[token] = await make(await visit(value, name));
    assert.deepEqual((await follow(links[token])).slice(0, 3), [200, null, "line"]);
  }
  await root.rotateToken("rotated");
  const [status, , content] = await follow(links.rotated);
  assert.ok(status >= 400 && status < 500 && !content.includes("line"), `${status} ${content}`);
  await root.deleteToken("removed");
  assert.deepEqual((await follow(links.removed)).slice(0, 2), [404, "Token 'removed' doesn't exist"]);
  await sleep((expiresAt - Date.now()) / 1000 + 0.1);
  assert.deepEqual((await follow(links.expired)).slice(0, 2), [401, "Token has expired"]);
});
