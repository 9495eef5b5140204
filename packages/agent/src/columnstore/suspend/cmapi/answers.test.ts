import { expect, test } from 'vitest';
import { requireMode, successOf } from './answers.ts';

test.each([
  [422, '{"error": "No master found in the cluster."}', 'cmapi answered 422: No master found in the cluster.'],
  [401, '{"error": {"http_status": "401 Unauthorized", "message": "Incorrect API key"}}', 'cmapi answered 401: Incorrect API key'],
  [415, '<html>Unsupported Media Type</html>', 'cmapi answered 415: <html>Unsupported Media Type</html>'],
  [200, '', 'cmapi answered 200: nothing'],
  [200, '[]', 'cmapi answered 200: []'],
  [200, 'null', 'cmapi answered 200: null'],
  [200, '{"error": "odd"}', 'cmapi answered 200: odd'],
  [500, '{"timestamp": "now"}', 'cmapi answered 500: {"timestamp": "now"}'],
])('%d %s is no success', (status, body, message) => expect(() => successOf({ status, body })).toThrow(message));

test('an answer must name the mode that was asked for', () => {
  const answer = { status: 200, body: '{"timestamp": "2026-01-01 00:00:00.0", "cluster-mode": "readonly"}' };
  expect(() => requireMode(answer, 'readonly')).not.toThrow();
  expect(() => requireMode(answer, 'readwrite')).toThrow('not that the mode is readwrite');
  expect(() => requireMode({ ...answer, body: '{"timestamp": ""}' }, 'readonly')).toThrow('not that the mode is readonly');
});
