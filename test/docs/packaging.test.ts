import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { agentConfigSchema } from '@stillpoint/agent';
import { clusterConfigSchema } from '@stillpoint/controller';
import { loadConfig } from '@stillpoint/shared/config';
import { afterAll, describe, expect, it } from 'vitest';
import { settingsOf } from '../../docs/generator/schema.ts';

const PACKAGING = join(import.meta.dirname, '../../packaging');
const directory = mkdtempSync(join(tmpdir(), 'stillpoint-packaging-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe.each([
  ['cluster.yaml', clusterConfigSchema],
  ['agent.yaml', agentConfigSchema],
] as const)('the annotated %s', (name, schema) => {
  const file = join(PACKAGING, name);
  const text = readFileSync(file, 'utf8');

  /** The file with every key in force that is commented out; of a section in several forms, the first. */
  function inForce(): string {
    const changed = join(directory, name);
    const oneForm = text.replaceAll(/^ *#service:\n(?= *#driver: (?:commands|mcsadmin))(?: {4}#.*\n)*/gm, '');
    writeFileSync(changed, oneForm.replaceAll(/^( *)#(?=\w+:)/gm, '$1'));
    return changed;
  }

  it('is valid as it is', () => {
    expect(loadConfig(file, schema).cluster).toBe('shop');
  });

  it('names every key', () => {
    const keys = settingsOf(schema).map(({ key }) => key.split('.').at(-1) ?? '');
    for (const key of keys.map((one) => one.replace('[]', ''))) expect(text).toMatch(new RegExp(`(^|[ #])${key}:`, 'm'));
  });

  it('shows the defaults, in the places where they belong', () => {
    expect(loadConfig(inForce(), schema)).toMatchObject(loadConfig(file, schema));
  });
});
