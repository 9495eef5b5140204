import { describe, expect, it } from 'vitest';
import { failure, watchedRun } from './fake-cluster.ts';
import { fails, restoreRig } from './restore-rig.ts';

const rig = restoreRig();
const resume = () => `stillpoint restore resume ${rig.restoreId()}`;
const rollback = () => `stillpoint restore rollback ${rig.restoreId()} --yes`;

describe('the hint of a restore', () => {
  it('that was cancelled while it staged tells that live data is untouched, and both ways on', async () => {
    const watched = watchedRun();
    const gate = rig.cluster.node('db2').faults.gate('task.stage');
    const ended = failure(rig.run((await rig.plan()).id, { run: watched }));
    await gate.reached;
    watched.abort();
    const { hint } = await ended;
    expect(hint).toBe(`Live data is untouched. Go on: \`${resume()}\`; throw away what is staged: \`${rollback()}\`.`);
    const stopped = watched.events.find((event) => event.type === 'step' && event.state === 'failed' && event.node === 'db2');
    expect(stopped).toMatchObject({ message: 'stopped because the operation was cancelled' });
  });

  it('that failed behind the switch keeps the hint of its code in front', async () => {
    rig.cluster.node('db2').faults.once('task.startServer', fails('SERVICE_FAILED'));
    const { hint } = await failure(rig.run((await rig.plan()).id));
    expect(hint).toMatch(/^Read the error log .* Restored data is \(partly\) in place and servers may be stopped\. /);
    expect(hint).toContain(`Go on: \`${resume()}\`; back: \`${rollback()}\``);
  });

  it('that touched no node is that of its code', async () => {
    const error = await failure(rig.run((await rig.plan()).id, { stopServers: false }));
    expect(error.hint).toBe('Stop it, or let the restore stop it with --stop-servers.');
  });

  it('that cannot be resumed fits the state in which it is', async () => {
    const { operationId } = await rig.run((await rig.plan()).id);
    expect((await failure(rig.resume(operationId))).hint).toContain(`stillpoint restore finish ${operationId} --yes`);
    await rig.finish(operationId);
    expect((await failure(rig.resume(operationId))).hint).toContain('stillpoint restore plan');
    expect(await failure(rig.finish(operationId))).toMatchObject({
      code: 'NOTHING_TO_ROLL_BACK',
      message: `${operationId} is finished already; there is nothing to do`,
    });
  });
});

describe('a node that fails', () => {
  it('is named once, and those that it stopped do not show its message', async () => {
    const watched = watchedRun();
    const gates = ['db1', 'db3'].map((name) => rig.cluster.node(name).faults.gate('checkNode'));
    rig.cluster.node('db2').faults.at('checkNode', async () => {
      await Promise.all(gates.map(({ reached }) => reached));
      fails('SERVER_DOWN')();
    });
    const error = await failure(rig.run((await rig.plan()).id, { run: watched }));
    expect(error).toMatchObject({ code: 'SERVER_DOWN', node: 'db2', message: 'injected SERVER_DOWN' });
    const messages = watched.events.flatMap((event) =>
      event.type === 'step' && event.state === 'failed' ? [[event.node, event.message]] : [],
    );
    expect(messages.toSorted()).toEqual([
      ['db1', 'stopped because of db2'],
      ['db2', 'injected SERVER_DOWN'],
      ['db3', 'stopped because of db2'],
    ]);
  });
});

it('a resume that is refused leaves state and reason as they were', async () => {
  rig.cluster.node('db2').faults.once('task.stage', fails('STAGE_FAILED'));
  await failure(rig.run((await rig.plan()).id));
  const [before] = rig.cluster.controller.listRestores();
  expect(before).toMatchObject({ state: 'failed', reason: 'STAGE_FAILED on db2: injected STAGE_FAILED' });
  const without = rig.cluster.controller.resumeRestore(rig.restoreId(), { ...watchedRun(), stopServers: false });
  expect(await failure(without)).toMatchObject({ code: 'SERVER_RUNNING', hint: expect.stringContaining('Live data is untouched') });
  expect(rig.cluster.controller.listRestores()).toEqual([before]);
});

it('tells for how long an agent that is gone is waited for', async () => {
  const watched = watchedRun();
  const db2 = rig.cluster.node('db2');
  const gate = db2.faults.gate('task.stage');
  const ended = failure(rig.run((await rig.plan()).id, { run: watched }));
  await gate.reached;
  await db2.killAgent();
  await watched.until((event) => event.type === 'log' && event.node === 'db2' && /does not answer .* up to 30 s$/.test(event.message));
  db2.faults.clear();
  await db2.startAgent();
  const { code, hint, message } = await ended;
  expect({ code, hint }).toEqual({ code: 'RESTORE_INTERRUPTED', hint: expect.stringMatching(/^Live data is untouched\. /) });
  expect(message).not.toMatch(/^db2: /);
});
