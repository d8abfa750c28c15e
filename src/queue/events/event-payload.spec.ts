import type { LedgerEvent } from '../store/ledger-reader.js';
import { eventPayload } from './event-payload.js';

const event: LedgerEvent = {
  xid: '5',
  ...{ type: 'task.failed', id: '7', taskId: 'task-1', kind: 'transition', fromStatus: 'running', toStatus: 'failed' },
  ...{ attempt: 2, actor: 'worker:1', cause: 'step_failed', detail: null, requestId: 'r-1', at: new Date(0) },
  ...{ appName: 'shop', workflowName: 'w', goldenPath: 'g', cursor: { xid: '5', id: '7' } },
};

describe('the payload of an event', () => {
  it('tells what became of the task', () => {
    expect(eventPayload({ ...event, detail: { error_message: 'no' } })).toEqual({
      type: 'task.failed',
      timestamp: '1970-01-01T00:00:00.000Z',
      data: {
        ...{ event_id: '7', task_id: 'task-1', app_name: 'shop', workflow_name: 'w', golden_path: 'g' },
        ...{ status: 'failed', attempt: 2, cause: 'step_failed', actor: 'worker:1', request_id: 'r-1' },
        error_message: 'no',
      },
    });
  });

  it('tells of a step, and of the task´s state nothing', () => {
    const detail = { step: 'build', type: 'bash', exit_code: 3 };
    const { data } = eventPayload({ ...event, type: 'task.step_failed', kind: 'step', detail });
    expect(data).toMatchObject({ status: null, step: { name: 'build', type: 'bash', status: 'failed', exit_code: 3 } });
  });

  it('keeps what a transition has in its detail for the ledger, and gives a note´s', () => {
    const detail = { changes: ['much'] };
    expect(eventPayload({ ...event, detail }).data).not.toHaveProperty('detail');
    const note = { ...event, kind: 'operator', type: 'task.noted', toStatus: null, detail } as const;
    expect(eventPayload(note).data).toMatchObject({ status: null, detail });
  });
});
