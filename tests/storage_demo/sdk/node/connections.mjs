// One connection for all requests, as busy clients have it.
import assert from "node:assert/strict";
import test from "node:test";
import { Client } from "reduct-js";
import { contents, newBucket, plain, read, refused, serverUrl, write } from "./client.mjs";

test("kept connections", async () => {
  const client = new Client(serverUrl, { apiToken: process.argv[3], keepAlive: true });
  const bucket = await client.getBucket((await newBucket("kept")).getName());
  for (const ts of [10, 20, 30]) {
    await write(bucket, "e", ts, "x".repeat(200_000));
    await refused(write(bucket, "e", ts, "y".repeat(200_000)), 409, `A record with timestamp ${ts} already exists`);
    assert.equal((await bucket.beginRead("e", BigInt(ts), true)).size, 200_000n);
    const batch = bucket.beginWriteRecordBatch();
    batch.add("e", BigInt(ts), "z".repeat(1000));
    batch.add("f", BigInt(ts + 1), "f");
    assert.deepEqual(Object.keys(plain(await batch.send())), ["e"]);
    assert.deepEqual(await contents(bucket.query(["e", "f"], BigInt(ts))), [
      ["e", ts, "x".repeat(200_000)],
      ["f", ts + 1, "f"],
    ]);
    assert.deepEqual(await contents(bucket.query("none")), []);
    await bucket.update("e", BigInt(ts), { a: "b" });
    await bucket.removeRecord("f", BigInt(ts + 1));
  }
  assert.equal((await read(bucket, "e")).length, 200_000);
});
