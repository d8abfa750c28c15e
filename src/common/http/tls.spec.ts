import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { readTls, renewTls } from './tls.js';

const file = (name: string) => fileURLToPath(new URL(`../../../test/fixtures/tls/${name}.pem`, import.meta.url));
const FIRST = { certFile: file('first.cert'), keyFile: file('first.key') };
const SECOND = { certFile: file('second.cert'), keyFile: file('second.key') };

async function nameShownBy(server: Server): Promise<unknown> {
  const socket = connect({ port: (server.address() as AddressInfo).port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}

describe('TLS', () => {
  it('shows new connections the certificate that was read last, and the old one where the new cannot be used', async () => {
    const server = createServer(await readTls(FIRST)).listen(0);
    await once(server, 'listening');
    expect(await nameShownBy(server)).toBe('first.turnpike.test');
    await renewTls(server, SECOND);
    expect(await nameShownBy(server)).toBe('second.turnpike.test');
    await expect(renewTls(server, { ...FIRST, keyFile: SECOND.keyFile })).rejects.toThrow('cannot be used');
    expect(await nameShownBy(server)).toBe('second.turnpike.test');
    server.close();
  });

  it.each([
    [{ ...FIRST, certFile: '/nowhere/cert.pem' }, "TLS_CERT_FILE is '/nowhere/cert.pem': it cannot be read"],
    [{ ...FIRST, keyFile: '/nowhere/key.pem' }, "TLS_KEY_FILE is '/nowhere/key.pem': it cannot be read"],
    [{ ...FIRST, certFile: FIRST.keyFile }, 'must be a certificate chain and its private key'],
  ])('says what is wrong with %j', async (files, message) => {
    await expect(readTls(files)).rejects.toThrow(message);
  });
});
