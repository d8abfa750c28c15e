import { Problem } from '../common/problem/problem.js';
import type { BulkKind } from '../queue/bulk/bulk-filter.js';
import { readBulkBody } from './bulk-body.js';

const read = (kind: BulkKind, body: unknown) =>
  readBulkBody(kind, body === undefined ? undefined : Buffer.from(JSON.stringify(body)));

function refusal(kind: BulkKind, body: unknown): Problem {
  try {
    read(kind, body);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('the body of a verb on many tasks', () => {
  it('is read', () => {
    const times = { since: '2026-01-31T13:00:00Z', until: '2026-02-01T13:00:00+01:00' };
    expect(
      read('redrive', {
        app_name: 'shop',
        workflow_name: 'w',
        cause: 'timeout',
        error: 'pod #',
        ...times,
        dry_run: true,
      }),
    ).toEqual({
      filter: { appName: 'shop', workflowName: 'w', cause: 'timeout', error: 'pod #', ...times },
      dryRun: true,
    });
    expect(read('redrive', { discarded: true, task_ids: ['a', 'b'] }).filter).toEqual({
      discarded: true,
      taskIds: ['a', 'b'],
    });
    expect(read('cancel', { status: 'pending', reason: 'x' })).toEqual({
      filter: { status: 'pending' },
      dryRun: false,
      reason: 'x',
    });
    expect(read('discard', { all: true })).toEqual({ filter: {}, dryRun: false });
  });

  it.each([undefined, {}, { dry_run: true }, { discarded: true }, { app_name: null, all: null }])(
    'is refused where it names no task: %j',
    (body) => {
      const { code, detail, errors } = refusal('redrive', body);
      expect(code).toBe('invalid_parameter');
      expect(detail).toBe('nothing says which tasks to redrive');
      expect(errors[0]!.hint).toContain('"all": true where every dead letter is meant');
    },
  );

  it.each<[BulkKind, unknown, string | undefined, string | undefined]>([
    ['redrive', [], undefined, undefined],
    ['redrive', 'all', undefined, undefined],
    ['redrive', { app_nmae: 'shop' }, 'app_nmae', "Did you mean 'app_name'?"],
    ['redrive', { status: 'failed' }, 'status', undefined],
    ['discard', { discarded: true }, 'discarded', undefined],
    ['cancel', { cause: 'timeout' }, 'cause', undefined],
    ['cancel', { status: 'failed' }, 'status', undefined],
    ['redrive', { cause: 'because' }, 'cause', undefined],
    ['redrive', { app_name: 5 }, 'app_name', undefined],
    ['redrive', { app_name: '' }, 'app_name', undefined],
    ['redrive', { since: 'yesterday' }, 'since', undefined],
    ['redrive', { until: 5 }, 'until', undefined],
    ['redrive', { task_ids: [] }, 'task_ids', undefined],
    ['redrive', { task_ids: 'task-1' }, 'task_ids', undefined],
    ['redrive', { task_ids: ['task-1', 7] }, 'task_ids[1]', undefined],
    ['redrive', { task_ids: Array.from({ length: 10_001 }, () => 'task-1') }, 'task_ids', undefined],
    ['redrive', { app_name: 'shop', dry_run: 'yes' }, 'dry_run', undefined],
    ['redrive', { all: false }, 'all', undefined],
    ['redrive', { all: true, app_name: 'shop' }, 'all', 'Leave one of them out.'],
    ['cancel', { app_name: 'shop', reason: 'x'.repeat(1_001) }, 'reason', undefined],
  ])('%s: %j is refused', (kind, body, path, hint) => {
    const { code, errors } = refusal(kind, body);
    expect(code).toBe('invalid_parameter');
    expect(errors[0]!.path).toBe(path);
    if (hint !== undefined) expect(errors[0]!.hint).toBe(hint);
  });

  it.each(['{"app_name": ', '{"app_name": "a\\u0000"}', '{"task_ids": ["\\ud800"]}'])('%s is no JSON', (text) => {
    let code: string | undefined;
    try {
      readBulkBody('redrive', Buffer.from(text));
    } catch (error) {
      code = (error as Problem).code;
    }
    expect(code).toBe('malformed_json');
  });

  it('is refused with all that is wrong at once', () => {
    const { errors } = refusal('redrive', { cause: 'x', since: 'x', nobody: 1, task_ids: [1, 2] });
    expect(errors.map(({ path }) => path).sort()).toEqual(['cause', 'nobody', 'since', 'task_ids[0]', 'task_ids[1]']);
  });
});
