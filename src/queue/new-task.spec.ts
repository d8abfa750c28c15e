import fc from 'fast-check';
import { rowOf as valuesOf } from '../../test/support/queue-doubles.js';
import { encodeTask, InvalidTaskError, type NewTask } from './new-task.js';
import { resolveQueueOptions, TASK_PRIORITIES } from './queue-options.js';

const OPTIONS = resolveQueueOptions({ promiseSeconds: { high: 30 } });
const TASK: NewTask = { appName: 'shop', workflowName: 'deploy', workflowSpec: { steps: [] } };

const rowOf = (changes: Partial<NewTask> = {}) => valuesOf(encodeTask({ ...TASK, ...changes }, OPTIONS));
const refusalOf = (changes: Partial<NewTask>): InvalidTaskError | undefined => {
  try {
    encodeTask({ ...TASK, ...changes }, OPTIONS);
    return undefined;
  } catch (error) {
    if (error instanceof InvalidTaskError) return error;
    throw error;
  }
};

/** Any text in UTF-16, halves of pairs, NUL, quotes and backslashes more often than chance would have it. */
const anyText = fc
  .array(
    fc.oneof(
      fc.constantFrom('\0', '\\', '\\u0000', '\\\\u0000', '\\ud800', '"', '\ud83d\ude00', '\n', 'u0000', '\u0001'),
      fc.integer({ min: 0xd800, max: 0xdfff }).map((unit) => String.fromCharCode(unit)),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
      fc.string({ unit: 'grapheme', maxLength: 3 }),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''));
const canBeStored = (text: string) => text.isWellFormed() && !text.includes('\0');

describe('encodeTask', () => {
  it('writes one element of the INSERT, with the defaults of what was not said', () => {
    expect(rowOf()).toEqual({
      task_id: expect.any(String),
      app_name: 'shop',
      workflow_name: 'deploy',
      workflow_spec: { steps: [] },
      metadata: {},
      priority: 'medium',
      promise_seconds: 600,
      run_at: null,
      delay_seconds: null,
      max_attempts: 1,
      timeout_seconds: null,
      golden_path: null,
      request_id: null,
      concurrency_key: null,
      concurrency_limit: null,
      concurrency_replaces: null,
    });
  });

  it('writes everything that was said', () => {
    const said: Partial<NewTask> = {
      metadata: { user: 'ann' },
      priority: 'low',
      startWithinSeconds: 7,
      runAt: new Date('2030-01-02T03:04:05.678Z'),
      delaySeconds: 60,
      maxAttempts: 4,
      timeoutSeconds: 90,
      goldenPath: 'deploy-app',
      requestId: 'req-1',
      concurrency: { key: 'shop', limit: 3, whenFull: 'replace' },
    };
    expect(rowOf(said)).toMatchObject({
      metadata: { user: 'ann' },
      priority: 'low',
      promise_seconds: 7,
      run_at: '2030-01-02T03:04:05.678Z',
      delay_seconds: 60,
      max_attempts: 4,
      timeout_seconds: 90,
      golden_path: 'deploy-app',
      request_id: 'req-1',
      concurrency_key: 'shop',
      concurrency_limit: 3,
      concurrency_replaces: true,
    });
  });

  it('promises a start by the priority, as the application set it up', () => {
    const promised = TASK_PRIORITIES.map((priority) => rowOf({ priority }).promise_seconds);
    expect(promised).toEqual([-315_360_000, 30, 600, 3_600]);
    expect(rowOf({ priority: 'urgent', startWithinSeconds: 0 }).promise_seconds).toBe(0);
  });

  it('gives each task an id of its own, "task-" and a UUIDv7, the same outside and inside the row', () => {
    const encoded = Array.from({ length: 50 }, () => encodeTask(TASK, OPTIONS));
    expect(new Set(encoded.map(({ taskId }) => taskId)).size).toBe(50);
    for (const task of encoded) {
      const { taskId } = task;
      expect(taskId).toMatch(/^task-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(valuesOf(task).task_id).toBe(taskId);
    }
    const ids = encoded.map(({ taskId }) => taskId);
    expect([...ids].sort()).toEqual(ids);
  });

  describe.each(['appName', 'workflowName'] as const)('%s', (field) => {
    it.each([
      ['nothing', ''],
      ['256 characters', 'x'.repeat(256)],
      ['a number', 7 as unknown as string],
      ['no value', undefined as unknown as string],
    ])('refuses %s', (_, value) => {
      expect(refusalOf({ [field]: value })).toMatchObject({ field, message: `${field} must have 1 to 255 characters` });
    });

    it('takes 1 and 255 characters', () => {
      expect(refusalOf({ [field]: 'x' })).toBeUndefined();
      expect(refusalOf({ [field]: 'x'.repeat(255) })).toBeUndefined();
    });
  });

  it.each([0, -1, 1.5, NaN, Infinity, '3' as unknown as number])('refuses %p as maxAttempts', (maxAttempts) => {
    expect(refusalOf({ maxAttempts })?.field).toBe('maxAttempts');
  });

  it('refuses what is no time and what is no JSON', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    expect(refusalOf({ runAt: new Date('soon') })?.field).toBe('runAt');
    expect(refusalOf({ workflowSpec: circular })?.message).toMatch(/cannot be written as JSON: .*circular/);
    expect(refusalOf({ metadata: { n: 1n } })?.message).toMatch(/cannot be written as JSON: .*BigInt/);
  });

  const FIELDS: [string, (text: string) => Partial<NewTask>][] = [
    ['appName', (text) => ({ appName: `a${text}` })],
    ['workflowName', (text) => ({ workflowName: `a${text}` })],
    ['workflowSpec', (text) => ({ workflowSpec: { steps: [{ run: text }] } })],
    ['workflowSpec', (text) => ({ workflowSpec: { [text]: 1 } })],
    ['metadata', (text) => ({ metadata: { labels: [text] } })],
    ['goldenPath', (text) => ({ goldenPath: text })],
    ['requestId', (text) => ({ requestId: text })],
    ['concurrencyKey', (text) => ({ concurrency: { key: `k${text}` } })],
  ];

  describe.each(FIELDS)('a text in %s', (field, put) => {
    it.each([
      ['NUL', 'a\0b'],
      ['the first half of a pair', 'a\ud83d'],
      ['the second half of a pair', '\ude00a'],
      ['halves the wrong way round', '\ude00\ud83d'],
      ['NUL after a backslash', '\\\0'],
      ['NUL after two backslashes', '\\\\\0'],
    ])('is refused for %s, by name', (_, text) => {
      expect(refusalOf(put(text))).toMatchObject({ field, message: expect.stringContaining('jsonb cannot store') });
    });

    it.each(['\\u0000', '\\\\u0000', '\\ud83d', 'u0000', '😀', '\u0001', '\ufffd', '\ue000'])(
      'may be %j, which jsonb can store',
      (text) => {
        expect(refusalOf(put(text))).toBeUndefined();
      },
    );

    it('is refused exactly when it is not well-formed or holds NUL', () => {
      fc.assert(
        fc.property(anyText, (text) => {
          expect(refusalOf(put(text)) === undefined).toBe(canBeStored(text));
        }),
        { numRuns: 500 },
      );
    });
  });

  it('keeps what it takes as it was, to the last backslash', () => {
    fc.assert(
      fc.property(anyText.filter(canBeStored), (text) => {
        expect(rowOf({ workflowSpec: { [text]: text } }).workflow_spec).toEqual({ [text]: text });
      }),
      { examples: [['\\u0000'], ['\\\\"']] },
    );
  });
});
