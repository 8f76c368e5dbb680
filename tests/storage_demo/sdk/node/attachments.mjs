// Attachments: JSON that belongs to an entry, kept beside its records.
import assert from "node:assert/strict";
import test from "node:test";
import { contents, newBucket, sleep, write } from "./client.mjs";

const ATTACHED = {
  calibration: { focal: [1.5, 2.5], names: ["a,b", 'c"d'] },
  $schema: ["x", null, true],
  7: "a key that looks like a number",
  true: 1,
};

function without(...names) {
  return Object.fromEntries(Object.entries(ATTACHED).filter(([name]) => !names.includes(name)));
}

test("write and read", async () => {
  const bucket = await newBucket("attach");
  await bucket.writeAttachments("arm/camera", ATTACHED);
  assert.deepEqual(await bucket.readAttachments("arm/camera"), ATTACHED);
  await write(bucket, "arm/camera", 1, "x");
  assert.deepEqual(await contents(bucket.query("*")), [["arm/camera", 1, "x"]]);
  assert.deepEqual(
    (await bucket.getEntryList()).map(({ name }) => name),
    ["arm", "arm/camera"],
  );
});

test("without attachments", async () => {
  const bucket = await newBucket("attach");
  assert.deepEqual(await bucket.readAttachments("none"), {});
  await bucket.removeAttachments("none");
  await bucket.removeAttachments("none", ["calibration"]);
});

test("overwrite", async () => {
  const bucket = await newBucket("attach");
  await bucket.writeAttachments("e", ATTACHED);
  await sleep(0.05); // the SDK's times are those of a clock that shows milliseconds
  await bucket.writeAttachments("e", { 7: "new", calibration: null });
  assert.deepEqual(await bucket.readAttachments("e"), { ...ATTACHED, 7: "new", calibration: null });
});

for (const [removed, left] of [
  [["calibration"], without("calibration")],
  [["$schema", "7"], without("$schema", "7")],
  [["true", "none"], without("true")],
  [undefined, {}],
]) {
  test(`remove ${removed ?? "all"}`, async () => {
    const bucket = await newBucket("attach");
    await bucket.writeAttachments("e", ATTACHED);
    await bucket.removeAttachments("e", removed);
    assert.deepEqual(await bucket.readAttachments("e"), left);
    await sleep(0.05);
    await bucket.writeAttachments("e", { calibration: "again" });
    assert.deepEqual(await bucket.readAttachments("e"), { ...left, calibration: "again" });
  });
}

test("they move with their entry, and go with it", async () => {
  const bucket = await newBucket("attach");
  await bucket.writeAttachments("arm/camera", { a: 1 });
  await bucket.renameEntry("arm", "leg");
  assert.deepEqual(await bucket.readAttachments("arm/camera"), {});
  assert.deepEqual(await bucket.readAttachments("leg/camera"), { a: 1 });
  await bucket.removeEntry("leg");
  assert.deepEqual(await bucket.readAttachments("leg/camera"), {});
});
