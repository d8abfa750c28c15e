import { once } from 'node:events';
import http from 'node:http';
import type { ServiceProcess } from './service-process.js';
import { until } from './until.js';

export interface ServerEvent {
  readonly id?: string;
  /** 'message' where none is named. */
  readonly event: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
  readonly data: any;
}

/** A reader of server-sent events that keeps all it got, and when. */
export class EventReader {
  readonly events: ServerEvent[] = [];
  /** Everything that came, comments included. */
  text = '';
  /** The answer is over, and whether it was complete. */
  ended: { complete: boolean } | undefined;

  private constructor(
    private readonly request: http.ClientRequest,
    readonly response: http.IncomingMessage,
  ) {
    let rest = '';
    response.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop()!;
      blocks.forEach((block) => this.onBlock(block));
    });
    response.on('error', () => undefined);
    response.on('close', () => (this.ended = { complete: response.complete }));
  }

  static async open(
    service: ServiceProcess,
    path: string,
    lastEventId?: string,
    token = service.token,
  ): Promise<EventReader> {
    const headers: http.OutgoingHttpHeaders = { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' };
    if (lastEventId !== undefined) headers['Last-Event-ID'] = lastEventId;
    const request = http.get(`${service.url}${path}`, { headers, agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return new EventReader(request, response);
  }

  get lastId(): string | undefined {
    return this.events.at(-1)?.id;
  }

  /** The output in these events. */
  get output(): string {
    return this.events.map(({ data }) => data.text ?? '').join('');
  }

  get end(): ServerEvent | undefined {
    return this.events.find(({ event }) => event === 'end');
  }

  async waitFor(what: string, condition: () => boolean): Promise<void> {
    await until(() => `${what}; came so far: ${JSON.stringify(this.text.slice(-2_000))}`, condition, { everyMs: 2 });
  }

  /** Goes away without a word. */
  leave(): void {
    this.request.destroy();
  }

  private onBlock(block: string): void {
    const fields = new Map(
      block.split('\n').map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
      }),
    );
    const data = fields.get('data');
    if (data === undefined) return;
    const id = fields.get('id');
    this.events.push({ event: fields.get('event') ?? 'message', data: JSON.parse(data), ...(id ? { id } : {}) });
  }
}
