// Queries: which records, in which order, under which conditions; subscriptions; removal.
import assert from "node:assert/strict";
import test from "node:test";
import { APIError, Bucket } from "reduct-js";
import { client, contents, newBucket, plain, refused, sleep, times, until, write } from "./client.mjs";

/** Write records at times that are their numbers, with labels, fifty in a request. */
async function fill(bucket, entry, first, last) {
  for (let start = first; start <= last; start += 50) {
    const batch = bucket.beginWriteRecordBatch();
    for (let number = start; number <= Math.min(start + 49, last); number += 1) {
      batch.add(entry, BigInt(number), `${entry}${number}`, undefined, { n: number, even: number % 2 === 0 });
    }
    assert.deepEqual(plain(await batch.send()), {});
  }
}

test("the order of several entries", async () => {
  const bucket = await newBucket("order");
  await fill(bucket, "b", 1, 3);
  await fill(bucket, "a", 2, 4);
  assert.deepEqual(await contents(bucket.query(["a", "b"])), [
    ["b", 1, "b1"],
    ["a", 2, "a2"],
    ["b", 2, "b2"],
    ["a", 3, "a3"],
    ["b", 3, "b3"],
    ["a", 4, "a4"],
  ]);
  assert.deepEqual(await contents(bucket.query(["*", "!b"], 3n)), [
    ["a", 3, "a3"],
    ["a", 4, "a4"],
  ]);
  assert.deepEqual(await contents(bucket.query("none")), []);
  assert.deepEqual(await times(bucket.query("a", 2n, 4n)), [2, 3]);
  assert.deepEqual(await times(bucket.query("a", 0n)), [2, 3, 4]);
});

test("conditions", async () => {
  const bucket = await newBucket("conditions");
  await fill(bucket, "e", 1, 6);
  for (const [when, found] of [
    [{ "&n": { $gt: 4 } }, [5, 6]],
    [{ "&even": { $eq: true }, $limit: 2 }, [2, 4]],
    [{ $in: ["&n", 2n, 3, 9] }, [2, 3]],
    [{ $each_n: 2 }, [2, 4, 6]],
    [{ "&missing": { $gt: 4 } }, []],
  ]) {
    assert.deepEqual(await times(bucket.query("e", undefined, undefined, { when })), found);
  }
  await refused(
    times(bucket.query("e", undefined, undefined, { when: { "&missing": { $gt: 4 } }, strict: true })),
    404,
    "Reference 'missing' not found",
  );
  await refused(
    times(bucket.query("e", undefined, undefined, { when: { $foo: [1] } })),
    422,
    "Operator '$foo' not supported",
  );
});

test("heads only", async () => {
  const bucket = await newBucket("heads");
  await write(bucket, "e", 1, "longer", { k: "v,w" }, "text/plain");
  const found = [];
  for await (const record of bucket.query("*", undefined, undefined, { head: true })) {
    found.push([record.entry, record.size, record.contentType, record.labels, await record.readAsString()]);
  }
  assert.deepEqual(found, [["e", 6n, "text/plain", { k: "v,w" }, ""]]);
});

test("a client that has heard no version yet queries as of old", async () => {
  const bucket = await newBucket("early");
  await fill(bucket, "e", 1, 100);
  const early = () => new Bucket(bucket.getName(), client(process.argv[3]).httpClient);
  assert.deepEqual(
    await contents(early().query("e", 10n)),
    Array.from({ length: 91 }, (_, index) => ["e", index + 10, `e${index + 10}`]),
  );
  assert.equal(await early().removeQuery("e", 1n, 100n), 99);
  await refused(
    times(early().query("none")),
    404,
    `Entry 'none' not found in bucket '${bucket.getName()}'`,
  );
});

for (const [count, last] of [[84, true], [85, false], [200, true]]) {
  test(`${count} records`, async () => {
    const bucket = await newBucket("many");
    await fill(bucket, "e", 1, count);
    const found = [];
    for await (const record of bucket.query("e")) {
      found.push([Number(record.time), await record.readAsString(), record.last]);
    }
    assert.deepEqual(
      found,
      Array.from({ length: count }, (_, index) => [index + 1, `e${index + 1}`, last && index + 1 === count]),
    );
  });
}

test("large records", async () => {
  const bucket = await newBucket("large");
  const sizes = [3_000_000, 5_500_000, 9_000_000, 0, 1];
  for (const [index, size] of sizes.entries()) await write(bucket, "e", index + 1, Buffer.alloc(size, index + 1));
  const found = [];
  for await (const record of bucket.query("e")) {
    const content = await record.read();
    assert.ok(content.equals(Buffer.alloc(sizes[found.length], found.length + 1)));
    found.push(Number(record.size));
  }
  assert.deepEqual(found, sizes);
});

test("large labels", async () => {
  // Node takes 16 kB of headers in one answer: a batch must end before.
  const bucket = await newBucket("labels");
  const texts = Array.from({ length: 60 }, (_, index) => `${index}-`.repeat(300));
  for (const [index, text] of texts.entries()) await write(bucket, "e", index + 1, "x", { text });
  const found = [];
  for await (const record of bucket.query("e")) found.push(record.labels.text);
  assert.deepEqual(found, texts);
});

test("a query that nobody reads on", async () => {
  const bucket = await newBucket("idle");
  await fill(bucket, "e", 1, 100);
  let read = 0;
  const error = await (async () => {
    for await (const record of bucket.query("e", undefined, undefined, { ttl: 2 })) {
      await record.read();
      read += 1;
      if (read === 85) await sleep(4);
    }
  })().catch((reason) => reason);
  assert.ok(error instanceof APIError, error);
  assert.deepEqual([read, error.status], [85, 404]);
  assert.match(
    error.message,
    /^Query \d+ not found and it might have expired\. Check TTL in your query request\.$/,
  );
});

test("subscribe", async () => {
  const bucket = await newBucket("subscribe");
  await fill(bucket, "a", 1, 2);
  await fill(bucket, "b", 1, 1);
  const seen = [];
  const listening = (async () => {
    const options = { continuous: true, pollInterval: 0.5, ttl: 3 };
    for await (const record of bucket.query(["a", "b"], 2n, undefined, options)) {
      seen.push([record.entry, Number(record.time), await record.readAsString()]);
      if (record.time === 8n) return;
    }
    assert.fail("the subscription ended");
  })();
  listening.catch(() => undefined); // it is awaited below
  await sleep(5); // longer than the query would live unread
  assert.deepEqual(seen, [["a", 2, "a2"]]);
  await fill(bucket, "b", 3, 4);
  await until(() => seen.length >= 3);
  assert.deepEqual(seen.slice(1), [["b", 3, "b3"], ["b", 4, "b4"]]);
  await fill(bucket, "a", 5, 8);
  await until(() => seen.length >= 7);
  await listening;
  assert.deepEqual(seen.slice(3), [["a", 5, "a5"], ["a", 6, "a6"], ["a", 7, "a7"], ["a", 8, "a8"]]);
});

test("removal", async () => {
  const bucket = await newBucket("removal");
  await fill(bucket, "a", 1, 4);
  await fill(bucket, "b", 1, 2);
  assert.equal(await bucket.removeQuery("a", 2n, 4n), 2);
  assert.equal(await bucket.removeQuery("*", undefined, undefined, { when: { "&even": { $eq: true } } }), 2);
  assert.equal(await bucket.removeQuery("none", 1n), 0);
  assert.deepEqual(await contents(bucket.query("*")), [["a", 1, "a1"], ["b", 1, "b1"]]);
});
