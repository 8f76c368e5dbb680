// Narrow tokens: a reader that cannot write, a writer that cannot read, a stranger.
import assert from "node:assert/strict";
import test from "node:test";
import { contents, newBucket, plain, read, refused, root, times, visit, write } from "./client.mjs";

function oneOf(batch, add) {
  add(batch);
  return batch;
}

const READS = {
  read: (bucket) => read(bucket, "e", 1),
  "read the latest": (bucket) => read(bucket, "e"),
  query: (bucket) => times(bucket.query("e")),
  "query all": (bucket) => times(bucket.query("*")),
  subscribe: (bucket) => times(bucket.query("e", undefined, undefined, { continuous: true })),
  "read attachments": (bucket) => bucket.readAttachments("e"),
  link: (bucket) => bucket.createQueryLink("e", undefined, undefined, {}, { entry: "e", timestamp: 1n }),
  entries: (bucket) => bucket.getEntryList(),
};
const WRITES = {
  write: (bucket) => write(bucket, "e", 9, "x"),
  "write over entries": (bucket) =>
    oneOf(bucket.beginWriteRecordBatch(), (batch) => batch.add("e", 9n, "x")).send(),
  "write a batch": async (bucket) =>
    await oneOf(await bucket.beginWriteBatch("e"), (batch) => batch.add(9n, "x")).write(),
  update: (bucket) => bucket.update("e", 1n, { a: "b" }),
  "update over entries": (bucket) =>
    oneOf(bucket.beginUpdateRecordBatch(), (batch) => batch.addOnlyLabels("e", 1n, { a: "b" })).send(),
  "update a batch": async (bucket) =>
    await oneOf(await bucket.beginUpdateBatch("e"), (batch) => batch.addOnlyLabels(1n, { a: "b" })).write(),
  "remove a record": (bucket) => bucket.removeRecord("e", 1n),
  "remove over entries": (bucket) =>
    oneOf(bucket.beginRemoveRecordBatch(), (batch) => batch.addOnlyTimestamp("e", 1n)).send(),
  "remove a batch": async (bucket) =>
    await oneOf(await bucket.beginRemoveBatch("e"), (batch) => batch.addOnlyTimestamp(1n)).write(),
  "remove by query": (bucket) => bucket.removeQuery("e", 1n),
  "remove the entry": (bucket) => bucket.removeEntry("e"),
  "rename the entry": (bucket) => bucket.renameEntry("e", "f"),
  attach: (bucket) => bucket.writeAttachments("e", { a: 1 }),
};

async function filled() {
  const bucket = await newBucket("access");
  await write(bucket, "e", 1, "secret", { a: 1 });
  return bucket;
}

test("a reader reads in every way and writes in none", async () => {
  const bucket = await filled();
  const name = bucket.getName();
  const value = await root.createToken("reader", { read: [name], write: ["elsewhere"] });
  const reader = await visit(value, name);
  for (const call of Object.values(WRITES)) {
    await refused(call(reader), 403, `Token 'reader' doesn't have write access to bucket '${name}'`);
  }
  await refused(reader.remove(), 403, "Token 'reader' doesn't have full access");
  await refused(reader.rename("mine"), 403, "Token 'reader' doesn't have full access");
  assert.equal(await read(reader, "e"), "secret");
  assert.deepEqual(await contents(reader.query("*")), [["e", 1, "secret"]]);
  assert.deepEqual((await reader.beginRead("e", 1n)).labels, { a: "1" });
  assert.deepEqual(await reader.readAttachments("e"), {});
  assert.deepEqual((await reader.getEntryList()).map((entry) => entry.name), ["e"]);
});

test("a writer writes in every way and reads in none", async () => {
  const bucket = await filled();
  const name = bucket.getName();
  const value = await root.createToken("writer", { read: ["elsewhere"], write: [name] });
  const writer = await visit(value, name);
  for (const call of Object.values(READS)) {
    await refused(call(writer), 403, `Token 'writer' doesn't have read access to bucket '${name}'`);
  }
  await refused(writer.setSettings({ quotaSize: 1n }), 403, "Token 'writer' doesn't have full access");
  const batch = writer.beginWriteRecordBatch();
  batch.add("f", 2n, "two");
  assert.deepEqual(plain(await batch.send()), {});
  await write(writer, "f", 3, "three");
  assert.equal(await writer.removeQuery("f", undefined, 3n), 1);
  await writer.update("f", 3n, { a: "b" });
  await writer.renameEntry("f", "g");
  await writer.writeAttachments("g", { a: 1 });
  assert.deepEqual(await contents(bucket.query("g")), [["g", 3, "three"]]);
  assert.deepEqual(await bucket.readAttachments("g"), { a: 1 });
});

test("the query of another", async () => {
  const bucket = await filled();
  const name = bucket.getName();
  const { data } = await root.httpClient.post(`/io/${name}/q`, { query_type: "QUERY", entries: ["*"] });
  const own = (await newBucket("stranger")).getName();
  const stranger = await visit(await root.createToken("stranger", { read: [own], write: ["*"] }), own);
  const headers = { "x-reduct-query-id": String(data.id) };
  await refused(
    stranger.httpClient.get(`/io/${name}/read`, headers),
    403,
    `Token 'stranger' doesn't have read access to bucket '${name}'`,
  );
  await refused(
    stranger.httpClient.get(`/io/${own}/read`, headers),
    404,
    `Query ${data.id} not found and it might have expired. Check TTL in your query request.`,
  );
  const found = await root.httpClient.get(`/io/${name}/read`, headers);
  assert.equal(found.headers.get("x-reduct-last"), "true");
});
