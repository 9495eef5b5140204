import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { bound, type HeldEngine, heldEngine, noSignal, terms } from './held-engine.ts';

let held: HeldEngine;
beforeAll(async () => {
  held = await heldEngine({ generation: '22.08', modules: [[1], [2]] });
});
beforeEach(() => held.begin());
afterAll(() => held?.remove());

const other = () => {
  const cmapi = held.double.nodes[1]?.cmapi;
  if (cmapi === undefined) throw new Error('there is a second node');
  return cmapi;
};
const resumed = (): number => held.calls('dbrmctl').filter((args) => args === 'readwrite').length;
const keyFile = (): string => held.config.cmapi.configFile;

test('its success is not believed when controllernode could not be reached', async () => {
  await held.double.primary.kill('controllernode');
  // cmapi answers 200 and `readonly`.
  await held.driver.suspend(noSignal);
  expect(await held.driver.status(noSignal)).toMatchObject({ mode: 'unreachable' });
  await held.double.primary.start('controllernode');
  expect(held.double.state().readOnly).toBe(false);
});

test('controllernode dies just before the flag: nothing counts as suspended', async () => {
  const beforeFlag = (): Promise<void> => held.double.primary.kill('controllernode');
  const control = held.control();
  await expect(control.suspend(terms({ beforeFlag }))).rejects.toMatchObject({
    code: expect.stringMatching(/^(ENGINE_NOT_READY|SUSPEND_FAILED)$/),
  });
});

test('a node whose cmapi is down is told before anybody waits', async () => {
  await other().stop();
  await expect(held.control().requireWritable(noSignal)).rejects.toMatchObject({
    code: 'ENGINE_NOT_READY',
    message: expect.stringContaining('Got an error retrieving status from node'),
  });
  expect(held.double.state().readOnly).toBe(false);
});

test('a node that goes down later costs no more than the bound; what cmapi does afterwards is undone', async () => {
  held.double.setCmapiPatience(60_000);
  const control = held.control();
  await expect(control.suspend(terms({ timeoutMs: 5_000, beforeFlag: () => other().stop() }))).rejects.toMatchObject({
    code: 'SUSPEND_FAILED',
  });
  await control.resume(bound());
  await expect(held.control().requireWritable(noSignal)).rejects.toMatchObject({
    code: 'ENGINE_NOT_READY',
    message: expect.stringContaining('has not answered an earlier request to make the engine readonly'),
  });
  const before = resumed();
  await other().start();
  // The request that was given up is carried out once all nodes are there.
  await eventually(() => resumed() > before);
  await eventually(() =>
    held
      .control()
      .requireWritable(noSignal)
      .then(
        () => true,
        () => false,
      ),
  );
});

test('a transaction of cmapi that nobody ends is refused in its own words', async () => {
  held.double.setCmapiPatience(500);
  held.double.stickCmapi(held.double.primary, true);
  const control = held.control();
  await expect(control.suspend(terms())).rejects.toMatchObject({
    code: 'SUSPEND_FAILED',
    message: expect.stringContaining("Starting transaction isn't successful."),
  });
  await control.resume(bound());
  expect(held.double.state().readOnly).toBe(false);
});

test('with cmapi gone, dbrmctl resumes, and it is said why', async () => {
  const control = held.control();
  await control.suspend(terms());
  for (const { cmapi } of held.double.nodes) await cmapi?.stop();
  expect(await control.resume(bound())).toMatchObject({ way: { by: 'dbrmctl', detour: expect.stringContaining('ECONNREFUSED') } });
  expect(held.double.state().readOnly).toBe(false);
});

test('a cmapi that knows no key is sent none: it would adopt it', async () => {
  const [key, conf] = [keyFile(), readFileSync(keyFile(), 'utf8')];
  const keyless = conf.replace(/x-api-key.*/, '');
  writeFileSync(key, keyless);
  const { primary } = held.double;
  await primary.cmapi?.stop();
  await primary.cmapi?.start();
  try {
    await expect(held.control().requireWritable(noSignal)).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG' });
    await expect(held.control().suspend(terms())).rejects.toMatchObject({ code: 'COLUMNSTORE_CONFIG' });
    expect(readFileSync(key, 'utf8')).toBe(keyless);
    expect(held.double.state().readOnly).toBe(false);
  } finally {
    writeFileSync(key, conf);
    await primary.cmapi?.stop();
  }
});

test('a key that cmapi does not accept is told, without the key', async () => {
  const [key, conf] = [keyFile(), readFileSync(keyFile(), 'utf8')];
  writeFileSync(key, conf.replace(/x-api-key.*/, "x-api-key = 'changed-since-it-started'"));
  try {
    const refused = held.control().requireWritable(noSignal);
    await expect(refused).rejects.toMatchObject({
      code: 'COLUMNSTORE_CONFIG',
      message: expect.stringContaining('does not accept the API key'),
    });
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('changed-since') });
  } finally {
    writeFileSync(key, conf);
  }
});
