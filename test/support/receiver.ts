import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { until } from './until.js';

export interface Received {
  readonly id: string;
  readonly timestamp: string;
  readonly signature: string | undefined;
  readonly path: string;
  readonly text: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
  readonly message: any;
}

type Respond = (response: http.ServerResponse, received: Received) => void;

/** What a receiver of webhooks is made of elsewhere: an HTTP server and the library, nothing of this service. */
export class Receiver {
  readonly received: Received[] = [];
  /** Messages that the library has refused. */
  readonly refused: string[] = [];
  /** Checked against every message once it is known; `undefined` checks none. */
  secret: string | undefined;
  respond: Respond = (response) => response.writeHead(204).end();
  private readonly server: http.Server;

  private constructor() {
    this.server = http.createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.take(request, response, Buffer.concat(chunks).toString('utf8')));
    });
  }

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get types(): string[] {
    return this.received.map(({ message }) => message.type as string);
  }

  async waitFor(count: number): Promise<void> {
    const what = () => `${count} messages have come (${this.received.length} have)`;
    await until(what, () => this.received.length >= count, { timeoutMs: 30_000 });
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private take(request: http.IncomingMessage, response: http.ServerResponse, text: string): void {
    const headers = request.headers as Record<string, string>;
    try {
      if (this.secret !== undefined) new Webhook(this.secret).verify(text, headers);
    } catch (error) {
      this.refused.push(String(error));
      response.writeHead(401).end();
      return;
    }
    const received = {
      ...{ id: headers['webhook-id']!, timestamp: headers['webhook-timestamp']! },
      ...{ signature: headers['webhook-signature'], path: request.url!, text, message: JSON.parse(text) },
    };
    this.received.push(received);
    this.respond(response, received);
  }
}
