import { plainToInstance } from 'class-transformer';
import { standIn } from '../../test/support/queue-doubles.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import type { QueueTask } from '../queue/queue-task.entity.js';
import type { DeadLetterStore } from '../queue/store/dead-letter-store.js';
import {
  DEAD_LETTER_GROUPS_PARAMETERS,
  DEAD_LETTERS_PARAMETERS,
  DeadLetterGroupsQuery,
  DeadLettersQuery,
} from './dead-letters-query.js';
import { DeadLettersService } from './dead-letters.service.js';
import type { TasksService } from './tasks.service.js';

const pipe = new QueryPipe(DeadLettersQuery, DEAD_LETTERS_PARAMETERS);
const groupsPipe = new QueryPipe(DeadLetterGroupsQuery, DEAD_LETTER_GROUPS_PARAMETERS);
const discardedAt = new Date('2026-01-31T13:00:00Z');

function setup() {
  const list = jest.fn(async () => [
    { id: '3', at: '300', discarded_at: discardedAt },
    { id: '2', at: '200', discarded_at: null },
  ]);
  const groups = jest.fn(async () => ({ dead_letters: 0, all_groups: 0, groups: [] }));
  const inOrder = jest.fn(async (ids: readonly string[]) =>
    ids.map((id) => plainToInstance(Object, { id, taskId: `task-${id}`, metadata: {} }) as QueueTask),
  );
  const service = new DeadLettersService(
    standIn<DeadLetterStore>({ list, groups }),
    standIn<TasksService>({ inOrder }),
  );
  return { service, list, groups };
}

describe('DeadLettersService', () => {
  it('goes on where the page before ended', async () => {
    const { service, list } = setup();
    const page = await service.list(pipe.transform({ app_name: 'shop', discarded: 'true', limit: '1' }));
    expect(page.tasks).toMatchObject([{ task_id: 'task-3', discarded_at: discardedAt }]);
    expect(list).toHaveBeenLastCalledWith(expect.objectContaining({ appName: 'shop', discarded: true }), 2, undefined);
    const last = await service.list(pipe.transform({ cursor: page.next_cursor!, limit: '2' }));
    expect(last).toMatchObject({ tasks: [{}, { discarded_at: null }], next_cursor: null });
    const place = { at: '300', id: '3' };
    expect(list).toHaveBeenLastCalledWith(expect.objectContaining({ discarded: false }), 3, place);
  });

  it('groups by error unless told otherwise', async () => {
    const { service, groups } = setup();
    await service.groups(groupsPipe.transform({ q: 'pod' }));
    expect(groups).toHaveBeenLastCalledWith(expect.objectContaining({ text: 'pod' }), 'error', 50);
    await service.groups(groupsPipe.transform({ group_by: 'cause', limit: '5' }));
    expect(groups).toHaveBeenLastCalledWith(expect.anything(), 'cause', 5);
  });

  it.each([
    { cause: 'x' },
    { discarded: 'yes' },
    { limit: '501' },
    { since: 'now' },
    { group_by: 'error' },
    { app_name: 'a\0' },
    { q: '' },
  ])('is not asked with %j', (query) => {
    expect(() => pipe.transform(query)).toThrow(expect.objectContaining({ code: 'invalid_parameter' }));
  });
});
