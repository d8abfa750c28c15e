import { nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { readEventCursor, readEventQuery } from './event-query.js';

const QUERY = { type: ['task.completed', 'task.completed,task.failed'], app_name: ['shop'], workflow_name: ['x'] };

describe('hostile readers of events', () => {
  it('have queries that are read or refused', () =>
    tryAll(nastyObject(QUERY), 80, (query) => void readsOrRefuses(() => readEventQuery(query))));

  it('go on at places that are read or refused', () =>
    tryAll(nastyText, 80, (text) => void readsOrRefuses(() => readEventCursor(text))));
});
