// Many records in one request: over several entries, and over one as clients below 1.18 do.
import assert from "node:assert/strict";
import test from "node:test";
import { contents, newBucket, plain, read, refused, times, write } from "./client.mjs";

const OCTETS = "application/octet-stream";

/** Type and labels of each record. */
async function described(bucket, entries) {
  const found = {};
  for await (const record of bucket.query(entries, undefined, undefined, { head: true })) {
    found[`${record.entry} ${record.time}`] = [record.contentType, record.labels];
  }
  return found;
}

test("write over entries", async () => {
  const bucket = await newBucket("write");
  const batch = bucket.beginWriteRecordBatch();
  // This SDK puts the contents in the order of time, the protocol has them in that of entries: here it is the same.
  batch.add("b/deep", 4n, Buffer.from("4444"));
  batch.add("a", 2n, "", "image/png", { n: 1 });
  batch.add("a", 1n, "1", "text/plain", { n: 1 });
  batch.add("b/deep", 3n, "two", undefined, { n: 2, list: "x,y", formula: "a=b" });
  assert.deepEqual(plain(await batch.send()), {});
  assert.deepEqual(await contents(bucket.query("*")), [
    ["a", 1, "1"],
    ["a", 2, ""],
    ["b/deep", 3, "two"],
    ["b/deep", 4, "4444"],
  ]);
  assert.deepEqual(await described(bucket, "*"), {
    "a 1": ["text/plain", { n: "1" }],
    "a 2": ["image/png", { n: "1" }],
    "b/deep 3": [OCTETS, { n: "2", list: "x,y", formula: "a=b" }],
    "b/deep 4": [OCTETS, {}],
  });
});

test("what a batch could not write", async () => {
  const bucket = await newBucket("conflicts");
  await write(bucket, "a", 2, "first");
  const batch = bucket.beginWriteRecordBatch();
  batch.add("a", 1n, "one");
  batch.add("a", 2n, "again");
  batch.add("a", 3n, "three");
  batch.add("c", 4n, "four");
  assert.deepEqual(plain(await batch.send()), { a: { 2: "409 A record with timestamp 2 already exists" } });
  assert.deepEqual(await contents(bucket.query(["a", "c"])), [
    ["a", 1, "one"],
    ["a", 2, "first"],
    ["a", 3, "three"],
    ["c", 4, "four"],
  ]);
});

test("update over entries", async () => {
  const bucket = await newBucket("update");
  for (const [entry, ts] of [["a", 1], ["a", 2], ["b", 1]]) {
    await write(bucket, entry, ts, "x", { keep: 1, drop: 2 });
  }
  const batch = bucket.beginUpdateRecordBatch();
  batch.addOnlyLabels("a", 1n, { drop: "", state: "good,really" });
  batch.addOnlyLabels("a", 2n, { drop: "", state: "bad" });
  batch.addOnlyLabels("b", 1n, { 7: "a number for a name" });
  batch.addOnlyLabels("b", 9n, { state: "bad" });
  batch.addOnlyLabels("none", 1n, { state: "bad" });
  assert.deepEqual(plain(await batch.send()), {
    b: { 9: `404 Record 9 not found in entry ${bucket.getName()}/b` },
    none: { 1: `404 Entry 'none' not found in bucket '${bucket.getName()}'` },
  });
  assert.deepEqual(await described(bucket, "*"), {
    "a 1": [OCTETS, { keep: "1", state: "good,really" }],
    "a 2": [OCTETS, { keep: "1", state: "bad" }],
    "b 1": [OCTETS, { keep: "1", drop: "2", 7: "a number for a name" }],
  });
  assert.equal(await read(bucket, "a", 1), "x");
});

test("remove over entries", async () => {
  const bucket = await newBucket("remove");
  for (const [entry, ts] of [["a", 1], ["a", 2], ["b", 1], ["b", 3]]) await write(bucket, entry, ts, "x");
  const batch = bucket.beginRemoveRecordBatch();
  for (const [entry, ts] of [["a", 1n], ["a", 7n], ["b", 3n], ["none", 1n]]) batch.addOnlyTimestamp(entry, ts);
  assert.deepEqual(plain(await batch.send()), {
    a: { 7: `404 Record 7 not found in entry ${bucket.getName()}/a` },
    none: { 1: `404 Entry 'none' not found in bucket '${bucket.getName()}'` },
  });
  assert.deepEqual(await contents(bucket.query("*")), [
    ["b", 1, "x"],
    ["a", 2, "x"],
  ]);
});

test("empty batches", async () => {
  const bucket = await newBucket("empty");
  await write(bucket, "a", 1, "x");
  for (const batch of [
    bucket.beginWriteRecordBatch(),
    bucket.beginUpdateRecordBatch(),
    bucket.beginRemoveRecordBatch(),
  ]) {
    assert.deepEqual(plain(await batch.send()), {});
  }
  assert.deepEqual(await times(bucket.query("*")), [1]);
});

test("one entry", async () => {
  const bucket = await newBucket("one");
  await write(bucket, "e", 20, "first");
  const batch = await bucket.beginWriteBatch("e");
  batch.add(100n, "hundred", "text/plain", { n: 100, list: "x,y" });
  batch.add(20n, "again");
  batch.add(3n, "three", undefined, { formula: "a=b", drop: 1 });
  assert.deepEqual(plain(await batch.write()), { 20: "409 A record with timestamp 20 already exists" });
  assert.deepEqual(await contents(bucket.query("e")), [
    ["e", 3, "three"],
    ["e", 20, "first"],
    ["e", 100, "hundred"],
  ]);
  const labels = await bucket.beginUpdateBatch("e");
  labels.addOnlyLabels(3n, { drop: "", state: "good,really" });
  labels.addOnlyLabels(9n, { state: "good" });
  const missing = { 9: `404 Record 9 not found in entry ${bucket.getName()}/e` };
  assert.deepEqual(plain(await labels.write()), missing);
  const doomed = await bucket.beginRemoveBatch("e");
  doomed.addOnlyTimestamp(20n);
  doomed.addOnlyTimestamp(9n);
  assert.deepEqual(plain(await doomed.write()), missing);
  assert.deepEqual(await described(bucket, "e"), {
    "e 3": [OCTETS, { formula: "a=b", state: "good,really" }],
    "e 100": ["text/plain", { n: "100", list: "x,y" }],
  });
  const elsewhere = await bucket.beginRemoveBatch("none");
  elsewhere.addOnlyTimestamp(1n);
  await refused(elsewhere.write(), 404, `Entry 'none' not found in bucket '${bucket.getName()}'`);
});
