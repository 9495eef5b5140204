import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { StillpointError } from '../errors/index.ts';
import { addressSetting, durationSetting, loadConfig, nameSetting, pathSetting, readSecret, readSettingFile, tlsSetting } from './index.ts';

const schema = z.strictObject({
  cluster: nameSetting,
  listen: addressSetting.default('0.0.0.0:7443'),
  stopGrace: durationSetting.default(10_000),
  tls: tlsSetting.optional(),
  nodes: z.array(z.strictObject({ name: nameSetting, address: addressSetting })).default([]),
  paths: z.array(pathSetting).default([]),
  backup: z.strictObject({ lockAttempts: z.number().int().min(1).max(100).default(5) }).prefault({}),
  service: z
    .discriminatedUnion('driver', [
      z.strictObject({ driver: z.literal('systemd'), unit: z.string().default('mariadb') }),
      z.strictObject({ driver: z.literal('commands'), start: z.array(z.string()), stop: z.array(z.string()) }),
    ])
    .optional(),
});

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'stillpoint-config-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function load(text: string): z.infer<typeof schema> {
  const path = join(directory, 'x.yaml');
  writeFileSync(path, text);
  return loadConfig(path, schema);
}

/** The lines of the message, without the file's name. */
function problems(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    expect(error).toBeInstanceOf(StillpointError);
    const { code, message } = error as StillpointError;
    expect(code).toBe('CONFIG_INVALID');
    return message.split('\n').map((line) => {
      expect(line.startsWith(`${directory}/x.yaml:`)).toBe(true);
      return line.slice(directory.length + '/x.yaml:'.length);
    });
  }
  throw new Error('was accepted');
}

describe('a configuration file', () => {
  it('is read, with defaults for what it leaves out', () => {
    expect(load('cluster: shop # the shop\nstopGrace: 1.5m\n')).toEqual({
      cluster: 'shop',
      listen: '0.0.0.0:7443',
      stopGrace: 90_000,
      nodes: [],
      paths: [],
      backup: { lockAttempts: 5 },
    });
  });

  it('may be JSON', () => {
    expect(load('{"cluster": "shop", "nodes": [{"name": "db1", "address": "[::1]:7443"}]}').nodes).toEqual([
      { name: 'db1', address: '[::1]:7443' },
    ]);
  });

  it('that does not exist is named', () => {
    const path = join(directory, 'missing.yaml');
    expect(() => loadConfig(path, schema)).toThrow(expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: `${path}: no such file` }));
    expect(() => loadConfig(directory, schema)).toThrow(
      expect.objectContaining({ code: 'CONFIG_NOT_FOUND', message: expect.stringMatching(/EISDIR/) }),
    );
  });
});

