import type { EntityManager } from 'typeorm';

export interface AuthNote {
  readonly actor: string;
  readonly cause: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly requestId?: string;
}

/** Where it is written down who made keys and who was turned away; whoever has a ledger binds it to this class. */
export abstract class AuthLedger {
  abstract note(note: AuthNote, within?: { readonly manager?: EntityManager }): Promise<void>;
}
