import { createParamDecorator, type ExecutionContext, SetMetadata } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';

/** Who makes a request. */
export interface Principal {
  /** As it stands in the ledger. */
  readonly name: string;
}

export type AuthenticatedRequest = FastifyRequest & { principal?: Principal };

export const PUBLIC = 'turnpike:public';

/** Marks a route that needs no key. */
export const Public = () => SetMetadata(PUBLIC, true);

/** The caller, in a controller's parameters. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { principal } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!principal) throw new Error('@Caller() stands on a route that the guard does not see');
  return principal;
});
