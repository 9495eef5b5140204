import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { agentConfigSchema } from '@stillpoint/agent';
import { clusterConfigSchema } from '@stillpoint/controller';
import { describe, expect, it } from 'vitest';
import { REFERENCE, referencePages } from '../../docs/generate.ts';
import { settingsOf } from '../../docs/generator/schema.ts';

describe('the reference', () => {
  it.each(Object.entries(referencePages()))('%s is up to date (else: ./dev generate)', (name, text) => {
    expect(readFileSync(join(REFERENCE, name), 'utf8')).toBe(text);
  });

  it.each(readdirSync(REFERENCE))('%s links to files that exist', (name) => {
    const text = readFileSync(join(REFERENCE, name), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\(([^)#\s]+)/g)) {
      expect(existsSync(join(dirname(join(REFERENCE, name)), target)), target).toBe(true);
    }
  });

  it('says of every configuration key what it is for', () => {
    const settings = [...settingsOf(clusterConfigSchema), ...settingsOf(agentConfigSchema)];
    expect(settings.filter(({ description }) => description === '').map(({ key }) => key)).toEqual([]);
  });
});
