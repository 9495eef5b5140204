import { describe, expect, it, test } from 'vitest';
import { parseRate, rateSetting, recipientSetting } from './index.ts';

/** Of `age-keygen`. */
const RECIPIENT = 'age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg';

const said = (schema: { safeParse(input: unknown): { error?: { issues: { message: string }[] } | undefined } }, input: unknown): string =>
  (schema.safeParse(input).error?.issues ?? []).map(({ message }) => message).join('; ');

describe('a recipient', () => {
  it('is taken as age-keygen prints it', () => {
    expect(recipientSetting.parse(RECIPIENT)).toBe(RECIPIENT);
  });

  test.each([
    ['something else', 'ssh-ed25519 AAAA', /"ssh-ed25519 AAAA" is not a recipient such as age1.*age-keygen -y FILE/],
    ['one with a wrong character', `${RECIPIENT.slice(0, -1)}q`, /is not a whole recipient/],
    ['one that was cut short', RECIPIENT.slice(0, -4), /is not a whole recipient/],
    ['a post-quantum one', 'age1pq1qqqq', /of a kind that Stillpoint cannot open again/],
    ['nothing', '', /"" is not a recipient/],
  ])('is refused when it is %s', (_, text, message) => {
    expect(said(recipientSetting, text)).toMatch(message);
  });

  it('is never an identity, and then is not quoted', () => {
    const identity = 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ';
    for (const text of [identity, identity.toLowerCase()]) {
      expect(said(recipientSetting, text)).toMatch(/this is an identity, which is secret/);
      expect(said(recipientSetting, text).toUpperCase()).not.toContain('QQQQ');
    }
  });
});

describe('a rate', () => {
  test.each([
    ['50MiB', 50 * 1024 ** 2],
    ['50MiB/s', 50 * 1024 ** 2],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['64KiB', 65536],
    [' 1 MiB ', 1024 ** 2],
  ])('%s is %d bytes in a second', (text, bytes) => {
    expect(rateSetting.parse(text)).toBe(bytes);
  });

  test.each(['50', '50MB', '10KiB', '0MiB', '-1MiB', 'fast', ''])('"%s" is none', (text) => {
    expect(parseRate(text)).toBeUndefined();
    expect(said(rateSetting, text)).toContain(`"${text}" is not a rate such as 50MiB`);
  });

  it('without its unit is a number to YAML, and told as such', () => {
    expect(said(rateSetting, 50)).toContain('"50" is not a rate such as 50MiB');
  });
});
