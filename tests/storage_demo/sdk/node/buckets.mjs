// The server, its buckets, single records and entries.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import test from "node:test";
import { QuotaType } from "reduct-js";
import { newBucket, read, refused, root, write } from "./client.mjs";

test("the server", async () => {
  await newBucket("server");
  const info = await root.getInfo();
  assert.deepEqual([info.version, info.license], ["1.21.0", undefined]);
  assert.ok(info.bucketCount >= 1n);
  assert.deepEqual(info.defaults.bucket, {
    maxBlockSize: 64_000_000n,
    maxBlockRecords: 1024n,
    quotaType: QuotaType.NONE,
    quotaSize: 0n,
  });
  assert.deepEqual(await root.getReplicationList(), []);
  assert.deepEqual(await root.getLifecycleList(), []);
});

test("buckets", async () => {
  const bucket = await root.createBucket("robots", { quotaType: QuotaType.HARD, quotaSize: 1000n });
  await refused(root.createBucket("robots"), 409, "Bucket 'robots' already exists");
  assert.equal((await root.getOrCreateBucket("robots")).getName(), "robots");
  await bucket.setSettings({ quotaSize: 100n });
  assert.deepEqual(await bucket.getSettings(), {
    maxBlockSize: 64_000_000n,
    maxBlockRecords: 1024n,
    quotaType: QuotaType.HARD,
    quotaSize: 100n,
  });
  await refused(write(bucket, "e", 1, "x".repeat(200)), 400, "Quota of 'robots' exceeded");
  await bucket.rename("machines");
  assert.ok((await root.getBucketList()).some(({ name }) => name === "machines"));
  await refused(root.getBucket("robots"), 404, "Bucket 'robots' is not found");
  await bucket.remove();
  await refused(root.getBucket("machines"), 404, "Bucket 'machines' is not found");
});

test("a record", async () => {
  const bucket = await newBucket("record");
  const content = Buffer.from([...Array(256).keys()]);
  const labels = { kind: "test", score: 0.5, good: true, list: "a,b", formula: "x=1" };
  await write(bucket, "arm/camera", 5, content, labels, "image/png");
  const record = await bucket.beginRead("arm/camera", 5n);
  assert.deepEqual(
    [record.entry, record.time, record.size, record.contentType],
    ["arm/camera", 5n, 256n, "image/png"],
  );
  assert.deepEqual(record.labels, { kind: "test", score: "0.5", good: "true", list: "a,b", formula: "x=1" });
  assert.deepEqual(await record.read(), content);
  const head = await bucket.beginRead("arm/camera", 5n, true);
  assert.deepEqual([head.size, head.contentType, await head.readAsString()], [256n, "image/png", ""]);
  await write(bucket, "arm/camera", 7, "");
  assert.equal(await read(bucket, "arm/camera"), "");
  await refused(write(bucket, "arm/camera", 7, "x"), 409, "A record with timestamp 7 already exists");
  await refused(read(bucket, "arm/camera", 6), 404, `Record 6 not found in entry ${bucket.getName()}/arm/camera`);
  await refused(read(bucket, "none"), 404, `Entry 'none' not found in bucket '${bucket.getName()}'`);
});

test("streams", async () => {
  const bucket = await newBucket("streams");
  const content = Buffer.alloc(1_000_000, "0123456789");
  const chunks = Array.from({ length: 10 }, (_, part) => content.subarray(part * 100_000, (part + 1) * 100_000));
  const record = await bucket.beginWrite("e", { ts: 1n });
  await record.write(Readable.toWeb(Readable.from(chunks)), content.length);
  const found = await bucket.beginRead("e", 1n);
  assert.equal(found.size, 1_000_000n);
  assert.deepEqual(await found.read(), content);
});

test("sizes", async () => {
  const bucket = await newBucket("sizes");
  await write(bucket, "e", 1_000_000, "12345678");
  const [entry] = await bucket.getEntryList();
  assert.deepEqual(entry, {
    name: "e",
    blockCount: 1n,
    recordCount: 1n,
    size: 40n,
    oldestRecord: 1_000_000n,
    latestRecord: 1_000_000n,
    status: "READY",
  });
  const info = await bucket.getInfo();
  assert.deepEqual([info.entryCount, info.size, info.latestRecord], [1n, 40n, 1_000_000n]);
});

test("labels change", async () => {
  const bucket = await newBucket("labels");
  await write(bucket, "e", 1, "x", { keep: "1", change: "old", drop: "x" });
  await bucket.update("e", 1n, { change: "new", drop: "", add: 2 });
  assert.deepEqual((await bucket.beginRead("e", 1n)).labels, { keep: "1", change: "new", add: "2" });
  await refused(bucket.update("e", 2n, { a: "b" }), 404, `Record 2 not found in entry ${bucket.getName()}/e`);
});

test("records and entries go and move", async () => {
  const bucket = await newBucket("moves");
  await write(bucket, "arm", 1, "1");
  await write(bucket, "arm", 2, "2");
  await write(bucket, "arm/camera", 3, "3");
  await bucket.removeRecord("arm", 2n);
  await refused(bucket.removeRecord("arm", 2n), 404, `Record 2 not found in entry ${bucket.getName()}/arm`);
  await bucket.renameEntry("arm", "left/arm");
  const names = async () => (await bucket.getEntryList()).map(({ name }) => name);
  assert.deepEqual(await names(), ["left", "left/arm", "left/arm/camera"]);
  assert.equal(await read(bucket, "left/arm"), "1");
  assert.equal(await read(bucket, "left/arm/camera", 3), "3");
  await refused(bucket.renameEntry("arm", "x"), 404, `Entry 'arm' not found in bucket '${bucket.getName()}'`);
  await refused(
    bucket.renameEntry("left/arm", "left"),
    409,
    `Entry 'left' already exists in bucket '${bucket.getName()}'`,
  );
  await bucket.removeEntry("left/arm");
  assert.deepEqual(await names(), ["left"]);
});
