import { Webhook } from 'standardwebhooks';
import { headersOf, messageId, newSecret } from './message.js';

describe('a message', () => {
  const message = { id: 'msg_1_2', payload: '{"type":"task.completed"}' };

  it('is taken by whoever has one of the secrets, and by nobody else', () => {
    const secrets = [newSecret(), newSecret()];
    const headers = headersOf(message, secrets, new Date());
    expect(headers['webhook-id']).toBe('msg_1_2');
    for (const secret of secrets) {
      expect(new Webhook(secret).verify(message.payload, headers)).toEqual({ type: 'task.completed' });
    }
    expect(() => new Webhook(newSecret()).verify(message.payload, headers)).toThrow('No matching signature');
  });

  it('is not signed without a secret', () => {
    expect(headersOf(message, [], new Date(5_999))).toEqual({
      ...{ 'content-type': 'application/json', 'user-agent': 'turnpike-webhooks' },
      ...{ 'webhook-id': 'msg_1_2', 'webhook-timestamp': '5' },
    });
  });

  it('has an id of its receiver and its event', () => {
    expect(messageId({ webhookId: '3', eventId: '9' })).toBe('msg_3_9');
    expect(messageId({ webhookId: null, eventId: '9' })).toBe('msg_callback_9');
  });
});
