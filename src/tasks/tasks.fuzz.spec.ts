import { largeBodies, nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import { readInstanceChange } from '../queue/instance-change.js';
import { readBulkBody } from './bulk-body.js';
import {
  DEAD_LETTER_GROUPS_PARAMETERS,
  DEAD_LETTERS_PARAMETERS,
  DeadLetterGroupsQuery,
  DeadLettersQuery,
} from './dead-letters-query.js';
import { DETAIL_PARAMETERS, DetailQuery, readListQuery } from './list-query.js';
import { readLastEventId, readLogQuery } from './log-query.js';

const TIME = ['2026-01-31T13:00:00Z', '9999-12-31T23:59:59-14:00'];
const QUERY = {
  ...{ status: ['failed'], app_name: ['shop'], workflow_name: ['x'], q: ['%'], cause: ['timeout'], since: TIME },
  ...{ until: TIME, limit: ['1', '1e2'], cursor: ['aWQ6NQ'], 'label.team': ['a'], discarded: ['true'], error: ['x'] },
  ...{ group_by: ['error'], wait: ['1m'], prefix: ['time,step'], step: ['a'], attempt: ['1'], ansi: ['strip'] },
};
const pipes = [
  new QueryPipe(DetailQuery, DETAIL_PARAMETERS),
  new QueryPipe(DeadLettersQuery, DEAD_LETTERS_PARAMETERS),
  new QueryPipe(DeadLetterGroupsQuery, DEAD_LETTER_GROUPS_PARAMETERS),
];
const BULK = {
  ...{ task_ids: [['task-1']], app_name: ['shop'], workflow_name: ['x'], error: ['x'], reason: ['why'], since: TIME },
  ...{ until: TIME, discarded: [true], dry_run: [false], all: [true], cause: ['timeout'], status: ['pending'] },
};

describe('hostile questions for tasks', () => {
  it('have queries that are read or refused', () =>
    tryAll(nastyObject(QUERY), 80, (query) => {
      readsOrRefuses(() => readListQuery(query));
      readsOrRefuses(() => readLogQuery(query, true));
      readsOrRefuses(() => readLogQuery(query, false));
      for (const pipe of pipes) readsOrRefuses(() => pipe.transform(query));
    }));

  it('go on at places that are read or refused', () =>
    tryAll(nastyText, 60, (text) => {
      readsOrRefuses(() => readLastEventId(text));
    }));

  it('hold bodies of verbs on many that are read or refused', () =>
    tryAll(nastyObject({ ...BULK, workers: [3], draining: [true] }), 80, (given) => {
      const body = Buffer.from(JSON.stringify(given));
      for (const kind of ['redrive', 'discard', 'cancel'] as const) readsOrRefuses(() => readBulkBody(kind, body));
      readsOrRefuses(() => readInstanceChange(body));
    }));

  it.each(largeBodies(['task_ids', 'app_name']))('have a body of %s that is read or refused', (_, text) => {
    const body = Buffer.from(text);
    readsOrRefuses(() => readBulkBody('cancel', body));
    readsOrRefuses(() => readInstanceChange(body));
  });
});
