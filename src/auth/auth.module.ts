import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthGuard } from './auth.guard.js';
import { AuthLedger } from './auth-ledger.js';
import { ADMIN_TOKEN, Authenticator } from './authenticator.js';
import { authEntities } from './keys/api-key.entity.js';
import { ApiKeysController } from './keys/api-keys.controller.js';
import { ApiKeysService } from './keys/api-keys.service.js';
import { KeyRing } from './keys/key-ring.js';
import { LastingCalls } from './lasting-calls.js';
import { LoginFailures } from './login-failures.js';
import { RefusedRequests } from './refused-requests.js';
import { RATE_LIMIT_PER_MINUTE, RateLimitGuard } from './rate-limit.guard.js';

export interface AuthModuleOptions {
  readonly adminToken: string;
  /** Where it is written down what is done with keys. */
  readonly ledger: Extract<Provider, { useExisting: unknown }>['useExisting'];
  /** Serve `/api/api-keys`. */
  readonly controller: boolean;
  /** Of one principal, or of one address without a key; 0 for no limit. */
  readonly requestsPerMinute: number;
}

/** Who may do what: keys, roles, and the guard on every route. */
@Module({})
export class AuthModule {
  static forRoot({ adminToken, ledger, controller, requestsPerMinute }: AuthModuleOptions): DynamicModule {
    return {
      module: AuthModule,
      // Whoever gives answers that last asks it about their callers.
      global: true,
      exports: [LastingCalls],
      imports: [TypeOrmModule.forFeature(authEntities)],
      controllers: controller ? [ApiKeysController] : [],
      providers: [
        { provide: ADMIN_TOKEN, useValue: adminToken },
        { provide: AuthLedger, useExisting: ledger as never },
        ...[KeyRing, LoginFailures, Authenticator, ApiKeysService, LastingCalls, RefusedRequests],
        { provide: RATE_LIMIT_PER_MINUTE, useValue: requestsPerMinute },
        // In this order: how much one may ask depends on who asks.
        { provide: APP_GUARD, useClass: AuthGuard },
        { provide: APP_GUARD, useClass: RateLimitGuard },
      ],
    };
  }
}
