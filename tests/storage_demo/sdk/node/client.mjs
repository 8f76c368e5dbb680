// The JavaScript SDK as a token's owner has it. The server's address and the administrator's token come as arguments.
import assert from "node:assert/strict";
import { APIError, Bucket, Client } from "reduct-js";

const [url, rootValue] = process.argv.slice(2);
let buckets = 0;

export const serverUrl = url;
export const client = (apiToken) => new Client(url, { apiToken });
export const root = client(rootValue);

/** A bucket of the test's own, seen with full access. */
export async function newBucket(subject) {
  buckets += 1;
  return await root.createBucket(`${subject}-${buckets}`);
}

/** A bucket as a token sees it that may not ask for it; the SDK has heard the server's version. */
export async function visit(value, name) {
  const visitor = client(value);
  await visitor.me();
  return new Bucket(name, visitor.httpClient);
}

/** A call is refused with this status and this message. */
export async function refused(call, status, message) {
  const error = await call.then(
    () => assert.fail(`not refused: ${status} ${message}`),
    (reason) => reason,
  );
  assert.ok(error instanceof APIError, error);
  assert.deepEqual([error.status, error.message], [status, message]);
}

/** What a batch answers, in plain objects: entry or time, then status and message. */
export function plain(errors) {
  return Object.fromEntries(
    [...errors].map(([key, value]) => [
      String(key),
      value instanceof Map ? plain(value) : `${value.status} ${value.message}`,
    ]),
  );
}

/** Entry, time and content of each record of a query, in the order in which they come. */
export async function contents(records) {
  const found = [];
  for await (const record of records) {
    found.push([record.entry, Number(record.time), await record.readAsString()]);
  }
  return found;
}

export const times = async (records) => (await contents(records)).map(([, time]) => time);

export async function write(bucket, entry, ts, content, labels, contentType) {
  await (await bucket.beginWrite(entry, { ts: BigInt(ts), labels, contentType })).write(content);
}

export async function read(bucket, entry, ts) {
  return await (await bucket.beginRead(entry, ts === undefined ? undefined : BigInt(ts))).readAsString();
}

export const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/** Wait for what has to come, but not forever. */
export async function until(condition) {
  for (let waited = 0; !condition(); waited += 0.05) {
    assert.ok(waited < 20, "it did not come");
    await sleep(0.05);
  }
}