describe('a mistake in a configuration file is named with its line', () => {
  it('unknown key, with the one that was meant', () => {
    expect(problems('cluster: shop\nlsiten: 127.0.0.1:1\n')).toEqual(['2: lsiten: unknown key; did you mean "listen"?']);
  });

  it('unknown key like no other', () => {
    expect(problems('cluster: shop\nqwertz: 1\n')).toEqual(['2: qwertz: unknown key']);
  });

  it('unknown keys further down, in objects and lists', () => {
    const text = [
      'cluster: shop',
      'backup:',
      '  lockAttempt: 3',
      'nodes:',
      '  - name: db1',
      '    address: a:1',
      '  - name: db2',
      '    adress: b:1',
    ];
    expect(problems(text.join('\n'))).toEqual([
      '3: backup.lockAttempt: unknown key; did you mean "lockAttempts"?',
      '7: nodes.1.address: missing (string)',
      '8: nodes.1.adress: unknown key; did you mean "address"?',
    ]);
  });

  it('unknown keys of one kind of several', () => {
    const text = ['cluster: shop', 'service:', '  driver: commands', '  start: [a]', '  stopp: [b]', '  unti: c'];
    expect(problems(text.join('\n'))).toEqual([
      '2: service.stop: missing (array)',
      '5: service.stopp: unknown key; did you mean "stop"?',
      '6: service.unti: unknown key',
    ]);
    expect(problems('cluster: shop\nservice: {driver: systemd, units: c}')).toEqual([
      '2: service.units: unknown key; did you mean "unit"?',
    ]);
  });

  it('a kind that there is not', () => {
    expect(problems('cluster: shop\nservice:\n  driver: systemctl\n')).toEqual([
      '3: service.driver: "systemctl" is not one of systemd, commands; did you mean "systemd"?',
    ]);
    expect(problems('cluster: shop\nservice:\n  driver: 5\n')).toEqual(['3: service.driver: 5 is not one of systemd, commands']);
    expect(problems('cluster: shop\nservice:\n  unit: mariadb\n')).toEqual(['2: service.driver: missing (systemd or commands)']);
  });

  it('missing keys', () => {
    expect(problems('')).toEqual(['1: cluster: missing (string)']);
    expect(problems('cluster: shop\ntls:\n  ca: /a\n  cert: /b\n')).toEqual(['2: tls.key: missing (string)']);
  });

  it('wrong types, told from missing ones', () => {
    expect(problems('cluster: 5\nnodes: none\nstopGrace: 10\ntls:\n')).toEqual([
      '1: cluster: Invalid input: expected string, received number',
      '2: nodes: Invalid input: expected array, received string',
      '3: stopGrace: 10 is not a duration such as 10s',
      '4: tls: Invalid input: expected object, received null',
    ]);
    expect(problems('just words')).toEqual(['1: Invalid input: expected object, received string']);
  });

  it('wrong values', () => {
    const text = ['cluster: ../shop', 'listen: 7443', 'stopGrace: soon', 'paths: [/etc/mysql, etc/mysql]', 'backup: {lockAttempts: 0}'];
    expect(problems(text.join('\n'))).toEqual([
      '1: cluster: letters, digits, dot, dash and underscore only, at most 64',
      '2: listen: Invalid input: expected string, received number',
      '3: stopGrace: "soon" is not a duration such as 250ms, 10s, 5m',
      '4: paths.1: must be an absolute path',
      '5: backup.lockAttempts: Too small: expected number to be >=1',
    ]);
    expect(problems('cluster: shop\nlisten: "localhost"\n')).toEqual(['2: listen: must be host:port']);
  });

  it.each([
    ['a list that is not closed', 'cluster: shop\npaths: [/a\n', /^[23]: .*\]/],
    ['a tab', 'cluster: shop\nbackup:\n\tlockAttempts: 1\n', /^3: Tabs are not allowed/],
    ['a key twice', 'cluster: shop\ncluster: bank\n', /^2: Map keys must be unique$/],
    ['a second document', 'cluster: shop\n---\ncluster: bank\n', /^2: Source contains multiple documents/],
    ['an open quote', 'cluster: "shop\n', /^\d: Missing closing "quote/],
  ])('broken syntax: %s', (_what, text, message) => {
    const [first] = problems(text);
    expect(first).toMatch(message);
    expect(first).not.toMatch(/column/);
  });

  it.each([
    ['an alias to nothing', 'cluster: *shop\n'],
    ['aliases that multiply', `a: &a [${Array(10).fill('x')}]\nb: &b [${Array(10).fill('*a')}]\nc: [${Array(10).fill('*b')}]\n`],
  ])('%s', (_what, text) => {
    expect(() => load(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(/alias/) }));
  });
});

describe('a file that a configuration names', () => {
  it('is read; of a secret, the first line', () => {
    const path = join(directory, 'secret');
    writeFileSync(path, 'pässword\nsecond line\n');
    expect(readSecret(path, 'mariadb.passwordFile')).toBe('pässword');
    expect(readSettingFile(path, 'mariadb.passwordFile')).toHaveLength(22);
    writeFileSync(path, '');
    expect(readSecret(path, 'mariadb.passwordFile')).toBe('');
  });

  it('that is missing is named with its setting', () => {
    const path = join(directory, 'none');
    expect(() => readSettingFile(path, 'tls.key')).toThrow(
      expect.objectContaining({ code: 'CONFIG_FILE_UNREADABLE', message: `tls.key: ${path}: no such file` }),
    );
    expect(() => readSettingFile(directory, 'tls.key')).toThrow(
      expect.objectContaining({ code: 'CONFIG_FILE_UNREADABLE', message: expect.stringMatching(/EISDIR/) }),
    );
  });
});
