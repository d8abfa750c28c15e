/** What all streams of server-sent events have in common. */

/** Sent first, so that the reader has an answer: how long it should wait before it comes back. */
export const HELLO = Buffer.from('retry: 1000\n\n');

/** A comment, which readers pass over. */
export const HEARTBEAT = Buffer.from(':\n\n');

/** Connections on which nothing is said are cut by proxies, mostly after 30 or 60 seconds. */
export const HEARTBEAT_MS = 15_000;

export const EVENT_STREAM = 'text/event-stream';

/** Some proxies hold an answer back until it is complete. */
export const UNBUFFERED = { name: 'X-Accel-Buffering', value: 'no' } as const;
