import { nastyObject, nastyText, readsOrRefuses, tryAll } from '../../test/support/fuzz.js';
import { QueryPipe } from '../common/http/query.pipe.js';
import {
  AUDIT_PARAMETERS,
  AuditQuery,
  decodeAuditCursor,
  readKeptHead,
  VERIFY_PARAMETERS,
  VerifyQuery,
} from './audit-query.js';

const QUERY = {
  ...{ actor: ['admin'], kind: ['step'], task_id: ['task-1'], app_name: ['shop'], cause: ['timeout'], limit: ['1'] },
  ...{ since: ['9999-12-31T23:59:59-14:00'], cursor: ['x'], from_block: ['1'], head: [`1:${'0'.repeat(64)}`] },
};
const pipes = [new QueryPipe(AuditQuery, AUDIT_PARAMETERS), new QueryPipe(VerifyQuery, VERIFY_PARAMETERS)];

describe('hostile questions for the ledger', () => {
  it('have queries that are read or refused', () =>
    tryAll(nastyObject(QUERY), 80, (query) => {
      for (const pipe of pipes) readsOrRefuses(() => pipe.transform(query) as object);
    }));

  it('go on at places that are read or refused', () =>
    tryAll(nastyText, 80, (text) => {
      readsOrRefuses(() => readKeptHead(text));
      readsOrRefuses(() => decodeAuditCursor(text));
      readsOrRefuses(() => decodeAuditCursor(Buffer.from(`at:${text}`).toString('base64url')));
    }));
});
